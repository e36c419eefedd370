"""Which case a case that was opened for the wrong patient became, and which one it was before: ids alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from tetkik.errors import Conflict
from tetkik.records.database import Transaction
from tetkik.records.schema import Case, CaseMove, User
from tetkik.values import CaseState, MoveReason

_ENDED = tuple(state for state in CaseState if state.ended)


@dataclass(frozen=True, slots=True)
class MovedCase:
    """The case at the other end of a move; whoever opens it asks with their own rights."""

    id: str
    number: str
    reason: MoveReason
    moved_at: datetime
    moved_by: str | None
    """Who; None for the program itself."""


@dataclass(frozen=True, slots=True)
class CaseMoves:
    """Where a case went, and where it came from."""

    to: MovedCase | None = None
    origin: MovedCase | None = None


class CaseMoved(Conflict):
    """The case goes on as another one."""

    def __init__(self, to: MovedCase) -> None:
        self.to = to
        super().__init__(
            "This case was opened for the wrong patient and goes on as {number}; open that one.",
            number=to.number,
        )


def load_moves(tx: Transaction, case_id: str) -> CaseMoves:
    """Where a case went and where it came from; the caller has asked whether it may be seen."""
    return CaseMoves(
        _other(tx, CaseMove.case_id, CaseMove.moved_to, case_id),
        _other(tx, CaseMove.moved_to, CaseMove.case_id, case_id),
    )


def require_open(tx: Transaction, case: Case) -> None:
    """Let nothing be done in a case that has ended: `Conflict` where it is closed."""
    require_not_moved(tx, case.id)
    if case.state is CaseState.CLOSED:
        raise Conflict("The case is closed; take it up again first.")


def require_not_moved(tx: Transaction, case_id: str) -> None:
    """Let nothing be done in a case that goes on as another one."""
    to = load_moves(tx, case_id).to
    if to is not None:
        raise CaseMoved(to)


def find_successor_cases(tx: Transaction, patient_ids: Iterable[str]) -> tuple[str, ...]:
    """The open cases of others as which those go on that were opened for these records."""
    found: set[str] = set()
    query = select(CaseMove.moved_to).join(Case, Case.id == CaseMove.case_id)
    now = set(tx.session.scalars(query.where(Case.patient_id.in_(tuple(patient_ids)))))
    while now - found:
        found |= now
        now = set(tx.session.scalars(select(CaseMove.moved_to).where(CaseMove.case_id.in_(now))))
    wanted = select(Case.id).where(Case.id.in_(found), Case.state.not_in(_ENDED)).order_by(Case.id.desc())
    return tuple(tx.session.scalars(wanted))


def _other(
    tx: Transaction, here: InstrumentedAttribute[str], there: InstrumentedAttribute[str], case_id: str
) -> MovedCase | None:
    row = tx.session.execute(
        select(Case.id, Case.number, CaseMove.reason, CaseMove.created_at, User.name)
        .join(CaseMove, there == Case.id)
        .outerjoin(User, User.id == CaseMove.created_by)
        .where(here == case_id)
    ).one_or_none()
    return MovedCase(*row) if row is not None else None
