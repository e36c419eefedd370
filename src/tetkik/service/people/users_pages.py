"""The administrator's list of users: who works here, with which role, and the links that let them in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, Field

from tetkik.errors import TetkikError
from tetkik.language import Sentence
from tetkik.records.database import Transaction
from tetkik.records.people import after_restore, invites, users
from tetkik.records.people.deactivation import RevokedAccess
from tetkik.records.people.users import Member, Profile
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.passkeys import origin_of
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.service.people.users_api import ACTS, Act
from tetkik.turkish import alphabetical
from tetkik.values import EVERY_DEPARTMENT, Permission, Role
from tetkik.workflow import offered_departments

router = APIRouter(prefix="/admin/users")
NAVIGATION = (
    NavigationEntry("/admin/users", Permission.USERS, "persons", Sentence("Users"), "g p", position=80),
)

Administrator = Annotated[RequestContext, allowed(Permission.USERS)]


class UserForm(BaseModel):
    """A user as the forms send one; the login only of a new one."""

    login: str = Field(default="", max_length=400)
    name: str = Field(default="", max_length=400)
    title: str = Field(default="", max_length=400)
    registration: str = Field(default="", max_length=400)
    role: list[Role] = []
    department: list[str] = []

    def profile(self) -> Profile:
        return Profile(self.name, frozenset(self.role), self.title, self.registration, tuple(self.department))


@router.get("")
def everybody(ctx: Administrator) -> Response:
    return _list(ctx)


def _list(
    ctx: RequestContext,
    *,
    error: TetkikError | None = None,
    link: str | None = None,
    invited: Member | None = None,
) -> Response:
    with ctx.read() as tx:
        members, held = users.list_users(tx), after_restore.count_suspended(tx)
    return ctx.render(
        "people/users.html.jinja",
        members=members,
        held=held,
        **_choices(offered_departments(ctx.settings.triage_model)),
        error=error,
        link=link,
        invited=invited,
    )


@router.post("")
def add(
    ctx: Administrator,
    form: Annotated[UserForm, Form()],
) -> Response:
    """Create a user; the page shows the one-time link this once."""
    offered = offered_departments(ctx.settings.triage_model)
    try:
        with ctx.write() as tx:
            user_id = users.create(tx, form.login, form.profile(), departments=offered)
            token, member = invites.invite(tx, user_id), users.load_user(tx, user_id)
    except TetkikError as error:
        return _list(ctx, error=error)
    return _list(ctx, link=_link(ctx.request, token), invited=member)


def _link(request: Request, token: str) -> str:
    return f"{origin_of(request)}/setup/{token}"


@router.get("/{user_id}")
def one(ctx: Administrator, user_id: str) -> Response:
    return _one(ctx, user_id)


def _one(
    ctx: RequestContext,
    user_id: str,
    *,
    error: TetkikError | None = None,
    link: str | None = None,
    ended: RevokedAccess | None = None,
) -> Response:
    with ctx.read() as tx:
        member, held = users.load_user(tx, user_id), after_restore.count_suspended(tx, user_id)
    # Those that can be chosen, and those that the user has from an earlier model.
    known = {*offered_departments(ctx.settings.triage_model), *member.profile.departments}
    return ctx.render(
        "people/user.html.jinja",
        member=member,
        held=held,
        ended=ended,
        **_choices(tuple(sorted(known - {EVERY_DEPARTMENT}, key=alphabetical))),
        error=error,
        link=link,
    )


@router.post("/{user_id}")
def change(
    ctx: Administrator,
    user_id: str,
    form: Annotated[UserForm, Form()],
) -> Response:
    offered = offered_departments(ctx.settings.triage_model)
    return _done(ctx, user_id, lambda tx: users.change(tx, user_id, form.profile(), departments=offered))


def _changing(act: Act) -> Callable[..., Response]:
    def changed(ctx: Administrator, user_id: str) -> Response:
        return _done(ctx, user_id, lambda tx: act(tx, user_id))

    return changed


for _path, _, _, _act in ACTS:
    router.post(f"/{{user_id}}/{_path}")(_changing(_act))


@router.post("/{user_id}/reset")
def reset(ctx: Administrator, user_id: str, keep: Annotated[bool, Form()] = False) -> Response:
    """Take the password away; the page shows the link for a new one this once.

    Every session ends; passkeys and tokens, too, unless the form says to keep them.
    """
    try:
        with ctx.write() as tx:
            ended = users.reset_access(tx, user_id, keys=not keep)
            token = invites.invite(tx, user_id)
    except TetkikError as error:
        return _one(ctx, user_id, error=error)
    return _one(ctx, user_id, link=_link(ctx.request, token), ended=ended)


def _done(ctx: RequestContext, user_id: str, work: Callable[[Transaction], object]) -> Response:
    try:
        with ctx.write() as tx:
            work(tx)
    except TetkikError as error:
        return _one(ctx, user_id, error=error)
    return RedirectResponse(f"/admin/users/{user_id}", 303)


def _choices(departments: tuple[str, ...]) -> dict[str, Any]:
    return {
        "roles": tuple(Role),
        "departments": departments,
        "every": EVERY_DEPARTMENT,
    }
