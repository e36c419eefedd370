"""A case that was opened for the wrong patient is looked at beside the right one, and moved there."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from starlette.exceptions import HTTPException

from tetkik.records.cases import cases
from tetkik.records.cases.identity_comparison import Difference
from tetkik.records.database import Transaction
from tetkik.service.cases import transfer
from tetkik.service.cases.api import CHANGED, CaseId, case_response
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.preconditions import MATCHED, IfMatch
from tetkik.service.kit.http.shape import Shape
from tetkik.service.patients.shapes import ID_PATTERN, ComparedTrait, RecordShape, sides_of
from tetkik.values import MoveReason, Permission
from tetkik.workflow import case_transfer
from tetkik.workflow.case_transfer import CompletedTransfer, TransferPreview

router = APIRouter(prefix="/cases", tags=["cases"])
Mover = Annotated[RequestContext, allowed(Permission.CASE_MOVE)]


class MoveComparison(Shape):
    """The patient of a case beside the one whom it would go to."""

    one: list[RecordShape] = Field(description="Records of the patient of the case, the surviving one first.")
    other: list[RecordShape] = Field(description="Of the one whom it goes to.")
    traits: list[ComparedTrait] = Field(
        description="On what the surviving ones agree; what neither says is left out."
    )
    differs: list[Difference] = Field(
        description="Where images contradict the record that they go to; moving them needs `sure`."
    )
    images: int
    read_by: str | None = Field(description="Who is reading the case right now; None where nobody is.")
    written: bool = Field(description="Whether a person has written in a draft, which is dropped.")
    seen: str = Field(description="Names what was shown; a move is made of it.")

    @classmethod
    def of(cls, looked: TransferPreview) -> MoveComparison:
        reader = looked.reader.name if looked.reader is not None else None
        return cls.from_value(looked, **sides_of(looked.people), differs=list(looked.differs), read_by=reader)


class NewMove(BaseModel):
    """To whom a case goes, and why."""

    model_config = ConfigDict(extra="forbid")

    patient_id: Annotated[str, StringConstraints(pattern=ID_PATTERN)] = Field(
        description="The right patient, by any of their records."
    )
    reason: MoveReason
    seen: str = Field(max_length=64, description="Of the comparison that a person looked at.")
    sure: StrictBool = Field(
        default=False,
        description="Whether a person compared the two, where the images name another patient.",
    )


class MoveShape(BaseModel):
    """A move that was made. Ids alone: the answer is kept for a day, and a patient may be erased before."""

    case_id: str = Field(description="The case of the right patient.")
    number: str
    moved_from: str = Field(description="The case of the wrong one.")
    reason: MoveReason


@router.get("/{case_id}/move/{patient_id}", response_model=MoveComparison)
def compare_for_move(
    ctx: Mover,
    case_id: CaseId,
    patient_id: Annotated[str, Path(max_length=26, description="Of a record of the right patient.")],
) -> Response:
    """The two people side by side, to be looked at before the case is moved; the ETag is of the case."""
    with ctx.write() as tx:
        shown = MoveComparison.of(case_transfer.preview_transfer(tx, case_id, patient_id))
        etag = case_response(cases.load_case(tx, case_id, audit=False)).headers["etag"]
    headers = {"ETag": etag, "Cache-Control": "no-store"}
    return Response(shown.model_dump_json(), headers=headers, media_type="application/json")


@router.post(
    "/{case_id}/move",
    status_code=201,
    response_model=MoveShape,
    responses=MATCHED,
)
def move_case(
    ctx: Mover, decoder: DecoderDep, case_id: CaseId, wanted: NewMove, once: IdempotentDep, if_match: IfMatch
) -> Response:
    """Let a case that was opened for the wrong patient go on as one of the right patient."""
    transfer.prepare(ctx, case_id, wanted.patient_id)
    made: list[CompletedTransfer] = []  # empty where it was made before

    def work(tx: Transaction) -> MoveShape:
        if case_response(cases.load_case(tx, case_id, audit=False)).headers["etag"] != if_match:
            raise HTTPException(412, CHANGED)
        patient_id, reason, seen = wanted.patient_id, wanted.reason, wanted.seen
        done = case_transfer.transfer_case(tx, case_id, patient_id, reason, seen, sure=wanted.sure)
        made.append(done)
        return MoveShape(case_id=done.case_id, number=done.number, moved_from=case_id, reason=reason)

    outcome = once.run(ctx.records, ctx.actor, work)
    for done in made:
        transfer.finish(ctx, decoder, done)
    return outcome.response()
