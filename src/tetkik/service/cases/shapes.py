"""What cases look like to a program."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tetkik.records.cases.case_list import CaseLine
from tetkik.records.cases.cases import LONGEST_QUESTION, CaseView
from tetkik.records.cases.moves import OtherCase
from tetkik.service.patients.shapes import ID_PATTERN, PersonShape
from tetkik.service.reception.shapes import TriageShape
from tetkik.service.reception.triage import LONGEST_TEXT
from tetkik.values import CaseState, MoveReason, Priority, UrgencyLevel

Department = Annotated[str, Field(min_length=1, max_length=60, description="One of the model's departments.")]


class NewCase(BaseModel):
    """What opens a case. The patient is `patient_id`, or `patient`, or nobody knows (`unknown`).

    Attributes:
        patient_id: of a known patient.
        patient: who a new patient is.
        unknown: nobody knows who the patient is.
        complaint: what the patient says; it is answered by the model and kept with the answer.
        department: that a person chose.
        question: the clinical question of the referrer.
        restricted: whether the case opens only with a reason.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "patient": {"name": "Ayşe YILMAZ", "birth_date": "1980-05-17", "sex": "F"},
                    "complaint": "İki gündür öksürüyorum, göğsüm ağrıyor.",
                    "department": "Göğüs Hastalıkları",
                }
            ]
        },
    )

    patient_id: Annotated[str, StringConstraints(pattern=ID_PATTERN)] | None = None
    patient: PersonShape | None = None
    unknown: bool = False
    complaint: str = Field("", max_length=LONGEST_TEXT, repr=False)
    department: Department | None = None
    question: str = Field("", max_length=LONGEST_QUESTION, repr=False)
    restricted: bool = False


class CaseChange(BaseModel):
    """What is to be changed; what is left out stays.

    Attributes:
        patient: who the patient is, whole.
        department: that a person chose.
        question: the clinical question.
        restricted: whether the case opens only with a reason.
        priority: that a person chose, whatever is found; `as_found` lets it follow triage and the findings.
        closed: True puts the case away, False takes it up again.
    """

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"department": "Kardiyoloji"}]})

    patient: PersonShape | None = None
    department: Department | None = None
    question: str | None = Field(None, max_length=LONGEST_QUESTION, repr=False)
    restricted: bool | None = None
    priority: PriorityChoice | None = None
    closed: bool | None = None


class CaseSummary(BaseModel):
    """A case in a list: without identity and without words of the patient.

    Attributes:
        id: of the case.
        number: what people call it.
        state: where it is on its way.
        priority: 0 critical, 1 urgent, 2 routine.
        urgency: of triage; None without a complaint.
        department: that a person chose.
        restricted: whether it opens only with a reason.
        waiting_since: for the worklist.
        created_at: when it was opened.
        updated_at: when it last changed.
    """

    id: str
    number: str
    state: CaseState
    priority: int = Field(ge=0, le=2)
    urgency: UrgencyLevel | None
    department: str | None
    restricted: bool
    waiting_since: datetime
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, line: CaseLine | CaseView) -> CaseSummary:
        """The shape of a line of a list."""
        return cls(**_shared(line))


class OtherCaseShape(BaseModel):
    """The case at the other end of a move.

    Attributes:
        case_id: of the case.
        number: what people call it.
        reason: why it was moved.
        moved_at: when.
    """

    case_id: str
    number: str
    reason: MoveReason
    moved_at: datetime

    @classmethod
    def of(cls, other: OtherCase | None) -> OtherCaseShape | None:
        """The shape of such a case; None of none."""
        if other is None:
            return None
        return cls(case_id=other.id, number=other.number, reason=other.reason, moved_at=other.moved_at)


class CaseShape(CaseSummary):
    """A case with its patient.

    Attributes:
        patient_id: for a further case of the same patient.
        patient: who the patient is.
        registered_as: what the record says under which the case was opened; None where no other one
            stands for it.
        question: the clinical question.
        triage: the complaint with the model's answer; None without one.
        by_glass: whether it is open only because the glass was broken.
        priority_chosen: whether a person chose the priority; else it follows triage and the findings.
        moved_to: the case as which it goes on, had it been opened for the wrong patient.
        moved_from: the case of the wrong patient that it was.
    """

    patient_id: str
    patient: PersonShape
    registered_as: PersonShape | None
    question: str
    triage: TriageShape | None
    by_glass: bool
    priority_chosen: bool
    moved_to: OtherCaseShape | None
    moved_from: OtherCaseShape | None

    @classmethod
    def of_case(cls, case: CaseView) -> CaseShape:
        """The shape of a case."""
        return cls.model_construct(
            **_shared(case),
            patient_id=case.patient_id,
            patient=PersonShape.of(case.person),
            registered_as=PersonShape.of(case.registered_as) if case.registered_as else None,
            question=case.question,
            priority_chosen=case.priority_chosen,
            triage=TriageShape.of(case.complaint.result) if case.complaint else None,
            by_glass=case.by_glass,
            moved_to=OtherCaseShape.of(case.moves.to),
            moved_from=OtherCaseShape.of(case.moves.origin),
        )


def _shared(case: CaseLine | CaseView) -> dict[str, Any]:
    return {
        "id": case.id,
        "number": case.number,
        "state": case.state,
        "priority": int(case.priority),
        "urgency": case.urgency,
        "department": case.department,
        "restricted": case.restricted,
        "waiting_since": case.waiting_since,
        "created_at": case.created_at,
        "updated_at": case.updated_at,
    }


class PriorityChoice(StrEnum):
    """What a person says of how soon a case is read."""

    CRITICAL = "critical"
    URGENT = "urgent"
    ROUTINE = "routine"
    AS_FOUND = "as_found"
    """As triage and the findings that stand ask."""

    @property
    def priority(self) -> Priority | None:
        """The one that was chosen; None lets it follow."""
        return None if self is PriorityChoice.AS_FOUND else Priority[self.name]
