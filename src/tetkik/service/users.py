"""Users, for the administrator.

With a token accounts are listed, closed and their names corrected; whatever opens one, or widens what it may
do, takes a person.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path
from fastapi.responses import Response
from pydantic import BaseModel, Field

from tetkik.errors import TetkikError
from tetkik.language import Sentence
from tetkik.records.database import Transaction
from tetkik.records.people import invites, repair, users
from tetkik.records.people.deactivation import RevokedAccess
from tetkik.records.people.users import Member, Profile
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.passkeys import origin_of
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.responses import Cursor, Limit, Page, Shape, decode_cursor, encode_cursor
from tetkik.service.kit.rendering.templates import NavigationEntry
from tetkik.turkish import alphabetical
from tetkik.values.access import EVERY_DEPARTMENT, Permission, Role
from tetkik.workflow.complaints import offered_departments

api = APIRouter(prefix="/users", tags=["users"])
pages = APIRouter(prefix="/admin/users")
NAVIGATION = (
    NavigationEntry("/admin/users", Permission.USERS, "persons", Sentence("Users"), "g p", position=80),
)

Administrator = Annotated[RequestContext, allowed(Permission.USERS)]
UserId = Annotated[str, Path(max_length=64)]


Department = Annotated[str, Field(max_length=60, examples=["Nöroloji"])]


class UserProfile(BaseModel):
    """The profile of a user."""

    name: str = Field(min_length=1, max_length=120, pattern=r"\S")
    title: str = Field(default="", max_length=60)
    registration: str = Field(default="", max_length=40)
    roles: list[Role] = Field(min_length=1)
    departments: list[Department] = Field(
        default=[], description="Of a clinician; `*` is every one, and without any they open none."
    )

    def profile(self) -> Profile:
        return Profile(
            self.name, frozenset(self.roles), self.title, self.registration, tuple(self.departments)
        )


class NewUser(UserProfile):
    """A user to be made."""

    login: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{1,63}$",
        description="2 to 64 letters, digits, dots, hyphens, underscores or at signs.",
    )


class UserView(UserProfile, Shape):
    """A user."""

    id: str
    login: str
    disabled: bool = Field(description="Whether the account is closed.")
    paused: bool = Field(description="Whether signing in pauses after failures.")
    must_change: bool = Field(
        description="Whether the password has to be changed before anything else opens."
    )
    created_at: datetime = Field(description="When the account was made.")
    last_login_at: datetime | None = Field(description="None before the first.")
    keys_held: bool = Field(
        description="Whether passkeys or tokens came back with a backup and wait for their confirmation."
    )


class InvitedUser(UserView):
    """A user with the link to choose a password."""

    link: str = Field(description="Works once, for 24 hours; in this answer and nowhere else.")


class Reset(BaseModel):
    """How an account is reset."""

    keep_keys: bool = Field(
        default=False,
        description="Whether passkeys and tokens stay; else they end with the password and every session.",
    )


class Link(BaseModel):
    """A one-time link, and what ended."""

    link: str = Field(description="Works once, for 24 hours.")
    sessions_ended: int = Field(description="Browsers that were signed out.")
    passkeys_removed: int
    tokens_revoked: int


@api.get("")
def list_users(ctx: Administrator, cursor: Cursor = None, limit: Limit = 50) -> Page[UserView]:
    """Everybody, by login."""
    after = str(decode_cursor(cursor, [str])[0]) if cursor else ""
    with ctx.read() as tx:
        found = users.list_users(tx, after=after, limit=limit + 1)
    more = encode_cursor([found[limit - 1].login]) if len(found) > limit else None
    return Page(items=[_view(member) for member in found[:limit]], next=more)


@api.post("", status_code=201, response_model=InvitedUser)
def create_user(ctx: Administrator, once: IdempotentDep, new: NewUser) -> Response:
    """Create a user; the answer holds the link with which they choose a password."""

    def create(tx: Transaction) -> InvitedUser:
        member, link = _created(ctx, tx, new.login, new.profile())
        return InvitedUser(link=link, **_view(member).model_dump())

    return once.run(ctx.records, ctx.actor, create).response()


def _created(ctx: RequestContext, tx: Transaction, login: str, profile: Profile) -> tuple[Member, str]:
    """A new user with the one-time link."""
    user_id = users.create(tx, login, profile, departments=offered_departments(ctx.settings.triage_model))
    link = _link(ctx, tx, user_id)
    return users.load_user(tx, user_id), link


def _link(ctx: RequestContext, tx: Transaction, user_id: str) -> str:
    return f"{origin_of(ctx.request)}/setup/{invites.invite(tx, user_id)}"


@api.get("/{user_id}")
def get_user(ctx: Administrator, user_id: UserId) -> UserView:
    """One user."""
    with ctx.read() as tx:
        return _view(users.load_user(tx, user_id))


@api.put("/{user_id}")
def change_user(ctx: Administrator, user_id: UserId, profile: UserProfile) -> UserView:
    """Give a user another name, other roles, other departments."""
    offered = offered_departments(ctx.settings.triage_model)
    return _changed(
        ctx, user_id, lambda tx: users.change(tx, user_id, profile.profile(), departments=offered)
    )


_Act = Callable[[Transaction, str], object]
_ACTS: tuple[tuple[str, str, str, _Act], ...] = (
    ("disable", "disable_user", "Close an account; nothing is deleted.", users.disable),
    ("enable", "enable_user", "Open a closed account again.", users.enable),
    ("unlock", "unlock_user", "End the pause after failed sign-ins.", users.unlock),
    (
        "demand-change",
        "demand_change",
        "Ask for a new password: whoever signs in, or is signed in, chooses one before anything else opens.",
        users.require_password_change,
    ),
    (
        "confirm-keys",
        "confirm_keys",
        "Let passkeys and tokens open again that came back with a backup.",
        repair.confirm_keys,
    ),
)
"""What is done to an account, by the API and the pages: path, name, meaning, and the work."""


def _add_act(path: str, name: str, meaning: str, act: _Act) -> None:
    @api.post(f"/{{user_id}}/{path}", name=name, description=meaning)
    def by_program(ctx: Administrator, user_id: UserId) -> UserView:
        return _changed(ctx, user_id, lambda tx: act(tx, user_id))

    @pages.post(f"/{{user_id}}/{path}")
    def by_page(ctx: Administrator, user_id: str) -> Response:
        return _done(ctx, user_id, lambda tx: act(tx, user_id))


for _one_act in _ACTS:
    _add_act(*_one_act)


@api.post("/{user_id}/reset", status_code=201, response_model=Link)
def reset_user(
    ctx: Administrator, once: IdempotentDep, user_id: UserId, how: Reset | None = None
) -> Response:
    """Take the password away and end every session; the answer holds the link to choose another."""
    keep = how is not None and how.keep_keys

    def reset(tx: Transaction) -> Link:
        ended = users.reset_access(tx, user_id, keys=not keep)
        return Link(
            link=_link(ctx, tx, user_id),
            sessions_ended=ended.sessions,
            passkeys_removed=ended.passkeys,
            tokens_revoked=ended.tokens,
        )

    return once.run(ctx.records, ctx.actor, reset).response()


def _changed(ctx: RequestContext, user_id: str, work: Callable[[Transaction], object]) -> UserView:
    with ctx.write() as tx:
        work(tx)
        return _view(users.load_user(tx, user_id))


def _view(member: Member) -> UserView:
    return UserView.from_value(
        member,
        **asdict(member.profile) | {"roles": sorted(member.profile.roles)},
        disabled=member.disabled_at is not None,
        paused=member.locked_until is not None,
    )


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


@pages.get("")
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
        members, held = users.list_users(tx), repair.count_suspended(tx)
    return ctx.render(
        "people/users.html.jinja",
        members=members,
        held=held,
        **_choices(offered_departments(ctx.settings.triage_model)),
        error=error,
        link=link,
        invited=invited,
    )


@pages.post("")
def add(ctx: Administrator, form: Annotated[UserForm, Form()]) -> Response:
    """Create a user; the page shows the one-time link this once."""
    try:
        with ctx.write() as tx:
            member, link = _created(ctx, tx, form.login, form.profile())
    except TetkikError as error:
        return _list(ctx, error=error)
    return _list(ctx, link=link, invited=member)


@pages.get("/{user_id}")
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
        member, held = users.load_user(tx, user_id), repair.count_suspended(tx, user_id)
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


@pages.post("/{user_id}")
def change(ctx: Administrator, user_id: str, form: Annotated[UserForm, Form()]) -> Response:
    offered = offered_departments(ctx.settings.triage_model)
    return _done(ctx, user_id, lambda tx: users.change(tx, user_id, form.profile(), departments=offered))


@pages.post("/{user_id}/reset")
def reset(ctx: Administrator, user_id: str, keep: Annotated[bool, Form()] = False) -> Response:
    """Take the password away; the page shows the link for a new one this once.

    Every session ends; passkeys and tokens, too, unless the form says to keep them.
    """
    try:
        with ctx.write() as tx:
            ended = users.reset_access(tx, user_id, keys=not keep)
            link = _link(ctx, tx, user_id)
    except TetkikError as error:
        return _one(ctx, user_id, error=error)
    return _one(ctx, user_id, link=link, ended=ended)


def _done(ctx: RequestContext, user_id: str, work: Callable[[Transaction], object]) -> Response:
    return ctx.change(work, f"/admin/users/{user_id}", lambda error: _one(ctx, user_id, error=error))


def _choices(departments: tuple[str, ...]) -> dict[str, Any]:
    return {"roles": tuple(Role), "departments": departments, "every": EVERY_DEPARTMENT}
