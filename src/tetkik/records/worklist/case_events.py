"""Events for open pages: the announcements of transactions, for those who may see the case."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, func, select

from tetkik.records.database import Transaction
from tetkik.records.people.access import AccessState, load_access_states, visible_cases
from tetkik.records.schema import Case, Event

KEPT = timedelta(days=1)
"""Older ones are removed; a page that slept longer begins again."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class CaseEvent:
    seq: int
    kind: str
    case_id: str | None


@dataclass(frozen=True, slots=True)
class EventBatch:
    events: tuple[CaseEvent, ...]
    """In order, of the cases that the actor may see."""
    upto: int
    """The number up to which there is nothing else."""
    missed: bool = False
    """Whether some may have been removed before the page received them: it begins again."""


def newest_sequence(tx: Transaction) -> int:
    """The number of the last announcement; 0 before the first."""
    return tx.session.scalar(select(func.max(Event.seq))) or 0


def load_events_after(tx: Transaction, seq: int) -> EventBatch:
    """What was announced after a number, as far as the actor may know of it."""
    rows = tx.session.execute(
        select(Event.seq, Event.kind, Event.case_id)
        .where(Event.seq > seq)
        .order_by(Event.seq)
        .limit(_AT_ONCE)
    ).all()
    if not rows:
        return EventBatch((), seq)
    ids = {row.case_id for row in rows if row.case_id is not None}
    visible = select(Case.id).where(Case.id.in_(ids), visible_cases(tx))
    seen = {None, *(tx.session.scalars(visible) if ids else ())}
    events = tuple(CaseEvent(row.seq, row.kind, row.case_id) for row in rows if row.case_id in seen)
    oldest = tx.session.scalar(select(func.min(Event.seq))) or 0
    return EventBatch(events, rows[-1].seq, missed=0 < seq < oldest - 1)


def is_actor_current(tx: Transaction) -> bool:
    """Whether the actor is still who they were: session or token goes on, roles and departments are the same.

    It is not recorded as used: a page that listens is not a person at the keyboard.
    """
    actor = tx.actor
    now = load_access_states(tx, [actor]).get(actor.session_id or actor.token_id or "")
    return now == AccessState.of(actor)


def delete_old_events(tx: Transaction) -> None:
    """Remove what every page received long ago; the last one stays, so that numbers go on."""
    last = newest_sequence(tx)
    tx.session.execute(delete(Event).where(Event.at < tx.now - KEPT, Event.seq < last))
