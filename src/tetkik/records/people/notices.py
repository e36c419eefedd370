"""Notices about a person's own account, shown until they say that they have seen them.

Whoever changes how an account is opened cannot keep its person from hearing of it (OWASP ASVS 4.0.3, 2.2.3
and 2.5.5): acknowledging hides a notice from the pages, and the account still lists it.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update

from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.schema import BrowserSession, Notice, User
from tetkik.values import AccountChange

KEPT = timedelta(days=366)
"""How long a notice that was seen is listed."""
_LISTED = 30
_WHAT = 200
_OPEN = Notice.seen_at.is_(None)


@dataclass(frozen=True, slots=True)
class AccountNotice:
    id: str
    kind: AccountChange
    at: datetime
    by: str
    """The name of whoever did it; empty for the person, the program, and whoever came signed out."""
    address: str | None
    """From where; None where that is this machine itself."""
    agent: str
    what: str
    seen: bool


def notify(tx: Transaction, user_id: str, kind: AccountChange, what: str = "") -> str:
    """Let a person know that something of their account changed; gives the id of the notice."""
    seen = (Notice.user_id == user_id, Notice.browser.is_(None), Notice.seen_at.is_not(None))
    tx.apply(delete(Notice).where(*seen, Notice.at < tx.now - KEPT))
    session = tx.session.get(BrowserSession, tx.actor.session_id) if tx.actor.session_id else None
    return _add(tx, user_id, kind, session.agent if session is not None else None, what)


def notify_new_browser(tx: Transaction, user_id: str, browser: str, agent: str) -> None:
    """Let a person know of a sign-in with a browser that their account was never used in before.

    The very first browser of an account is news to nobody.
    """
    if not is_known_browser(tx, user_id, browser):
        first = tx.count(Notice, *_of_browsers(user_id)) == 0
        seen_at, digest = tx.now if first else None, _browser_digest(user_id, browser)
        _add(tx, user_id, AccountChange.NEW_BROWSER, agent, browser=digest, seen_at=seen_at)


def is_known_browser(tx: Transaction, user_id: str, browser: str) -> bool:
    """Whether this account was signed in to with this browser before."""
    digest = _browser_digest(user_id, browser)
    return tx.count(Notice, *_of_browsers(user_id), Notice.browser == digest) > 0


def _of_browsers(user_id: str) -> tuple[ColumnElement[bool], ...]:
    return Notice.user_id == user_id, Notice.kind == AccountChange.NEW_BROWSER


def _browser_digest(user_id: str, browser: str) -> str:
    return hashlib.sha256(f"{browser}:{user_id}".encode()).hexdigest()


def count_unseen(tx: Transaction) -> int:
    """How many notices the actor has not acknowledged."""
    return tx.count(Notice, Notice.user_id == tx.actor.user_id, _OPEN)


def list_notices(tx: Transaction) -> list[AccountNotice]:
    """The notices of the actor: what they have not acknowledged first, then the latest."""
    rows = tx.session.execute(
        select(Notice, User.name)
        .outerjoin(User, User.id == Notice.by_user_id)
        .where(Notice.user_id == tx.actor.user_id)
        .order_by(Notice.seen_at.is_not(None), Notice.id.desc())
        .limit(_LISTED)
    )
    return [
        row.to_value(
            AccountNotice,
            by=name if name and row.by_user_id != row.user_id else "",
            agent=row.agent or "",
            seen=row.seen_at is not None,
        )
        for row, name in rows
    ]


def acknowledge(tx: Transaction, upto: str) -> None:
    """The actor has seen their notices up to this id; what came after it stays."""
    shown = (Notice.user_id == tx.actor.user_id, _OPEN, Notice.id <= upto)
    tx.apply(update(Notice).where(*shown).values(seen_at=tx.now))


def _add(
    tx: Transaction, user_id: str, kind: AccountChange, agent: str | None, what: str = "", **columns: Any
) -> str:
    row = Notice(id=new_id(), user_id=user_id, kind=kind, at=tx.now, **columns)
    row.by_user_id, row.address = tx.actor.user_id, tx.actor.address
    row.agent, row.what = agent[:_WHAT] if agent else None, what[:_WHAT]
    tx.session.add(row)
    return row.id
