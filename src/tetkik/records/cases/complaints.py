"""Complaints: what the patient said, what the model made of it, and what a person decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select

from tetkik.records.audit_chain import Action
from tetkik.records.cases import complaint_drift
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id, new_id_like
from tetkik.records.schema import Case, Complaint
from tetkik.records.serialization import to_json
from tetkik.triage.age_and_duration import is_child
from tetkik.turkish import fold
from tetkik.values import (
    DepartmentScore,
    Evidence,
    MeasuredComplaint,
    RedFlag,
    Span,
    TriageResult,
    Urgency,
    UrgencyLevel,
)

_CARRIED = set(Complaint.__table__.columns.keys()) - {"id", "case_id", "patient_id", "text", "answer"}
"""What a complaint says beside its sealed words."""


@dataclass(frozen=True, slots=True)
class TriagedComplaint:
    """An answer about a complaint, and which model gave it."""

    result: TriageResult = field(repr=False)
    bundle_sha256: str
    """Of the manifest of the model's bundle, which holds the hash of every file of it."""
    measured: MeasuredComplaint | None = None
    """What the complaint is like, for telling drift; None counts it nowhere."""


@dataclass(frozen=True, slots=True)
class ComplaintView:
    id: str
    result: TriageResult = field(repr=False)
    bundle_sha256: str
    department_chosen: str | None
    chosen_by: str | None
    chosen_at: datetime | None
    created_at: datetime

    @property
    def department_model(self) -> str | None:
        """The first department of the model; None where it could not read the text."""
        return self.result.departments[0].name if self.result.departments else None


def store_complaint(tx: Transaction, case: Case, triaged: TriagedComplaint) -> None:
    """Keep the complaint of a new case with its answer, and the department that a person chose."""
    result = triaged.result
    first = result.departments[0] if result.departments else None
    chosen = case.department is not None
    row = Complaint(
        id=new_id(),
        case_id=case.id,
        patient_id=case.patient_id,
        bundle=result.model,
        bundle_sha256=triaged.bundle_sha256,
        urgency=result.urgency.level,
        urgency_rules=" ".join(
            flag.id for flag in result.urgency.flags if flag.level is result.urgency.level
        ),
        department_model=first.name if first else None,
        probability=first.probability if first else None,
        abstained=result.abstain,
        department_chosen=case.department,
        chosen_by=tx.actor.user_id if chosen else None,
        chosen_at=tx.now if chosen else None,
        created_at=tx.now,
        created_by=tx.actor.user_id,
    )
    tx.seal_column(row, "text", result.text.encode())
    tx.seal_column(row, "answer", to_json(_packed(result)))
    tx.session.add(row)
    complaint_drift.count_complaint(tx, triaged.bundle_sha256, result, triaged.measured)
    tx.audit_about(
        Action.COMPLAINT_TRIAGED,
        row,
        model=result.model,
        urgency=row.urgency,
        department=row.department_model,
        abstained=result.abstain,
    )


def load_complaint(tx: Transaction, case_id: str) -> ComplaintView | None:
    """The last complaint of a case; None where it has none. The caller has asked whether it may be seen."""
    row = complaint_row(tx, case_id)
    if row is None or row.text is None or row.answer is None:
        return None
    known = json.loads(tx.open_text(row, "answer"))
    return row.to_value(ComplaintView, result=_unpacked(tx.open_text(row, "text"), known))


def choose_department(tx: Transaction, case_id: str, department: str) -> None:
    """Note beside the model's answer which department a person chose, where there is a complaint."""
    row = complaint_row(tx, case_id)
    if row is not None:
        row.department_chosen, row.chosen_by, row.chosen_at = department, tx.actor.user_id, tx.now


def copy_complaint(tx: Transaction, case_id: str, other: Case) -> None:
    """Let what was said in a case have been said in another patient's; nothing of it stays in the first.

    Who took it down, what they chose and when stay; so does the answer that they saw.
    """
    rows = tx.session.scalars(select(Complaint).where(Complaint.case_id == case_id).order_by(Complaint.id))
    for row in rows.all():
        same = {column: getattr(row, column) for column in _CARRIED}
        fresh = Complaint(id=new_id_like(row.id), case_id=other.id, patient_id=other.patient_id, **same)
        for column in ("text", "answer"):
            tx.seal_column(fresh, column, tx.open_column(row, column))
        tx.session.add(fresh)
        tx.session.delete(row)
    tx.session.flush()


def complaint_row(tx: Transaction, case_id: str) -> Complaint | None:
    last = select(Complaint).where(Complaint.case_id == case_id).order_by(Complaint.id.desc()).limit(1)
    return tx.session.scalar(last)


def _packed(result: TriageResult) -> dict[str, Any]:
    """The contract's keys without the text, which is sealed beside it, and two that only the records keep."""
    answer = result.as_json() | {"question_id": result.question_id, "child": result.child}
    del answer["text"]
    return answer


def _unpacked(text: str, known: Mapping[str, Any]) -> TriageResult:
    return TriageResult(
        text,
        tuple(DepartmentScore(**item) for item in known["departments"]),
        Urgency(
            UrgencyLevel(known["urgency"]["level"]), tuple(_flag(item) for item in known["urgency"]["flags"])
        ),
        known["abstain"],
        known["reason"],
        known["question"],
        tuple(
            Evidence(Span(item["start"], item["end"]), item["text"], item["weight"])
            for item in known["evidence"]
        ),
        known["model"],
        known.get("question_id"),
        # Answers that were stored before the key was.
        known["child"] if "child" in known else is_child(fold(text)),
    )


def _flag(item: Mapping[str, Any]) -> RedFlag:
    return RedFlag(
        item["id"],
        UrgencyLevel(item["level"]),
        item["reason"],
        Span(item["start"], item["end"]),
        item["source"],
    )
