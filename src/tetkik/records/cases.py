"""Cases: one visit of one patient, from the desk to the signed report."""

from __future__ import annotations

from sqlalchemy import select

from tetkik.records.audit import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.schema import Case, Note
from tetkik.values import CaseState, Priority


def open_case(
    tx: Transaction,
    patient_id: str,
    *,
    department: str | None = None,
    priority: Priority = Priority.ROUTINE,
    question: str = "",
    restricted: bool = False,
) -> str:
    """Open a case for a patient; gives its id.

    Args:
        tx: the transaction.
        patient_id: whose.
        department: that a person chose; None where nobody has yet.
        priority: before any model has seen an image.
        question: the clinical question of the referrer.
        restricted: whether it opens only with a reason.

    Raises:
        NotFound: the patient was erased.
    """
    case_id = new_id()
    tx.session.add(
        Case(
            id=case_id,
            number=_next_number(tx),
            patient_id=patient_id,
            state=CaseState.WAITING,
            priority=priority,
            department=department,
            restricted=restricted,
            waiting_since=tx.now,
            created_at=tx.now,
            created_by=tx.actor.user_id,
            updated_at=tx.now,
            question=tx.seal(patient_id, "cases.question", case_id, question.encode()) if question else None,
        )
    )
    tx.session.flush()
    tx.audit(Action.CASE_CREATED, case_id=case_id, patient_id=patient_id)
    tx.announce("case", case_id)
    return case_id


def _next_number(tx: Transaction) -> str:
    """The next running number of the year, such as `2026-000123`."""
    year = tx.now.year
    key = f"case number {year}"
    note = tx.session.scalar(select(Note).where(Note.key == key).with_for_update())
    if note is None:
        note = Note(key=key, value="0")
        tx.session.add(note)
    note.value = str(int(note.value) + 1)
    return f"{year}-{int(note.value):06}"
