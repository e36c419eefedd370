"""What cases look like to a program."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from tetkik.records.cases.cases import LONGEST_QUESTION, CaseView
from tetkik.records.cases.transfers import MovedCase
from tetkik.service.kit.http.shape import Shape
from tetkik.service.patients.shapes import ID_PATTERN, PersonShape
from tetkik.service.reception.shapes import TriageShape, UrgencyChange
from tetkik.service.reception.triage import LONGEST_TEXT
from tetkik.values import CaseState, MoveReason, Priority, UrgencyLevel, UrgencyReason

Department = Annotated[str, Field(min_length=1, max_length=60, description="One of the model's departments.")]


class NewCase(BaseModel):
    """What opens a case. The patient is `patient_id`, or `patient`, or nobody knows (`unknown`)."""

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
    unknown: StrictBool = Field(default=False, description="Nobody knows who the patient is.")
    complaint: str = Field(
        default="",
        max_length=LONGEST_TEXT,
        repr=False,
        description="What the patient says; it is answered by the model and kept with the answer.",
    )
    department: Department | None = None
    question: str = Field(
        default="",
        max_length=LONGEST_QUESTION,
        repr=False,
        description="The clinical question of the referrer.",
    )
    restricted: StrictBool = Field(default=False, description="Whether the case opens only with a reason.")
    urgency: UrgencyChange | None = Field(
        default=None, description="Where a person sets another level than triage gives the complaint."
    )


class CaseChange(BaseModel):
    """What is to be changed; what is left out stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"department": "Kardiyoloji"}]})

    patient: PersonShape | None = None
    department: Department | None = None
    question: str | None = Field(default=None, max_length=LONGEST_QUESTION, repr=False)
    restricted: StrictBool | None = Field(
        default=None, description="Whether the case opens only with a reason."
    )
    priority: PriorityChoice | None = Field(
        default=None,
        description="A person's choice; `as_found` lets it follow triage and the findings.",
    )
    urgency: UrgencyChange | None = Field(
        default=None, description="Another level than that of triage, or that of triage again."
    )
    closed: StrictBool | None = Field(
        default=None, description="True puts the case away, False takes it up again."
    )


class CaseSummary(Shape):
    """A case in a list: without identity and without words of the patient."""

    id: str
    number: str
    state: CaseState = Field(description="Where it is on its way.")
    priority: int = Field(ge=0, le=2, description="0 critical, 1 urgent, 2 routine.")
    urgency: UrgencyLevel | None = Field(
        description="A person's, or else of triage; None without a complaint, or where not assessed."
    )
    department: str | None
    restricted: bool = Field(description="Whether it opens only with a reason.")
    waiting_since: datetime
    created_at: datetime
    updated_at: datetime


class ChosenUrgencyShape(Shape):
    """The urgency that a person set instead of that of triage."""

    level: UrgencyLevel
    reason: UrgencyReason
    at: datetime


class OtherCaseShape(Shape):
    """The case at the other end of a move."""

    case_id: str
    number: str
    reason: MoveReason
    moved_at: datetime

    @classmethod
    def of(cls, other: MovedCase | None) -> OtherCaseShape | None:
        return None if other is None else cls.from_value(other, case_id=other.id)


class CaseShape(CaseSummary):
    """A case with its patient."""

    patient_id: str = Field(description="For a further case of the same patient.")
    patient: PersonShape
    registered_as: PersonShape | None = Field(
        description="The record under which the case was opened; None where no other stands for it."
    )
    question: str
    triage: TriageShape | None = Field(
        description="The complaint with the model's answer; None without one. `urgency` of the case holds."
    )
    urgency_chosen: ChosenUrgencyShape | None = Field(
        description="Where a person set another level; None where that of triage stands."
    )
    by_glass: bool = Field(description="Whether it is open only because the glass was broken.")
    priority_chosen: bool = Field(
        description="Whether a person chose the priority; else it follows triage and the findings."
    )
    moved_to: OtherCaseShape | None = Field(
        description="The case as which it goes on, had it been opened for the wrong patient."
    )
    moved_from: OtherCaseShape | None = Field(description="The case of the wrong patient that it was.")

    @classmethod
    def of_case(cls, case: CaseView) -> CaseShape:
        chosen = case.complaint.urgency_chosen if case.complaint else None
        return cls.from_value(
            case,
            priority=int(case.priority),
            patient=PersonShape.of(case.person),
            registered_as=PersonShape.of(case.registered_as) if case.registered_as else None,
            triage=TriageShape.of(case.complaint.result) if case.complaint else None,
            urgency_chosen=ChosenUrgencyShape.from_value(chosen) if chosen else None,
            moved_to=OtherCaseShape.of(case.moves.to),
            moved_from=OtherCaseShape.of(case.moves.origin),
        )


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
