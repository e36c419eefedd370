"""The cases that were opened today, for the desk."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from tetkik.records.database import Transaction
from tetkik.records.people.visibility import visible_cases
from tetkik.records.schema import Case
from tetkik.records.worklist.worklist_items import WorklistItem, load_items
from tetkik.values import CaseState

MOST = 200
"""Cases that the list shows; a desk opens fewer in a day."""


def load_opened_today(tx: Transaction, limit: int = MOST) -> tuple[WorklistItem, ...]:
    """Cases that were opened since midnight here and that the actor may see, the newest first.

    One that was moved to the right patient stands there under its new number.
    """
    opened = (
        select(Case.id)
        .where(Case.created_at >= midnight(tx.now), Case.state != CaseState.MOVED, visible_cases(tx))
        .order_by(Case.created_at.desc(), Case.id.desc())
        .limit(limit)
    )
    return load_items(tx, list(tx.session.scalars(opened)))


def midnight(moment: datetime) -> datetime:
    """When the day of a moment began in the time zone of this machine."""
    local = moment.astimezone().replace(tzinfo=None)
    return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone()
