"""One's own account, API tokens and passkeys; for browsers, not for programs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from tetkik.errors import Forbidden, NotSignedIn, TetkikError
from tetkik.language import Language
from tetkik.records.database import Transaction
from tetkik.records.people import notices, passwords, sessions, tokens, users
from tetkik.records.people import passkeys as known_passkeys
from tetkik.records.people.refusals import record_refusal
from tetkik.records.people.sessions import Resumed
from tetkik.records.people.tokens import Token
from tetkik.records.people.users import user_row
from tetkik.service.kit.access import identity_providers, passkeys
from tetkik.service.kit.access.authentication import (
    begin,
    clear_session_cookie,
    limit_sign_ins,
    needs_passkey,
    refuse_programs,
    refuse_second_passkey,
    set_cookie,
    set_session_cookie,
)
from tetkik.service.kit.access.authorization import RequestContext, allowed, own_session, public
from tetkik.service.kit.access.passkeys import FRESH, Proof, Purpose, reauthenticate_for_account
from tetkik.service.kit.access.rate_limits import limit_rate, rate_limits_of
from tetkik.service.kit.context import AppContext, ContextDep
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.responses import Shape, safe_path, with_next
from tetkik.service.kit.rendering.templates import LANGUAGE_COOKIE, THEME_COOKIE
from tetkik.service.sign_in import Return, Text, refuse_unequal, shown_strength
from tetkik.values.access import Actor, Method, Permission, Role

api = APIRouter(prefix="/account", tags=["account"])

Owner = Annotated[RequestContext, allowed(Permission.OWN_ACCOUNT)]
TokenId = Annotated[str, Path(max_length=64)]


class Account(BaseModel):
    """Who is signed in."""

    id: str
    login: str
    name: str
    roles: list[Role]
    departments: list[str] = Field(
        description="Of a clinician; `*` is every one, and without any they open none."
    )
    permissions: list[Permission]


class TokenView(Shape):
    """A token, without its secret."""

    id: str
    name: str
    scopes: list[Permission]
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = Field(description="Its last request, to the minute.")


class Tokens(BaseModel):
    """All tokens that open something."""

    items: list[TokenView]


class NewToken(BaseModel):
    """A token to be made."""

    name: str = Field(
        min_length=1, max_length=60, pattern=r"\S", description="By which the owner knows it again."
    )
    scopes: list[Permission] = Field(description="What it may do, never more than the owner.")
    days: int = Field(default=90, ge=1, le=366)
    proof: Proof = Field(
        Proof(), description="The password or a passkey; not needed in the five minutes after signing in."
    )


class MadeToken(TokenView):
    """A token with its secret, which is shown this once."""

    secret: str = Field(description="For the header `Authorization: Bearer …`.")


class Answer(BaseModel):
    """A browser's answer, and where its page goes on."""

    credential: dict[str, Any]
    next: str = Field(default="/", max_length=2000)


class Addition(BaseModel):
    """A new passkey."""

    credential: dict[str, Any]
    name: str = Field(max_length=200)


@api.get("")
def account(ctx: Owner) -> Account:
    """Who is signed in, and what they may do."""
    with ctx.read() as tx:
        member = users.load_user(tx, ctx.user_id)
    return Account(
        id=member.id,
        login=member.login,
        name=member.profile.name,
        roles=sorted(member.profile.roles),
        departments=list(member.profile.departments),
        permissions=sorted(ctx.actor.permissions),
    )


@api.get("/tokens")
def list_tokens(ctx: Owner) -> Tokens:
    """One's tokens, the latest first."""
    with ctx.read() as tx:
        return Tokens(items=[TokenView.from_value(token) for token in tokens.list_tokens(tx)])


@api.post("/tokens", status_code=201, response_model=MadeToken)
def make_token(ctx: Owner, once: IdempotentDep, new: NewToken) -> Response:
    """Make a token; its secret is in this answer and nowhere else."""
    reauthenticate_for_account(ctx.request, ctx.actor, new.proof)

    def make(tx: Transaction) -> MadeToken:
        secret, token = tokens.create(tx, new.name, new.scopes, timedelta(days=new.days))
        return MadeToken.from_value(token, secret=secret)

    return once.run(ctx.records, ctx.actor, make).response()


@api.delete("/tokens/{token_id}", status_code=204)
def revoke_token(ctx: Owner, token_id: TokenId) -> None:
    """End a token at once."""
    with ctx.write() as tx:
        tokens.revoke(tx, token_id)


passkey_api = APIRouter(include_in_schema=False)


@passkey_api.post("/passkeys/sign-in/question", dependencies=[public()])
def ask_at_sign_in(request: Request) -> dict[str, Any]:
    """What the browser is asked at sign-in."""
    limit_sign_ins(request)
    return passkeys.authentication_options(request, Purpose.SIGN_IN)


@passkey_api.post("/passkeys/sign-in", dependencies=[public()])
def sign_in_with(request: Request, context: ContextDep, answer: Answer) -> Response:
    """Sign in with a passkey."""
    peer = limit_sign_ins(request)
    try:
        user_id = passkeys.verify(request, Purpose.SIGN_IN, answer.credential)
    except Forbidden:
        nobody = Actor(None, "", method=Method.PASSKEY, address=peer.address)
        record_refusal(context.records, nobody, peer.network, by=Method.PASSKEY.value)
        raise
    with context.records.read() as tx:
        actor = users.build_actor(user_row(tx, user_id), Method.PASSKEY, peer)
    done = JSONResponse({"next": safe_path(answer.next)})
    begin(request, context, actor, done)
    return done


@passkey_api.post("/passkeys/unlock/question", dependencies=[public()])
async def ask_at_lock(request: Request) -> dict[str, Any]:
    """What the browser is asked at a locked screen."""
    found = await _own_session(request)
    return await run_in_threadpool(
        passkeys.authentication_options, request, Purpose.REAUTHENTICATE, found.actor
    )


@passkey_api.post("/passkeys/unlock", dependencies=[public()])
async def unlock_with(request: Request, context: ContextDep, answer: Answer) -> dict[str, str]:
    """Open the locked screen with a passkey."""
    found = await _own_session(request)
    await run_in_threadpool(_unlock, request, context, found, answer)
    return {"next": safe_path(answer.next)}


def _unlock(request: Request, context: AppContext, found: Resumed, answer: Answer) -> None:
    limit_rate(request, rate_limits_of(request).sign_ins, f"again {found.actor.session_id}")
    passkeys.verify(request, Purpose.REAUTHENTICATE, answer.credential, found.actor)
    with context.records.write(found.actor) as tx:
        sessions.unlock(tx, Method.PASSKEY)


async def _own_session(request: Request) -> Resumed:
    if request.headers.get("authorization") is not None:
        raise NotSignedIn("Nobody is signed in here; sign in first.")
    return await own_session(request)


@passkey_api.post("/account/passkeys/question")
def ask_again(ctx: Owner) -> dict[str, Any]:
    """What the browser is asked before a signature."""
    refuse_programs(ctx.actor)
    return passkeys.authentication_options(ctx.request, Purpose.REAUTHENTICATE, ctx.actor)


@passkey_api.post("/account/passkeys/new")
def ask_to_add(ctx: Owner, proof: Proof) -> dict[str, Any]:
    """What the browser is asked to make a passkey, once the person has proved themselves."""
    refuse_second_passkey(ctx.app, ctx.actor)
    reauthenticate_for_account(ctx.request, ctx.actor, proof)
    return passkeys.registration_options(ctx.request, ctx.actor)


@passkey_api.post("/account/passkeys", status_code=201)
def add_passkey(ctx: Owner, addition: Addition) -> dict[str, str]:
    """Keep the passkey that the browser made."""
    refuse_programs(ctx.actor)
    refuse_second_passkey(ctx.app, ctx.actor)
    return {"id": passkeys.register(ctx.request, ctx.actor, addition.name, addition.credential)}


pages = APIRouter()

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


@pages.get("/account")
def account_page(ctx: Owner) -> Response:
    return _account(ctx)


def _account(
    ctx: RequestContext, *, error: TetkikError | None = None, made: tuple[str, Token] | None = None
) -> Response:
    idle = timedelta(minutes=ctx.settings.session_idle_minutes)
    with ctx.read() as tx:
        values: dict[str, Any] = {
            "member": users.load_user(tx, ctx.user_id),
            "passkeys": known_passkeys.of_user(tx, ctx.user_id),
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


@pages.post("/account/notices")
def acknowledge(ctx: Owner, upto: Text = "") -> Response:
    return ctx.change(lambda tx: notices.acknowledge(tx, upto), "/account")


@pages.get("/account/passkey")
def enrol_page(ctx: Owner, next: str = "/") -> Response:  # noqa: A002
    """The page of somebody whose role needs more than a password: add a passkey, then sign in with it."""
    if not needs_passkey(ctx.settings, ctx.actor):
        return RedirectResponse(safe_path(next), 303)
    with ctx.read() as tx:
        known, fresh = known_passkeys.of_user(tx, ctx.user_id), sessions.is_fresh(tx, FRESH)
    return ctx.render(
        "people/enrol.html.jinja",
        passkeys=known,
        held=bool(known) and all(one.held for one in known),
        fresh=fresh,
        back=safe_path(next),
        here=with_next("/account/passkey", next),
        single_sign_on=identity_providers.provider_name(ctx.settings),
    )


@pages.get("/account/password")
def password_page(ctx: Owner, next: str = "/account") -> Response:  # noqa: A002
    return _password(ctx, next)


@pages.post("/account/password")
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


@pages.post("/account/password/strength")
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


@pages.post("/account/tokens")
def make_token_shown_once(
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


@pages.post("/account/tokens/{token_id}/revoke")
def end_token(ctx: Owner, token_id: str) -> Response:
    return ctx.change(lambda tx: tokens.revoke(tx, token_id), "/account#tokens")


@pages.post("/account/passkeys/{passkey_id}/remove")
def remove_passkey(ctx: Owner, passkey_id: str, current: Text = "") -> Response:
    """Remove a passkey, once the person has proved themselves."""
    try:
        reauthenticate_for_account(ctx.request, ctx.actor, Proof(password=current or None))
    except TetkikError as error:
        return _account(ctx, error=error)
    return ctx.change(lambda tx: known_passkeys.remove(tx, passkey_id), "/account#passkeys")


@pages.post("/account/sessions/{session_id}/end")
def end_session(ctx: Owner, session_id: str) -> Response:
    return ctx.change(lambda tx: sessions.end_one(tx, session_id), "/account#sessions")


@pages.post("/account/sign-out-everywhere")
def sign_out_everywhere(ctx: Owner) -> Response:
    """Sign out in every browser, this one too."""
    with ctx.write() as tx:
        sessions.end_all(tx)
    answer = RedirectResponse("/login", 303)
    clear_session_cookie(answer, ctx.app)
    return answer


Theme = Literal["system", "light", "dark"]
_YEAR = 365 * 24 * 3600


@pages.post("/preferences", dependencies=[public()])
def browser_preferences(
    context: ContextDep,
    language: Annotated[Language | None, Form()] = None,
    theme: Annotated[Theme | None, Form()] = None,
    back: Annotated[str, Form(alias="next")] = "/",
) -> RedirectResponse:
    """Keep a choice in this browser, for the pages before sign-in."""
    return _kept(context, back, language, theme)


@pages.post("/account/preferences")
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
