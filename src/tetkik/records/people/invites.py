"""One-time links: the first administrator, a new colleague, a forgotten password. Only digests are stored."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from tetkik.errors import NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.people import users
from tetkik.records.people.deactivation import void_links
from tetkik.records.people.users import Profile, digest_of, roles_of
from tetkik.records.row_authentication import delete_rows, refuse_put_back
from tetkik.records.schema import Invite, User
from tetkik.values import Role

VALID = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Invitation:
    user_id: str | None
    """Whose password it sets; None where it creates the user."""
    login: str
    name: str
    roles: frozenset[Role]
    expires_at: datetime


def invite(tx: Transaction, user_id: str) -> str:
    """A link's token that lets a user choose a password; older ones of theirs are void."""
    users.refuse_tokens(tx)
    user = users.user_row(tx, user_id)
    void_links(tx, user_id)
    return _issue(tx, user.roles, user_id)


def invite_first_administrator(tx: Transaction) -> str | None:
    """A link's token that creates the administrator; None where there is one already."""
    if users.count_administrators(tx) > 0:
        return None
    delete_rows(tx.session, Invite, Invite.user_id.is_(None), Invite.used_at.is_(None))
    return _issue(tx, Role.ADMINISTRATOR.value, None)


def _issue(tx: Transaction, roles: str, user_id: str | None) -> str:
    token = secrets.token_urlsafe(32)
    row = Invite(digest=digest_of(token), roles=roles, user_id=user_id)
    row.created_at, row.expires_at = tx.now, tx.now + VALID
    tx.session.add(row)
    tx.audit(Action.INVITED, object_id=user_id, given=roles)
    return token


def load_invitation(tx: Transaction, token: str) -> Invitation:
    """What a link opens, without using it."""
    invite = _valid(tx, token)
    user = tx.session.get(User, invite.user_id) if invite.user_id is not None else None
    return Invitation(
        invite.user_id,
        user.login if user else "",
        user.name if user else "",
        roles_of(invite.roles),
        invite.expires_at,
    )


def accept_invitation(
    tx: Transaction, token: str, password: str, *, login: str = "", name: str = "", hospital: str = ""
) -> str:
    """Use a link: set the password, or create the user; gives the user's id."""
    invite = _valid(tx, token)
    invite.used_at = tx.now
    user_id = invite.user_id
    if user_id is None:
        user_id = users.create(tx, login, Profile(name, roles_of(invite.roles)))
    users.set_password(tx, user_id, password, hospital)
    return user_id


def _valid(tx: Transaction, token: str) -> Invite:
    found = tx.session.scalar(
        select(Invite)
        .where(Invite.digest == digest_of(token), Invite.used_at.is_(None), Invite.expires_at > tx.now)
        .with_for_update()
    )
    user = tx.session.get(User, found.user_id) if found is not None and found.user_id else None
    # The link of the first start opens nothing once somebody else has become administrator.
    late = found is not None and found.user_id is None and users.count_administrators(tx) > 0
    if found is None or late or (user is not None and user.disabled_at is not None):
        raise NotFound("This link is over or was used already; ask the administrator for a new one.")
    refuse_put_back(tx.session, found)
    return found
