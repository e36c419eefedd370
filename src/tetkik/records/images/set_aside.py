"""Received studies for people: of which not everything could be taken over, and those decided already."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, or_, select

from tetkik.records.database import Transaction
from tetkik.records.images.receiving import ReceivedView, load_received
from tetkik.records.schema import ReceivedStudy
from tetkik.values import ReceivedState

_MOST = 200


@dataclass(frozen=True, slots=True)
class ReceivedCounts:
    doubtful: int
    failed: int
    oldest_seconds: float
    """How long the oldest doubtful one waits; 0 where none does."""


def list_set_aside(tx: Transaction) -> tuple[ReceivedView, ...]:
    """Studies that failed as a whole, and those in a case that lack files; the newest first."""
    partial = (ReceivedStudy.state == ReceivedState.IMPORTED) & (ReceivedStudy.refused > 0)
    wanted = or_(ReceivedStudy.state == ReceivedState.FAILED, partial)
    ids = select(ReceivedStudy.id).where(wanted).order_by(ReceivedStudy.last_at.desc(), ReceivedStudy.id)
    return tuple(load_received(tx, one) for one in tx.session.scalars(ids.limit(_MOST)).all())


def list_decided(tx: Transaction) -> tuple[ReceivedView, ...]:
    """Studies about which a person decided and of which nothing is in a case yet; the newest first."""
    states = (ReceivedState.COMPLETE, ReceivedState.REJECTED)
    wanted = (ReceivedStudy.state.in_(states), ReceivedStudy.decided_by.is_not(None))
    ids = select(ReceivedStudy.id).where(*wanted).order_by(ReceivedStudy.decided_at.desc(), ReceivedStudy.id)
    return tuple(load_received(tx, one) for one in tx.session.scalars(ids.limit(_MOST)).all())


def count_waiting(tx: Transaction) -> ReceivedCounts:
    """For monitoring."""
    doubtful = ReceivedStudy.state == ReceivedState.DOUBTFUL
    oldest = tx.session.scalar(select(func.min(ReceivedStudy.last_at)).where(doubtful))
    return ReceivedCounts(
        tx.count(ReceivedStudy, doubtful),
        tx.count(ReceivedStudy, ReceivedStudy.state == ReceivedState.FAILED),
        max(0.0, (tx.now - oldest).total_seconds()) if oldest is not None else 0.0,
    )
