"""Accounts that another program changed or put back in the database: found, and repaired from the machine.

What such a row says is nobody's word. Its password and its join to single sign-on go, the roles are given
anew, and passkeys, tokens, sessions and links that were altered are removed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select, true, update
from sqlalchemy.orm import Session

from tetkik.errors import NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.people import notices, passwords, users
from tetkik.records.people.deactivation import end_sessions, live_tokens, revoke_keys, void_links
from tetkik.records.people.users import folded_login
from tetkik.records.row_authentication import (
    COVERED,
    UNCHECKED,
    authenticate,
    delete_rows,
    is_altered,
    is_put_back,
)
from tetkik.records.schema.base import Base
from tetkik.records.schema.people import ApiToken, BrowserSession, Invite, Passkey, User
from tetkik.values.access import AccountChange, Role

# Passkeys and tokens that a backup brings back, suspended until an administrator confirms them.
#
# Whatever was ended after the backup was made comes back with it. One-time links end. A passkey or a token
# may be one that was lost, or revoked for good reason: it opens nothing before an administrator, or whoever
# is at the machine, has confirmed it. Passwords, roles and closed accounts are those of the backup's time,
# which nobody can know better; users are notified, and whoever restores is asked to check the list.


@dataclass(frozen=True, slots=True)
class SuspendedKeys:
    passkeys: int = 0
    tokens: int = 0

    @property
    def any(self) -> bool:
        """Whether there is something to confirm."""
        return self.passkeys + self.tokens > 0


def suspend_access(session: Session, at: datetime) -> None:
    """Close what a backup opens again: every session and link ends, passkeys and tokens wait."""
    session.connection().execute(delete(BrowserSession))
    delete_rows(session, Invite, Invite.used_at.is_(None))
    for row in _there(session):
        row.held_at = at
    session.flush()


def suspend_restored_access(tx: Transaction, made_at: str) -> SuspendedKeys:
    """Close what a backup has opened again, and tell everybody when it was made (ISO 8601)."""
    suspend_access(tx.session, tx.now)
    for user_id in tx.session.scalars(select(User.id).where(User.disabled_at.is_(None))).all():
        notices.notify(tx, user_id, AccountChange.RESTORED, made_at)
    return count_suspended(tx)


def _there(session: Session) -> Iterator[Passkey | ApiToken]:
    """Every passkey and token that could open something: none that was altered or put back."""
    for query in (select(Passkey), select(ApiToken).where(ApiToken.revoked_at.is_(None))):
        for row in session.scalars(query, execution_options=UNCHECKED).all():
            if not (is_altered(row) or is_put_back(session, row)):
                yield row


def count_suspended(tx: Transaction, user_id: str | None = None) -> SuspendedKeys:
    """What waits, of everybody or of one user."""

    def whose(of: type[Passkey | ApiToken]) -> ColumnElement[bool]:
        return of.user_id == user_id if user_id is not None else true()

    return SuspendedKeys(
        tx.count(Passkey, Passkey.held_at.is_not(None), whose(Passkey)),
        tx.count(ApiToken, ApiToken.held_at.is_not(None), live_tokens(tx), whose(ApiToken)),
    )


def confirm_keys(tx: Transaction, user_id: str) -> SuspendedKeys:
    """Let the passkeys and tokens of a user open again; gives how many did."""
    users.refuse_tokens(tx)
    users.user_row(tx, user_id)
    waiting = count_suspended(tx, user_id)
    for row in _there(tx.session):
        if row.user_id == user_id:
            row.held_at = None
    tx.audit(Action.USER_CHANGED, object_id=user_id, what="keys_confirmed", **asdict(waiting))
    return waiting


def list_altered(tx: Transaction, kind: type[Base]) -> Iterator[Any]:
    """Rows of one of the tables of `COVERED` that open nothing, because another program wrote them."""
    rows = tx.session.scalars(select(kind), execution_options=UNCHECKED).all()
    yield from (row for row in rows if is_altered(row) or is_put_back(tx.session, row))


def remove_altered_keys(tx: Transaction) -> int:
    """Remove altered passkeys, tokens, sessions and links; gives how many."""
    removed = 0
    for kind in COVERED:
        if kind is User:
            continue
        table: Any = kind.__table__
        (key,) = table.primary_key
        going = [getattr(row, key.name) for row in list_altered(tx, kind)]
        removed += delete_rows(tx.session, kind, key.in_(going))
    if removed:
        tx.audit(Action.USER_CHANGED, what="altered_keys_removed", count=removed)
    return removed


def repair_account(tx: Transaction, login: str, roles: Collection[Role]) -> str:
    """Take an altered account back, with these roles and nothing that opens it; gives its id.

    Departments go as well: an administrator gives them anew.
    """
    folded = folded_login(login)
    user = next((user for user in list_altered(tx, User) if user.login == folded), None)
    if user is None:
        raise NotFound(
            "The account {login} was not altered; `tetkik users repair` lists those.", login=folded
        )
    remove_altered_keys(tx)
    before = user.roles
    cleared = dict.fromkeys(("password_hash", "oidc_issuer", "oidc_subject"))
    tx.apply(
        update(User)
        .where(User.id == user.id)
        .values(roles=",".join(sorted(roles)), departments="", **cleared)
    )
    user = tx.session.get_one(User, user.id, populate_existing=True, execution_options=UNCHECKED)
    authenticate(tx.session, user)
    tx.session.refresh(user)
    passwords.forget(tx, user.id)
    end_sessions(tx, user.id)
    void_links(tx, user.id)
    revoke_keys(tx, user.id)
    tx.audit(Action.USER_CHANGED, object_id=user.id, what="repaired", before=before, given=user.roles)
    return user.id
