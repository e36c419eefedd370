"""Who sends a request: a browser's cookie, or a program's token."""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from tetkik.errors import Forbidden, NotSignedIn, SettingError
from tetkik.language import Language
from tetkik.records.people import passkeys, sessions, sign_in, tokens
from tetkik.records.people.users import Peer, user_row
from tetkik.service.kit.access.rate_limits import limit_rate, rate_limits_of
from tetkik.service.kit.context import AppContext, context_of
from tetkik.service.kit.http.responses import safe_path
from tetkik.settings import Settings
from tetkik.values.access import Actor, Method, Role

# Roles for whom a password alone is not enough: they sign in with a passkey, or come by single sign-on.
#
# OWASP ASVS 4.0.3, 4.3.1. A session that a password alone began opens nothing for them but the page where a
# passkey is added, and not even that once there is one: otherwise a stolen password would add the thief's.


def passkey_roles(settings: Settings) -> frozenset[Role]:
    """The setting `passkey_roles`, read."""
    named = [part.strip() for part in settings.passkey_roles.split(",") if part.strip()]
    try:
        return frozenset(Role(name) for name in named)
    except ValueError:
        raise SettingError(
            "The setting passkey_roles names a role that there is not ({text}); write such as "
            "administrator, radiologist.",
            text=settings.passkey_roles,
        ) from None


def needs_passkey(settings: Settings, actor: Actor) -> bool:
    """Whether somebody signed in by a password alone who needs more."""
    return actor.method is Method.PASSWORD and bool(actor.roles & passkey_roles(settings))


def refuse_second_passkey(context: AppContext, actor: Actor) -> None:
    """Keep a weak session from adding a passkey where there is one, and from removing that one first."""
    if not needs_passkey(context.settings, actor):
        return
    with context.records.read(actor) as tx:
        assert actor.user_id is not None
        known = passkeys.of_user(tx, actor.user_id)
    if known:
        raise Forbidden("Your account has a passkey; sign in with it, or ask the administrator for a link.")


LOCK_PAGE = "/lock"
CHANGE_PAGE = "/account/password"
ENROL_PAGE = "/account/passkey"
METRICS_PATH = "/metrics"
"""The one path outside the API that a token opens."""
_ALWAYS = frozenset({"/logout", "/account/preferences", LOCK_PAGE})
_WHILE_CHANGING = _ALWAYS | {CHANGE_PAGE, f"{CHANGE_PAGE}/strength"}
"""What is open to somebody who has to choose a new password first."""
_WHILE_ENROLLING = _ALWAYS | {ENROL_PAGE, "/api/v1/account/passkeys/new", "/api/v1/account/passkeys"}
"""What is open to somebody whose role needs more than the password that they gave."""

_BROWSER_DAYS = 400
"""The longest that browsers keep a cookie (RFC 6265bis, 4.1.2.2)."""
_BROWSER = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Identified:
    """Who asks, and what their pages look like; a program has no `csrf`. None leaves the setting's language,
    or the system's theme.
    """

    actor: Actor
    csrf: str = ""
    language: Language | None = None
    theme: str | None = None


def cookie_name(context: AppContext) -> str:
    """The session's cookie; over TLS its prefix binds it to this host alone (RFC 6265bis, 4.1.3)."""
    return "__Host-tetkik" if context.secure else "tetkik"


def set_cookie(
    answer: Response, context: AppContext, name: str, value: str, seconds: int | None = None, path: str = "/"
) -> None:
    """A cookie that no script reads and no other site sends on; without a time it ends with the browser."""
    answer.set_cookie(
        name, value, max_age=seconds, path=path, secure=context.secure, httponly=True, samesite="lax"
    )


def set_session_cookie(answer: Response, context: AppContext, cookie: str) -> None:
    set_cookie(answer, context, cookie_name(context), cookie)


def clear_session_cookie(answer: Response, context: AppContext) -> None:
    """Let the browser forget the session, and whatever it kept of the pages.

    Not its storage: on a phone that several people share, what others took waits there, sealed.
    """
    answer.delete_cookie(cookie_name(context), path="/", secure=context.secure, httponly=True, samesite="lax")
    answer.headers["Clear-Site-Data"] = '"cache"'


def peer_of(request: Request) -> Peer:
    return Peer(
        request.client.host if request.client else None,
        getattr(request.state, "request_id", None),
        request.headers.get("user-agent", ""),
        _known_browser(request),
    )


def set_browser_cookie(answer: Response, context: AppContext, browser: str) -> None:
    """Let a browser be known again at the next sign-in: a random value with its signature.

    It says nothing of anybody and opens nothing; failures are counted apart for a browser that has one.
    """
    value = f"{browser}.{_browser_signature(context, browser)}"
    set_cookie(answer, context, _browser_cookie(context), value, _BROWSER_DAYS * 24 * 3600)


def _known_browser(request: Request) -> str:
    """What a browser's cookie says, where it was signed here; else empty."""
    context = context_of(request)
    browser, _, signature = request.cookies.get(_browser_cookie(context), "").partition(".")
    expected = _browser_signature(context, browser) if _BROWSER.fullmatch(browser) else ""
    return browser if expected and hmac.compare_digest(expected.encode(), signature.encode()) else ""


def _browser_signature(context: AppContext, browser: str) -> str:
    return context.records.vault.digest("browser", browser).hex()


def _browser_cookie(context: AppContext) -> str:
    return "__Host-tetkik-browser" if context.secure else "tetkik-browser"


def limit_sign_ins(request: Request) -> Peer:
    """Count an attempt to sign in; gives where it comes from.

    A browser that somebody has signed in with is counted by itself: its neighbours' attempts do not stop it.
    All of one address are counted together as well, with more room: whoever collects their cookies, or has a
    stolen one, gains little.
    """
    peer, limits = peer_of(request), rate_limits_of(request)
    if peer.browser:
        limit_rate(request, limits.sign_ins, f"browser {peer.browser}")
        limit_rate(request, limits.browsers, f"address {peer.network}")
    else:
        limit_rate(request, limits.sign_ins, f"address {peer.network}")
    return peer


def identify(request: Request) -> Identified:
    """Who sends this request; found once and kept with it."""
    known: Identified | None = getattr(request.state, "identified", None)
    if known is None:
        known = _identify(request)
        request.state.identified = known
    return known


def _identify(request: Request) -> Identified:
    authorization = request.headers.get("authorization")
    path = request.scope["path"]  # that of the routes; `request.url` is made with the Host header
    if authorization is not None and (path.startswith("/api/") or path == METRICS_PATH):
        return _program(request, authorization)
    found = require_session(request)
    if found.locked:
        request.state.detour = LOCK_PAGE
        raise NotSignedIn("The screen is locked; give the password again.")
    if found.must_change:
        if path not in _WHILE_CHANGING:
            request.state.detour = CHANGE_PAGE
            raise NotSignedIn("The password has to be changed first; choose a new one.")
    elif path not in _WHILE_ENROLLING and needs_passkey(context_of(request).settings, found.actor):
        request.state.detour = ENROL_PAGE
        raise NotSignedIn("Your role needs more than a password; add a passkey and sign in with it.")
    return identified_by(found)


def identified_by(found: sessions.Resumed) -> Identified:
    """A session as its pages need it."""
    language = Language(found.language) if found.language else None
    return Identified(found.actor, found.csrf, language, found.theme)


def require_session(request: Request) -> sessions.Resumed:
    """The session of a browser, locked or not; `NotSignedIn` where there is none, or it is over."""
    context, peer = context_of(request), peer_of(request)
    cookie = request.cookies.get(cookie_name(context))
    try:
        if cookie is None:
            raise NotSignedIn("Nobody is signed in here; sign in first.")
        idle = timedelta(minutes=context.settings.session_idle_minutes)
        found = sessions.resume_session(
            context.records, cookie, address=peer.address, request_id=peer.request_id, idle=idle
        )
    except NotSignedIn:
        limit_rate(request, rate_limits_of(request).requests, f"address {peer.network}")
        raise
    limit_rate(request, rate_limits_of(request).requests, f"user {found.actor.user_id}")
    return found


def _program(request: Request, authorization: str) -> Identified:
    scheme, _, secret = authorization.partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise NotSignedIn("The header Authorization is not of a token; send `Authorization: Bearer …`.")
        actor = tokens.authenticate_token(context_of(request).records, secret.strip(), peer_of(request))
    except NotSignedIn:
        # Counted by themselves: a program with an old token keeps no browser beside it from signing in.
        limit_rate(request, rate_limits_of(request).sign_ins, f"tokens {peer_of(request).network}")
        raise
    limit_rate(request, rate_limits_of(request).requests, f"token {actor.user_id}")
    return Identified(actor)


def refuse_programs(actor: Actor) -> None:
    """Keep programs from what a person does for themselves."""
    if actor.session_id is None:
        raise Forbidden("A token cannot do this; sign in with a browser.")


# The session that begins when somebody has proved who they are, however they did.
def start_session_and_redirect(
    request: Request, context: AppContext, actor: Actor, back: str, *, replace: bool = True
) -> Response:
    """Begin a session for whoever proved themselves, and lead them on."""
    answer = RedirectResponse(safe_path(back), 303)
    begin(request, context, actor, answer, replace=replace)
    return answer


def begin(
    request: Request, context: AppContext, actor: Actor, answer: Response, *, replace: bool = True
) -> None:
    """Give a browser a new session; the one that it had ends, and its id with it, unless it is not replaced.

    A second cookie, which opens nothing, recognises this browser at the next sign-in.
    """
    try:
        before: Actor | None = require_session(request).actor
    except NotSignedIn:
        before = None
    peer = peer_of(request)
    browser = peer.browser or secrets.token_hex(32)
    lasting = timedelta(hours=context.settings.session_hours)
    with context.records.write(actor) as tx:
        assert actor.user_id is not None
        if before is not None and replace:
            sessions.replace(tx, before)
        user = user_row(tx, actor.user_id)
        cookie = sign_in.open_session(tx, user, actor.method, peer, lasting, browser)
    set_session_cookie(answer, context, cookie)
    set_browser_cookie(answer, context, browser)
