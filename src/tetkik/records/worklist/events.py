"""What open pages hear: the announcements of transactions, each to whoever may know of its case."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select

from tetkik.records.database import Transaction
from tetkik.records.people.visibility import visible
from tetkik.records.schema import BrowserSession, Case, Event, User

KEPT = timedelta(days=1)
"""Older ones are removed; a page that slept longer begins anew."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Heard:
    """One announcement.

    Attributes:
        seq: its number; later ones are larger.
        kind: what happened.
        case_id: to which case; None where to none.
    """

    seq: int
    kind: str
    case_id: str | None


@dataclass(frozen=True, slots=True)
class Hearing:
    """What a page hears at once.

    Attributes:
        events: in order, of the cases that the actor may see.
        upto: the number up to which nothing else is to be heard.
        missed: whether some may have been removed before the page heard them: it begins anew.
    """

    events: tuple[Heard, ...]
    upto: int
    missed: bool = False


def newest(tx: Transaction) -> int:
    """The number of the last announcement; 0 before the first."""
    return tx.session.scalar(select(func.max(Event.seq))) or 0


def after(tx: Transaction, seq: int) -> Hearing:
    """What was announced after a number, as far as the actor may know of it.

    Args:
        tx: the transaction.
        seq: that was heard last.
    """
    rows = tx.session.execute(
        select(Event.seq, Event.kind, Event.case_id)
        .where(Event.seq > seq)
        .order_by(Event.seq)
        .limit(_AT_ONCE)
    ).all()
    if not rows:
        return Hearing((), seq)
    ids = {row.case_id for row in rows if row.case_id is not None}
    seen = set(tx.session.scalars(select(Case.id).where(Case.id.in_(ids), visible(tx)))) if ids else set()
    heard = tuple(
        Heard(row.seq, row.kind, row.case_id) for row in rows if row.case_id is None or row.case_id in seen
    )
    oldest = tx.session.scalar(select(func.min(Event.seq))) or 0
    return Hearing(heard, rows[-1].seq, missed=0 < seq < oldest - 1)


def still_there(tx: Transaction) -> bool:
    """Whether the actor's session goes on: not over, not locked, its person not disabled.

    It is not noted as used: a page that listens is not a person at the keyboard.
    """
    actor = tx.actor
    if actor.session_id is None:
        user = tx.session.get(User, actor.user_id) if actor.user_id else None
        return user is not None and user.disabled_at is None
    open_session = (
        select(BrowserSession.id)
        .join(User, User.id == BrowserSession.user_id)
        .where(
            BrowserSession.id == actor.session_id,
            BrowserSession.locked.is_(False),
            BrowserSession.expires_at > tx.now,
            User.disabled_at.is_(None),
        )
    )
    return tx.session.scalar(open_session) is not None


def prune(tx: Transaction) -> None:
    """Remove what every page has heard long ago; the last one stays, so that numbers go on."""
    last = newest(tx)
    tx.session.execute(delete(Event).where(Event.at < tx.now - KEPT, Event.seq < last))
