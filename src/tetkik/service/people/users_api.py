"""Users, for the administrator.

With a token accounts are listed, closed and their names corrected; whatever opens one, or widens what it may
do, takes a person.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from tetkik.records.database import Transaction
from tetkik.records.people import after_restore, invites, users
from tetkik.records.people.users import Member, Profile
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.passkeys import origin_of
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from tetkik.service.people.shapes import InvitedUser, Link, NewUser, Reset, UserProfile, UserView
from tetkik.values import Permission
from tetkik.workflow import offered_departments

router = APIRouter(prefix="/users", tags=["users"])

Administrator = Annotated[RequestContext, allowed(Permission.USERS)]
UserId = Annotated[str, Path(max_length=64)]


@router.get("")
def list_users(ctx: Administrator, cursor: Cursor = None, limit: Limit = 50) -> Page[UserView]:
    """Everybody, by login."""
    after = str(decode_cursor(cursor, [str])[0]) if cursor else ""
    with ctx.read() as tx:
        found = users.list_users(tx, after=after, limit=limit + 1)
    more = encode_cursor([found[limit - 1].login]) if len(found) > limit else None
    return Page(items=[_view(member) for member in found[:limit]], next=more)


@router.post("", status_code=201, response_model=InvitedUser)
def create_user(ctx: Administrator, once: IdempotentDep, new: NewUser) -> Response:
    """Create a user; the answer holds the link with which they choose a password."""
    origin, offered = origin_of(ctx.request), offered_departments(ctx.settings.triage_model)

    def create(tx: Transaction) -> InvitedUser:
        user_id = users.create(tx, new.login, _profile(new), departments=offered)
        token = invites.invite(tx, user_id)
        view = _view(users.load_user(tx, user_id))
        return InvitedUser(link=f"{origin}/setup/{token}", **view.model_dump())

    return once.run(ctx.records, ctx.actor, create).response()


@router.get("/{user_id}")
def get_user(ctx: Administrator, user_id: UserId) -> UserView:
    """One user."""
    with ctx.read() as tx:
        return _view(users.load_user(tx, user_id))


@router.put("/{user_id}")
def change_user(ctx: Administrator, user_id: UserId, profile: UserProfile) -> UserView:
    """Give a user another name, other roles, other departments."""
    offered, wanted = offered_departments(ctx.settings.triage_model), _profile(profile)
    return _changed(ctx, user_id, lambda tx: users.change(tx, user_id, wanted, departments=offered))


Act = Callable[[Transaction, str], object]
ACTS: tuple[tuple[str, str, str, Act], ...] = (
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
        after_restore.confirm_keys,
    ),
)
"""What is done to an account, by the API and the pages: path, name, meaning, and the work."""


def _changing(act: Act) -> Callable[..., UserView]:
    def changed(ctx: Administrator, user_id: UserId) -> UserView:
        return _changed(ctx, user_id, lambda tx: act(tx, user_id))

    return changed


for _path, _name, _meaning, _act in ACTS:
    router.post(f"/{{user_id}}/{_path}", name=_name, description=_meaning)(_changing(_act))


@router.post("/{user_id}/reset", status_code=201, response_model=Link)
def reset_user(
    ctx: Administrator, once: IdempotentDep, user_id: UserId, how: Reset | None = None
) -> Response:
    """Take the password away and end every session; the answer holds the link to choose another."""
    origin, keep = origin_of(ctx.request), how is not None and how.keep_keys

    def reset(tx: Transaction) -> Link:
        ended = users.reset_access(tx, user_id, keys=not keep)
        return Link(
            link=f"{origin}/setup/{invites.invite(tx, user_id)}",
            sessions_ended=ended.sessions,
            passkeys_removed=ended.passkeys,
            tokens_revoked=ended.tokens,
        )

    return once.run(ctx.records, ctx.actor, reset).response()


def _changed(ctx: RequestContext, user_id: str, work: Callable[[Transaction], object]) -> UserView:
    with ctx.write() as tx:
        work(tx)
        return _view(users.load_user(tx, user_id))


def _profile(given: UserProfile) -> Profile:
    return Profile(
        given.name, frozenset(given.roles), given.title, given.registration, tuple(given.departments)
    )


def _view(member: Member) -> UserView:
    profile = member.profile
    return UserView.from_value(
        member,
        name=profile.name,
        title=profile.title,
        registration=profile.registration,
        roles=sorted(profile.roles),
        departments=list(profile.departments),
        disabled=member.disabled_at is not None,
        paused=member.locked_until is not None,
    )
