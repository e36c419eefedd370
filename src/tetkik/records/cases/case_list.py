"""Lists of cases: what each is and where it stands, without identity and without words of the patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from tetkik.records.database import Transaction
from tetkik.records.people.visibility import visible_cases
from tetkik.records.schema import Case
from tetkik.records.schema.base import fitting
from tetkik.values import CaseState, Priority, UrgencyLevel


@dataclass(frozen=True, slots=True)
class ListedCase:
    """A case as a list shows it: without identity and without words of the patient."""

    id: str
    number: str
    state: CaseState
    priority: Priority
    urgency: UrgencyLevel | None
    department: str | None
    restricted: bool
    waiting_since: datetime
    created_at: datetime
    updated_at: datetime


def list_cases(
    tx: Transaction,
    *,
    before: str | None = None,
    limit: int = 50,
    state: CaseState | None = None,
    department: str | None = None,
) -> tuple[ListedCase, ...]:
    """Cases that the actor may see, the newest first.

    Args:
        before: the id after which the page begins; None begins at the newest.
    """
    wanted = fitting((Case.state, state), (Case.department, department))
    query = select(Case).where(visible_cases(tx), *wanted).order_by(Case.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Case.id < before)
    return tuple(
        row.to_value(ListedCase, priority=Priority(row.priority)) for row in tx.session.scalars(query)
    )
