"""Signing in and out, the locked screen, and the one-time links that begin an account."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool

from tetkik.errors import AccessError, Forbidden, InputError, NotFound, NotSignedIn, TetkikError
from tetkik.records.people import invites, passwords, sessions, sign_in, users
from tetkik.records.people.passkeys import LASTING, keep_challenge, redeem_challenge
from tetkik.records.people.refusals import record_refusal
from tetkik.records.people.sessions import Resumed
from tetkik.records.people.users import user_row
from tetkik.service.kit.access import identity_providers
from tetkik.service.kit.access.authentication import (
    clear_session_cookie,
    limit_sign_ins,
    peer_of,
    require_session,
    set_cookie,
    start_session_and_redirect,
)
from tetkik.service.kit.access.authorization import RequestContext, allowed, own_session, public
from tetkik.service.kit.access.identity_providers import directory_of
from tetkik.service.kit.access.passkeys import origin_of
from tetkik.service.kit.access.rate_limits import limit_rate, rate_limits_of
from tetkik.service.kit.context import AppContext, ContextDep
from tetkik.service.kit.http.responses import safe_path, with_next
from tetkik.service.kit.rendering.templates import asset, render, start_page_of
from tetkik.values.access import SYSTEM, Actor, Method, Permission


def shown_strength(request: Request, context: AppContext, password: str, own: Iterable[str]) -> Response:
    limit_rate(request, rate_limits_of(request).strengths, f"address {peer_of(request).network}")
    return render(
        request,
        "people/strength.html.jinja",
        strength=passwords.strength(password, (*own, context.settings.hospital_name)) if password else None,
        missing=passwords.SHORTEST - len(password),
        most=passwords.LONGEST,
    )


pages = APIRouter()

Text = Annotated[str, Form(max_length=400)]
Return = Annotated[str, Form(alias="next", max_length=2000)]


@pages.get("/login", dependencies=[public()])
def login_page(request: Request, context: ContextDep, next: str = "/") -> Response:  # noqa: A002
    try:
        require_session(request)
    except NotSignedIn:
        return _login(request, context, next)
    return RedirectResponse(safe_path(next), 303)


@pages.post("/login", dependencies=[public()])
def login(
    request: Request, context: ContextDep, login: Text = "", password: Text = "", back: Return = "/"
) -> Response:
    peer = limit_sign_ins(request)
    try:
        directory = directory_of(context.settings)
        actor = sign_in.sign_in_by_password(context.records, login, password, peer, directory)
    except AccessError as error:
        return _login(request, context, back, login=login, error=error)
    return start_session_and_redirect(request, context, actor, back)


def _login(
    request: Request, context: AppContext, back: str, *, login: str = "", error: TetkikError | None = None
) -> Response:
    return render(
        request,
        "people/login.html.jinja",
        back=safe_path(back),
        login=login,
        error=error,
        provider=identity_providers.provider_name(context.settings),
    )


@pages.post("/logout", dependencies=[public()])
async def logout(request: Request, context: ContextDep) -> Response:
    """Sign out; a locked screen may be left, too."""
    answer = RedirectResponse("/login", 303)

    def end() -> None:
        with context.records.write(found.actor) as tx:
            sessions.end(tx)

    try:
        found = await own_session(request)
    except NotSignedIn:
        return answer
    await run_in_threadpool(end)
    clear_session_cookie(answer, context)
    return answer


@pages.post("/lock")
def lock(ctx: Annotated[RequestContext, allowed(Permission.OWN_ACCOUNT)], back: Return = "/") -> Response:
    return ctx.change(sessions.lock, with_next("/lock", back))


@pages.get("/lock", dependencies=[public()])
def lock_page(request: Request, context: ContextDep, next: str = "/") -> Response:  # noqa: A002
    """The locked screen: nothing but whose it is."""
    try:
        found = require_session(request)
    except NotSignedIn:
        return RedirectResponse(with_next("/login", next), 303)
    return _locked(request, context, found, next) if found.locked else RedirectResponse(safe_path(next), 303)


@pages.post("/lock/open", dependencies=[public()])
async def unlock(request: Request, context: ContextDep, password: Text = "", back: Return = "/") -> Response:
    try:
        found = await own_session(request)
    except NotSignedIn:
        return RedirectResponse(with_next("/login", back), 303)
    return await run_in_threadpool(_unlock, request, context, found, password, back)


def _unlock(request: Request, context: AppContext, found: Resumed, password: str, back: str) -> Response:
    limit_rate(request, rate_limits_of(request).sign_ins, f"again {found.actor.session_id}")
    try:
        sign_in.reauthenticate(context.records, found.actor, password, directory_of(context.settings))
    except AccessError as error:
        return _locked(request, context, found, back, error)
    with context.records.write(found.actor) as tx:
        sessions.unlock(tx, Method.PASSWORD)
    return RedirectResponse(safe_path(back), 303)


def _locked(
    request: Request, context: AppContext, found: Resumed, back: str, error: TetkikError | None = None
) -> Response:
    return render(
        request,
        "people/lock.html.jinja",
        name=found.actor.name,
        csrf=found.csrf,
        back=safe_path(back),
        error=error,
        provider=identity_providers.provider_name(context.settings)
        if found.actor.method is Method.OIDC
        else None,
    )


@pages.get("/setup/{token}", dependencies=[public()])
def setup_page(request: Request, context: ContextDep, token: str) -> Response:
    limit_sign_ins(request)
    return _setup(request, context, token)


@pages.post("/setup/{token}", dependencies=[public()])
def setup(
    request: Request,
    context: ContextDep,
    token: str,
    password: Text = "",
    repeated: Text = "",
    login: Text = "",
    name: Text = "",
) -> Response:
    peer = limit_sign_ins(request)
    newcomer = Actor(None, "", method=Method.PASSWORD, address=peer.address, request_id=peer.request_id)
    try:
        refuse_unequal(password, repeated)
        with context.records.write(newcomer) as tx:
            user_id = invites.accept_invitation(
                tx, token, password, login=login, name=name, hospital=context.settings.hospital_name
            )
            actor = users.build_actor(user_row(tx, user_id), Method.PASSWORD, peer)
    except TetkikError as error:
        return _setup(request, context, token, login=login, name=name, error=error)
    return start_session_and_redirect(request, context, actor, "/")


@pages.post("/setup/{token}/strength", dependencies=[public()])
def setup_strength(
    request: Request, context: ContextDep, token: str, password: Text = "", login: Text = "", name: Text = ""
) -> Response:
    """How good the password is that a one-time link is about to set, while it is typed."""
    own = (login, name)
    try:
        with context.records.read() as tx:
            invitation = invites.load_invitation(tx, token)
        own = (invitation.login or login, invitation.name or name)
    except NotFound:
        pass  # used a moment ago, by the very form that asks
    return shown_strength(request, context, password, own)


def refuse_unequal(password: str, repeated: str) -> None:
    if password != repeated:
        raise InputError("The two passwords differ; type the same one twice.")


def _setup(
    request: Request,
    context: AppContext,
    token: str,
    *,
    login: str = "",
    name: str = "",
    error: TetkikError | None = None,
) -> Response:
    with context.records.read() as tx:
        invitation = invites.load_invitation(tx, token)
    return render(
        request,
        "people/setup.html.jinja",
        invitation=invitation,
        login=login,
        name=name,
        shortest=passwords.SHORTEST,
        asks=f"/setup/{token}/strength",
        error=error,
    )


_SIGN_ON = TypeAdapter(identity_providers.SignOn)


@pages.get("/login/oidc", dependencies=[public()])
def go(request: Request, context: ContextDep, next: str = "/") -> Response:  # noqa: A002
    limit_sign_ins(request)
    if not context.settings.oidc_issuer:
        raise NotFound("This server has no single sign-on; sign in with your password.")
    try:
        address, state, sign_on = identity_providers.begin(
            context.settings, origin_of(request), safe_path(next), anew=_is_locked(request)
        )
    except TetkikError as error:
        return _login(request, context, next, error=error)
    with context.records.write(SYSTEM) as tx:
        keep_challenge(tx, state, _SIGN_ON.dump_json(sign_on).decode())
    answer = RedirectResponse(address, 303)
    set_cookie(answer, context, identity_providers.COOKIE, state, int(LASTING.total_seconds()), "/login")
    return answer


def _is_locked(request: Request) -> bool:
    try:
        return require_session(request).locked
    except NotSignedIn:
        return False


@pages.get(identity_providers.CALLBACK, dependencies=[public()])
def come_back(request: Request, context: ContextDep, state: str = "") -> Response:
    """The provider's answer: a session, or the sign-in page with the reason."""
    peer = limit_sign_ins(request)
    nobody = Actor(None, "", method=Method.OIDC, address=peer.address, request_id=peer.request_id)
    with context.records.write(SYSTEM) as tx:
        kept = redeem_challenge(tx, state)
    sign_on = _SIGN_ON.validate_json(kept) if kept is not None else None
    try:
        if sign_on is None or not identity_providers.same_browser(
            state, request.cookies.get(identity_providers.COOKIE)
        ):
            raise Forbidden("The sign-on was not begun in this browser, or too long ago; begin again.")
        arrival = identity_providers.finish(context.settings, sign_on, request.query_params)
        with context.records.write(nobody) as tx:
            actor = users.build_actor(users.sign_in_by_sso(tx, arrival), Method.OIDC, peer)
        answer = start_session_and_redirect(request, context, actor, sign_on.back)
    except TetkikError as error:
        record_refusal(context.records, nobody, peer.network, by=Method.OIDC.value)
        answer = _login(request, context, sign_on.back if sign_on else "/", error=error)
    answer.delete_cookie(identity_providers.COOKIE, path="/login")
    return answer


_KEPT = {"Cache-Control": "public, max-age=86400"}


@pages.get("/favicon.ico", dependencies=[public()])
def icon() -> RedirectResponse:
    """The icon, where browsers expect it beside a PDF."""
    return RedirectResponse(asset("favicon.svg"), 307, headers=_KEPT)


@pages.get("/")
def start(ctx: Annotated[RequestContext, allowed(Permission.OWN_ACCOUNT)]) -> RedirectResponse:
    """Go to the first place of whoever is signed in."""
    return RedirectResponse(start_page_of(ctx.request, ctx.actor), 303)
