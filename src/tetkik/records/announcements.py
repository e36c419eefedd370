"""Announcements for open pages: written at the end of a transaction, in the order in which transactions end.

A page asks for everything after the last number that it received. That misses nothing only if no smaller
number appears later, so numbers are given out one transaction after the other: SQLite writes so anyway,
and PostgreSQL does behind a lock that is held until the transaction is over.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from tetkik.records.schema import Event

_LOCK = 0x7E7C18
"""Any number, the same in every process and for nothing else (`migrate` has its own)."""


@dataclass(frozen=True, slots=True)
class Announcement:
    kind: str
    case_id: str | None
    """To which case; an id alone, each page asks for the rest with its own rights."""


def publish(session: Session, at: datetime, announcements: Sequence[Announcement]) -> None:
    """Write announcements for the open pages, once each, as the last thing in a transaction."""
    if not announcements:
        return
    hold_order(session)
    session.add_all(Event(at=at, kind=one.kind, case_id=one.case_id) for one in dict.fromkeys(announcements))
    session.flush()


def hold_order(session: Session) -> None:
    """Wait for the transactions that give out numbers, until they are through; SQLite has one at a time."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
