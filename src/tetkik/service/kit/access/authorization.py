"""Authorization: each route declares its permission; a route without one does not start.

    @router.get("/worklist")
    def worklist(ctx: Annotated[RequestContext, allowed(Permission.WORKLIST)]) -> ...

A route for everybody (the sign-in page, health) depends on `public()`.
"""

from __future__ import annotations

import hmac
import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.dependencies.models import Dependant
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from tetkik.errors import Forbidden, TetkikError
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records, Transaction
from tetkik.records.people.sessions import Resumed
from tetkik.service.kit.access.authentication import Identified, identified_by, identify, require_session
from tetkik.service.kit.access.rate_limits import rate_limits_of, release_afterwards
from tetkik.service.kit.context import AppContext, context_of
from tetkik.service.kit.rendering.templates import language_of, render
from tetkik.settings import Settings
from tetkik.values import Actor, Method, Permission

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class RequestContext:
    """What a route that needs a permission is given: the request, the application, and who asks."""

    request: Request
    app: AppContext
    actor: Actor

    @property
    def user_id(self) -> str:
        assert self.actor.user_id is not None
        return self.actor.user_id

    @property
    def records(self) -> Records:
        return self.app.records

    @property
    def settings(self) -> Settings:
        return self.app.settings

    @property
    def language(self) -> Language:
        return language_of(self.request)

    def read(self, *, still: bool = False) -> AbstractContextManager[Transaction]:
        return self.app.records.read(self.actor, still=still)

    def write(self) -> AbstractContextManager[Transaction]:
        return self.app.records.write(self.actor)

    def change(
        self,
        work: Callable[[Transaction], object],
        to: str,
        refused: Callable[[TetkikError], Response] | None = None,
        kinds: tuple[type[TetkikError], ...] = (TetkikError,),
    ) -> Response:
        """Do it in one transaction and go on to another page; `refused` shows a fault (of these `kinds`)."""
        try:
            with self.write() as tx:
                work(tx)
        except kinds as fault:
            if refused is None:
                raise
            return refused(fault)
        return RedirectResponse(to, 303)

    def render(self, template: str, /, **values: Any) -> HTMLResponse:
        return render(self.request, template, **values)


class Guard:
    """Lets through who may do one thing."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> RequestContext:
        found = await run_in_threadpool(identify, request)
        if request.method not in _SAFE and found.actor.method is not Method.TOKEN:
            await check_origin(request, found)
        if not found.actor.may(self.permission):
            await run_in_threadpool(_audit_refusal, context_of(request), found.actor, self.permission)
            raise Forbidden("Your role does not allow this ({permission}).", permission=self.permission)
        if not inspect.iscoroutinefunction(request.scope.get("endpoint")):  # it takes a worker thread
            await _take_turn(request, found.actor)
        return RequestContext(request, context_of(request), found.actor)


async def _take_turn(request: Request, actor: Actor) -> None:
    turns, key = rate_limits_of(request).turns, actor.user_id or ""
    await turns.take(key)
    release_afterwards(request, partial(turns.free, key))


class Public:
    """Says that a route is for everybody."""

    async def __call__(self) -> None:
        """Let everybody through."""


def allowed(permission: Permission) -> Any:
    """A dependency that gives the `RequestContext` of somebody who may do `permission`."""
    return Depends(Guard(permission))


def public() -> Any:
    """A dependency that says that a route is for everybody, signed in or not."""
    return Depends(Public())


async def check_origin(request: Request, found: Identified) -> None:
    """A request that changes something carries the session's own token (OWASP ASVS 4.2.2)."""
    given = request.headers.get("x-csrf-token")
    if given is None and request.headers.get("content-type", "").startswith(_FORM):
        field = (await request.form()).get("csrf")
        given = field if isinstance(field, str) else None
    if given is None or not hmac.compare_digest(given.encode(), found.csrf.encode()):
        raise Forbidden("The request does not come from a page of this server; load the page again.")


async def own_session(request: Request) -> Resumed:
    """The session that sends a form, locked or not; `NotSignedIn` where there is none."""
    found = await run_in_threadpool(require_session, request)
    await check_origin(request, identified_by(found))
    return found


def _audit_refusal(context: AppContext, actor: Actor, permission: Permission) -> None:
    with context.records.write(actor) as tx:
        tx.audit(Action.FORBIDDEN, permission=permission.value)


def guards(route: APIRoute) -> list[Guard | Public]:
    return [item.call for item in _dependants(route.dependant) if isinstance(item.call, Guard | Public)]


def _dependants(dependant: Dependant) -> Iterator[Dependant]:
    for item in dependant.dependencies:
        yield item
        yield from _dependants(item)


def check_routes(router: APIRouter) -> None:
    """Refuse to start with a route that nobody guards, or two do."""
    routes = [route for route in router.routes if isinstance(route, APIRoute)]
    bare = [route.path for route in routes if len(guards(route)) != 1]
    if bare or len(routes) != len(router.routes):
        raise RuntimeError(f"routes without one guard: {', '.join(sorted(bare)) or 'not of FastAPI'}")
