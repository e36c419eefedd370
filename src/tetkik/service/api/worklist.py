"""The worklist, and who is reading a case."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response
from pydantic import BaseModel

from tetkik.records.audit_chain import Action
from tetkik.records.worklist import claims, worklist
from tetkik.records.worklist.claims import Reader
from tetkik.records.worklist.worklist_items import WorklistItem
from tetkik.service.access.guard import allowed
from tetkik.service.api.withdrawal_shapes import WithdrawnShape
from tetkik.service.house import InHouse
from tetkik.service.http.paging import Cursor, Limit, Page
from tetkik.service.steps.worklist import PriorityWord, WorklistQuery, cursor_of, place_of
from tetkik.values import (
    Actor,
    CaseState,
    JobState,
    Permission,
    ReportState,
    Sex,
    UrgencyLevel,
)

router = APIRouter(tags=["worklist"])

CaseId = Annotated[str, Path(max_length=26, description="Of the case.")]


class PositiveFinding(BaseModel):
    """A positive finding of the newest run.

    Attributes:
        label: as the model calls it.
        probability: calibrated, from 0 to 1.
    """

    label: str
    probability: float | None


class CaseReader(BaseModel):
    """Who is reading a case.

    Attributes:
        user_id: of the person.
        name: of the person.
        since: when they began.
        expires_at: when the case is free again, unless the claim is renewed.
    """

    user_id: str
    name: str
    since: datetime
    expires_at: datetime

    @classmethod
    def of(cls, reader: Reader) -> CaseReader:
        """As the records have it."""
        return cls(user_id=reader.user_id, name=reader.name, since=reader.since, expires_at=reader.expires_at)


class WorklistCase(BaseModel):
    """A case in the worklist; identity is empty where the case is restricted and not open to whoever asks.

    Attributes:
        case_id: of the case.
        number: what people call it.
        name: of the patient.
        registered_as: the name under which the case was opened, where a record with another name stands for
            it.
        patient_number: of the hospital.
        birth_date: `YYYYMMDD`.
        sex: of the patient.
        complaint: its first words.
        hidden: whether it is restricted and not open to whoever asks.
        urgency: of triage.
        priority: of the order.
        department: that a person chose.
        state: where the case is on its way.
        modalities: of its images.
        findings: positive ones, most probable first.
        unsuitable: whether the newest run refused an image.
        waiting_since: for the order.
        reader: who is reading it.
        report: how far the report is.
        withdrawn: who took a report back, when and why, where it was not signed anew since; else None.
        job: where the newest work of a model is.
    """

    case_id: str
    number: str
    name: str
    registered_as: str
    patient_number: str
    birth_date: str
    sex: Sex | None
    complaint: str
    hidden: bool
    urgency: UrgencyLevel | None
    priority: PriorityWord
    department: str | None
    state: CaseState
    modalities: list[str]
    findings: list[PositiveFinding]
    unsuitable: bool
    waiting_since: datetime
    reader: CaseReader | None
    report: ReportState | None
    withdrawn: WithdrawnShape | None
    job: JobState | None

    @classmethod
    def of(cls, item: WorklistItem) -> WorklistCase:
        """As the records have it."""
        return cls(
            case_id=item.case_id,
            number=item.number,
            name=item.name,
            registered_as=item.registered_as,
            patient_number=item.patient_number,
            birth_date=item.born,
            sex=item.sex,
            complaint=item.complaint,
            hidden=item.hidden,
            urgency=item.urgency,
            priority=PriorityWord.of(item.priority),
            department=item.department,
            state=item.state,
            modalities=list(item.modalities),
            findings=[PositiveFinding(label=one.label, probability=one.probability) for one in item.findings],
            unsuitable=item.unsuitable,
            waiting_since=item.waiting_since,
            reader=CaseReader.of(item.reader) if item.reader else None,
            report=item.report,
            withdrawn=WithdrawnShape.of_any(item.withdrawn),
            job=item.job,
        )


class Reading(BaseModel):
    """Who is reading a case.

    Attributes:
        reader: None where nobody is.
    """

    reader: CaseReader | None


@router.get("/worklist")
def worklist_page(
    actor: Annotated[Actor, allowed(Permission.WORKLIST)],
    house: InHouse,
    query: Annotated[WorklistQuery, Query()],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[WorklistCase]:
    """Cases by priority, then by how long they wait; the look is audited."""
    with house.records.read(actor) as tx:
        found = worklist.load_worklist(tx, query.chosen(), after=place_of(cursor), limit=limit)
    with house.records.write(actor) as tx:
        tx.audit(Action.CASES_LISTED, shown=len(found.items))
    return Page(items=[WorklistCase.of(item) for item in found.items], next=cursor_of(found.next))


@router.get("/cases/{case_id}/claim")
def reading(
    actor: Annotated[Actor, allowed(Permission.CASE_READ)], house: InHouse, case_id: CaseId
) -> Reading:
    """Who is reading a case."""
    with house.records.read(actor) as tx:
        reader = claims.load_reader(tx, case_id)
    return Reading(reader=CaseReader.of(reader) if reader else None)


@router.put("/cases/{case_id}/claim")
def claim(
    actor: Annotated[Actor, allowed(Permission.CLAIM)],
    house: InHouse,
    case_id: CaseId,
    take_over: Annotated[bool, Query(description="Take it from somebody who is reading it.")] = False,
) -> CaseReader:
    """Say that one is reading a case, or that one still is: a claim lasts 20 minutes."""
    with house.records.write(actor) as tx:
        return CaseReader.of(claims.claim_case(tx, case_id, take_over=take_over))


@router.delete("/cases/{case_id}/claim", status_code=204)
def release(actor: Annotated[Actor, allowed(Permission.CLAIM)], house: InHouse, case_id: CaseId) -> Response:
    """Say that one reads a case no more; where one did not, nothing happens."""
    with house.records.write(actor) as tx:
        claims.release_case(tx, case_id)
    return Response(status_code=204)
