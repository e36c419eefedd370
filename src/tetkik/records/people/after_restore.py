"""Passkeys and tokens that a backup brings back, suspended until an administrator confirms them.

Whatever was ended after the backup was made comes back with it. One-time links end. A passkey or a token may
be one that was lost, or revoked for good reason: it opens nothing before an administrator, or whoever is at
the machine, has confirmed it. Passwords, roles and closed accounts are those of the backup's time, which
nobody can know better; users are notified, and whoever restores is asked to check the list.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, true
from sqlalchemy.orm import Session

from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.people import notices, users
from tetkik.records.people.deactivation import live_tokens
from tetkik.records.row_authentication import UNCHECKED, delete_rows, is_altered, is_put_back
from tetkik.records.schema import ApiToken, BrowserSession, Invite, Passkey, User
from tetkik.values import AccountChange


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
