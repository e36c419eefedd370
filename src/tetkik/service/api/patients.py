"""Records of one patient: looked at, compared with another's, joined into one, and taken apart again."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from tetkik.records.database import Transaction
from tetkik.service.access.guard import allowed
from tetkik.service.api.case_shapes import ID_PATTERN, PersonShape
from tetkik.service.api.withdrawal_shapes import WithdrawnShape
from tetkik.service.house import InHouse
from tetkik.service.http.once import OnlyOnce
from tetkik.values import Actor, CaseState, LinkReason, Permission, SplitReason
from tetkik.workflow import patient_comparison, patient_merge
from tetkik.workflow.patient_comparison import Agreement, PatientComparison, PatientRecord, Trait

router = APIRouter(prefix="/patients", tags=["patients"])
Merger = Annotated[Actor, allowed(Permission.PATIENTS_MERGE)]
PatientId = Annotated[str, Path(max_length=26, description="Of a record of the patient.")]


class RecordCase(BaseModel):
    """A case of a record.

    Attributes:
        id: of the case.
        number: what people call it.
        state: where it is on its way.
        department: that a person chose.
        created_at: when it was opened.
        signed: how many signed versions of reports it has.
        withdrawn: who took a report of it back, when and why, where it was not signed anew since; else None.
    """

    id: str
    number: str
    state: CaseState
    department: str | None
    created_at: datetime
    signed: int
    withdrawn: WithdrawnShape | None


class RecordShape(BaseModel):
    """One record of a patient.

    Attributes:
        id: of the record.
        patient: what it says.
        created_at: when it was made.
        replaced_by: the record that stands for it; None for the surviving one.
        reason: of that link.
        linked_at: when it was joined.
        cases: the newest.
        count: how many there are.
    """

    id: str
    patient: PersonShape
    created_at: datetime
    replaced_by: str | None
    reason: LinkReason | None
    linked_at: datetime | None
    cases: list[RecordCase]
    count: int

    @classmethod
    def of(cls, record: PatientRecord) -> RecordShape:
        """The shape of a record."""
        return cls.model_construct(
            id=record.id,
            patient=PersonShape.of(record.person),
            created_at=record.created_at,
            replaced_by=record.replaced_by,
            reason=record.reason,
            linked_at=record.linked_at,
            cases=[
                RecordCase(
                    id=case.id,
                    number=case.number,
                    state=case.state,
                    department=case.department,
                    created_at=case.created_at,
                    signed=case.signed,
                    withdrawn=WithdrawnShape.of_any(case.withdrawn),
                )
                for case in record.cases
            ],
            count=record.count,
        )


class PatientRecords(BaseModel):
    """Every record of one patient.

    Attributes:
        records: the surviving one first.
    """

    records: list[RecordShape]

    @classmethod
    def of(cls, records: tuple[PatientRecord, ...]) -> PatientRecords:
        """The shape of a patient's records."""
        return cls.model_construct(records=[RecordShape.of(record) for record in records])


class ComparedTrait(BaseModel):
    """On what two records agree or not.

    Attributes:
        trait: what they are compared by.
        agreement: the same, alike (written differently), said by one alone, or different.
    """

    trait: Trait
    agreement: Agreement


class Comparison(BaseModel):
    """Two patients side by side.

    Attributes:
        one: records of the first, the surviving one first.
        other: of the second.
        traits: on what the surviving ones agree; what neither says is left out.
        survivor: the record that had better stand for both.
        obstacle: whether two identity numbers say that they are two people; then they cannot be joined.
        seen: names what was shown; a link is made of it.
    """

    one: list[RecordShape]
    other: list[RecordShape]
    traits: list[ComparedTrait]
    survivor: str
    obstacle: bool
    seen: str

    @classmethod
    def of(cls, found: PatientComparison) -> Comparison:
        """The shape of a comparison."""
        return cls.model_construct(
            one=[RecordShape.of(record) for record in found.one],
            other=[RecordShape.of(record) for record in found.other],
            traits=[ComparedTrait(trait=trait, agreement=agreement) for trait, agreement in found.traits],
            survivor=found.survivor,
            obstacle=found.obstacle,
            seen=found.seen,
        )


class NewLink(BaseModel):
    """Which record stands for this one, and why.

    Attributes:
        survivor: the record that stands for both.
        reason: why they become one.
        seen: of the comparison that a person looked at.
    """

    model_config = ConfigDict(extra="forbid")

    survivor: Annotated[str, StringConstraints(pattern=ID_PATTERN)]
    reason: LinkReason
    seen: str = Field(max_length=64)


class LinkShape(BaseModel):
    """A link that was made. Ids alone: the answer is kept for a day, and the two may be separated before.

    Attributes:
        replaced: the record that another one stands for now.
        survivor: the record that stands for both.
        reason: why.
    """

    replaced: str
    survivor: str
    reason: LinkReason


@router.get("/{patient_id}")
def read_patient(house: InHouse, actor: Merger, patient_id: PatientId) -> PatientRecords:
    """Every record of a patient, by any of them; the trail notes the look."""
    with house.records.write(actor) as tx:
        return PatientRecords.of(patient_comparison.load_records(tx, patient_id))


@router.get("/{patient_id}/comparison/{other_id}")
def compare_patients(house: InHouse, actor: Merger, patient_id: PatientId, other_id: PatientId) -> Comparison:
    """Two patients side by side, to be looked at before their records are joined."""
    with house.records.write(actor) as tx:
        return Comparison.of(patient_comparison.compare_patients(tx, patient_id, other_id))


@router.post("/{patient_id}/link", status_code=201, response_model=LinkShape)
def link_patient(
    house: InHouse, actor: Merger, patient_id: PatientId, wanted: NewLink, once: OnlyOnce
) -> Response:
    """Let another record stand for this one; nothing of either is changed, and the link can be undone."""

    def work(tx: Transaction) -> LinkShape:
        patient_merge.link(tx, patient_id, wanted.survivor, wanted.reason, wanted.seen)
        return LinkShape(replaced=patient_id, survivor=wanted.survivor, reason=wanted.reason)

    return once.run(house.records, actor, work)


@router.delete("/{patient_id}/link", status_code=204)
def unlink_patient(house: InHouse, actor: Merger, patient_id: PatientId, reason: SplitReason) -> None:
    """Take this record out of the other's stead: it is again what it was."""
    with house.records.write(actor) as tx:
        patient_merge.unlink(tx, patient_id, reason)
