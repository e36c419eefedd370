"""Who sends a request: a browser's cookie, or a program's token."""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass
from datetime import timedelta

from fastapi import Request
from fastapi.responses import Response

from tetkik.errors import Forbidden, NotSignedIn
from tetkik.language import Language
from tetkik.records.people import sessions, tokens
from tetkik.records.people.users import Peer
from tetkik.service.kit.access.rate_limits import limit_rate, rate_limits_of
from tetkik.service.kit.access.required_passkey import needs_passkey
from tetkik.service.kit.context import AppContext, context_of
from tetkik.values import Actor

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
