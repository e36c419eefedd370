"""One's own account: password, passkeys, sessions, tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form
from fastapi.responses import RedirectResponse, Response

from tetkik.errors import TetkikError
from tetkik.language import Language
from tetkik.records.people import notices, passkeys, passwords, sessions, tokens, users
from tetkik.records.people.tokens import Token
from tetkik.service.kit.access import oidc
from tetkik.service.kit.access.authentication import clear_session_cookie, set_cookie, set_session_cookie
from tetkik.service.kit.access.authorization import RequestContext, allowed, public
from tetkik.service.kit.access.reauthentication import FRESH, Proof, reauthenticate_for_account
from tetkik.service.kit.access.required_passkey import needs_passkey, refuse_second_passkey
from tetkik.service.kit.context import AppContext, ContextDep
from tetkik.service.kit.http.responses import safe_path, with_next
from tetkik.service.kit.rendering.templates import LANGUAGE_COOKIE, THEME_COOKIE
from tetkik.service.people.sign_in_pages import Return, Text, refuse_unequal, shown_strength
from tetkik.values import Permission

router = APIRouter()

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser", "Samsung Internet"),
    ("Firefox", "Firefox"),
    ("FxiOS", "Firefox"),
    ("CriOS", "Chrome"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Mac OS X", "macOS"),
    ("CrOS", "ChromeOS"),
    ("Linux", "Linux"),
)


def browser_of(agent: str) -> str:
    """Such as `Firefox · Windows`; the beginning of what is not known, empty where nothing is said."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    return " · ".join(part for part in (browser, system) if part) or agent[:40]


Owner = Annotated[RequestContext, allowed(Permission.OWN_ACCOUNT)]


@router.get("/account")
def account(ctx: Owner) -> Response:
    return _account(ctx)


def _account(
    ctx: RequestContext, *, error: TetkikError | None = None, made: tuple[str, Token] | None = None
) -> Response:
    idle = timedelta(minutes=ctx.settings.session_idle_minutes)
    with ctx.read() as tx:
        values: dict[str, Any] = {
            "member": users.load_user(tx, ctx.user_id),
            "passkeys": passkeys.of_user(tx, ctx.user_id),
            "sessions": sessions.list_sessions(tx, idle),
            "tokens": tokens.list_tokens(tx),
            "notices": notices.list_notices(tx),
        }
    return ctx.render(
        "people/account.html.jinja",
        scopes=tokens.grantable(ctx.actor),
        browser_of=browser_of,
        error=error,
        secret=made[0] if made else None,
        new=made[1] if made else None,
        **values,
    )


@router.post("/account/notices")
def acknowledge(ctx: Owner, upto: Text = "") -> Response:
    with ctx.write() as tx:
        notices.acknowledge(tx, upto)
    return RedirectResponse("/account", 303)


@router.get("/account/passkey")
def enrol_page(ctx: Owner, next: str = "/") -> Response:  # noqa: A002
    """The page of somebody whose role needs more than a password: add a passkey, then sign in with it."""
    if not needs_passkey(ctx.settings, ctx.actor):
        return RedirectResponse(safe_path(next), 303)
    with ctx.read() as tx:
        known, fresh = passkeys.of_user(tx, ctx.user_id), sessions.is_fresh(tx, FRESH)
    return ctx.render(
        "people/enrol.html.jinja",
        passkeys=known,
        held=bool(known) and all(one.held for one in known),
        fresh=fresh,
        back=safe_path(next),
        here=with_next("/account/passkey", next),
        single_sign_on=oidc.provider_name(ctx.settings),
    )


@router.get("/account/password")
def password_page(ctx: Owner, next: str = "/account") -> Response:  # noqa: A002
    return _password(ctx, next)


@router.post("/account/password")
def change_password(
    ctx: Owner,
    password: Text = "",
    repeated: Text = "",
    current: Text = "",
    keys: Annotated[bool, Form()] = False,
    back: Return = "/account",
) -> Response:
    """Change one's password; every other session ends, and with `keys` passkeys and tokens, too."""
    try:
        reauthenticate_for_account(ctx.request, ctx.actor, Proof(password=current or None))
        refuse_unequal(password, repeated)
        if keys:
            refuse_second_passkey(ctx.app, ctx.actor)
        with ctx.write() as tx:
            users.set_password(tx, ctx.user_id, password, ctx.settings.hospital_name, keys=keys)
            cookie = sessions.renew(tx)
    except TetkikError as error:
        return _password(ctx, back, error)
    answer = RedirectResponse(safe_path(back), 303)
    set_session_cookie(answer, ctx.app, cookie)
    return answer


@router.post("/account/password/strength")
def password_strength(ctx: Owner, password: Text = "") -> Response:
    with ctx.read() as tx:
        member = users.load_user(tx, ctx.user_id)
    return shown_strength(ctx.request, ctx.app, password, (member.login, member.profile.name))


def _password(ctx: RequestContext, back: str, error: TetkikError | None = None) -> Response:
    with ctx.read() as tx:
        member, held_tokens = users.load_user(tx, ctx.user_id), tokens.list_tokens(tx)
    return ctx.render(
        "people/password.html.jinja",
        member=member,
        back=safe_path(back),
        shortest=passwords.SHORTEST,
        keys=bool(member.passkeys or held_tokens) and not needs_passkey(ctx.settings, ctx.actor),
        error=error,
    )


@router.post("/account/tokens")
def make_token(
    ctx: Owner,
    name: Text = "",
    days: Annotated[int, Form(ge=1, le=366)] = 90,
    scope: Annotated[list[Permission] | None, Form()] = None,
    current: Text = "",
) -> Response:
    """Make a token for a program; the page shows its secret this once."""
    try:
        reauthenticate_for_account(ctx.request, ctx.actor, Proof(password=current or None))
        with ctx.write() as tx:
            made = tokens.create(tx, name, scope or [], timedelta(days=days))
    except TetkikError as error:
        return _account(ctx, error=error)
    return _account(ctx, made=made)


@router.post("/account/tokens/{token_id}/revoke")
def revoke_token(ctx: Owner, token_id: str) -> Response:
    with ctx.write() as tx:
        tokens.revoke(tx, token_id)
    return RedirectResponse("/account#tokens", 303)


@router.post("/account/passkeys/{passkey_id}/remove")
def remove_passkey(ctx: Owner, passkey_id: str, current: Text = "") -> Response:
    """Remove a passkey, once the person has proved themselves."""
    try:
        reauthenticate_for_account(ctx.request, ctx.actor, Proof(password=current or None))
    except TetkikError as error:
        return _account(ctx, error=error)
    with ctx.write() as tx:
        passkeys.remove(tx, passkey_id)
    return RedirectResponse("/account#passkeys", 303)


@router.post("/account/sessions/{session_id}/end")
def end_session(ctx: Owner, session_id: str) -> Response:
    with ctx.write() as tx:
        sessions.end_one(tx, session_id)
    return RedirectResponse("/account#sessions", 303)


@router.post("/account/sign-out-everywhere")
def sign_out_everywhere(ctx: Owner) -> Response:
    """Sign out in every browser, this one too."""
    with ctx.write() as tx:
        sessions.end_all(tx)
    answer = RedirectResponse("/login", 303)
    clear_session_cookie(answer, ctx.app)
    return answer


Theme = Literal["system", "light", "dark"]
_YEAR = 365 * 24 * 3600


@router.post("/preferences", dependencies=[public()])
def browser_preferences(
    context: ContextDep,
    language: Annotated[Language | None, Form()] = None,
    theme: Annotated[Theme | None, Form()] = None,
    back: Annotated[str, Form(alias="next")] = "/",
) -> RedirectResponse:
    """Keep a choice in this browser, for the pages before sign-in."""
    return _kept(context, back, language, theme)


@router.post("/account/preferences")
def own_preferences(
    ctx: Annotated[RequestContext, allowed(Permission.OWN_ACCOUNT)],
    language: Annotated[Language | None, Form()] = None,
    theme: Annotated[Theme | None, Form()] = None,
    back: Annotated[str, Form(alias="next")] = "/",
) -> RedirectResponse:
    """Keep a choice with the person, so that it is the same at every screen."""
    with ctx.write() as tx:
        users.save_preferences(tx, language=language, theme=theme)
    return _kept(ctx.app, back, language, theme)


def _kept(context: AppContext, back: str, language: Language | None, theme: Theme | None) -> RedirectResponse:
    answer = RedirectResponse(safe_path(back), 303)
    for name, value in ((LANGUAGE_COOKIE, language), (THEME_COOKIE, theme)):
        if value is not None:
            set_cookie(answer, context, name, value, _YEAR)
    return answer
