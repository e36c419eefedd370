"""A case that was opened for the wrong patient moves to the right one: found, compared, moved."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Form, Path
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from starlette.exceptions import HTTPException

from tetkik.errors import Conflict, InputError, TetkikError
from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Match
from tetkik.records.database import Transaction
from tetkik.service.cases import CHANGED, CaseId, case_response
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep, ImageDecoder
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.responses import MATCHED, IfMatch, Shape
from tetkik.service.patients import ID_PATTERN, ComparedTrait, RecordShape, TypedPerson, sides_of
from tetkik.values.access import Permission
from tetkik.values.radiograph import Difference
from tetkik.values.states import MoveReason
from tetkik.workflow import case_transfer
from tetkik.workflow.case_transfer import CompletedTransfer, TransferPreview


def prepare(ctx: RequestContext, case_id: str, patient_id: str) -> None:
    """Bring the images to the disk under the right patient's key, as far as that can be."""
    # What prevents the move is an error of the move itself, or it was made before and is answered again.
    with suppress(TetkikError), ctx.read() as tx:
        case_transfer.prepare_images(tx, case_id, patient_id)


def finish(ctx: RequestContext, decoder: ImageDecoder, done: CompletedTransfer) -> None:
    """Remove what the wrong patient's key could still open, and wake the worker; the move is through."""
    case_transfer.remove_leftover_files(ctx.records, done)
    decoder.work_available.set()


api = APIRouter(prefix="/cases", tags=["cases"])
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
        default=False, description="Whether a person compared the two, where the images name another patient."
    )


class MoveShape(BaseModel):
    """A move that was made. Ids alone: the answer is kept for a day, and a patient may be erased before."""

    case_id: str = Field(description="The case of the right patient.")
    number: str
    moved_from: str = Field(description="The case of the wrong one.")
    reason: MoveReason


@api.get("/{case_id}/move/{patient_id}", response_model=MoveComparison)
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


@api.post("/{case_id}/move", status_code=201, response_model=MoveShape, responses=MATCHED)
def move_case(
    ctx: Mover, decoder: DecoderDep, case_id: CaseId, wanted: NewMove, once: IdempotentDep, if_match: IfMatch
) -> Response:
    """Let a case that was opened for the wrong patient go on as one of the right patient."""
    prepare(ctx, case_id, wanted.patient_id)
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
        finish(ctx, decoder, done)
    return outcome.response()


pages = APIRouter(prefix="/cases/{case_id}/move")
_Short = Annotated[str, Form(max_length=400)]


@pages.get("")
def choose(ctx: Mover, case_id: str) -> HTMLResponse:
    return _choice(ctx, case_id)


@pages.post("/find")
def find(ctx: Mover, case_id: str, words: _Short = "") -> HTMLResponse:
    return _choice(ctx, case_id, words=words.strip())


@pages.post("/register")
def register(ctx: Mover, case_id: str, typed: Annotated[TypedPerson, Form()]) -> Response:
    try:
        with ctx.write() as tx:
            patient_id = case_transfer.register_recipient(tx, case_id, typed.person())
    except (Conflict, InputError) as error:
        return _choice(ctx, case_id, typed=typed, error=error)
    return RedirectResponse(f"/cases/{case_id}/move/{patient_id}", 303)


def _choice(
    ctx: RequestContext,
    case_id: str,
    *,
    words: str | None = None,
    typed: TypedPerson | None = None,
    error: TetkikError | None = None,
) -> HTMLResponse:
    with ctx.write() as tx:
        case = cases.load_case(tx, case_id)
        case_transfer.require_transferable(tx, case_id)
        found: tuple[Match, ...] = ()
        if words and patients.is_searchable(words):
            found = case_transfer.search_recipients(tx, case_id, words)
    return ctx.render(
        "cases/move_to.html.jinja",
        case=case,
        found=found,
        words=words,
        most=patients.MOST_MATCHES,
        typed=typed or TypedPerson(),
        error=error,
    )


@pages.get("/{patient_id}")
def compare(ctx: Mover, case_id: str, patient_id: str) -> HTMLResponse:
    """The two people side by side, what goes along, and the question whether to move it."""
    return _compared(ctx, case_id, patient_id)


@pages.post("/{patient_id}")
def move(
    ctx: Mover,
    decoder: DecoderDep,
    case_id: str,
    patient_id: str,
    reason: Annotated[MoveReason, Form()],
    seen: Annotated[str, Form(max_length=64)] = "",
    sure: Annotated[bool, Form()] = False,
) -> Response:
    prepare(ctx, case_id, patient_id)
    about = (case_id, patient_id, reason, seen)
    try:
        with ctx.write() as tx:
            done = case_transfer.transfer_case(tx, *about, sure=sure)
    except Conflict as error:
        return _compared(ctx, case_id, patient_id, error=error, reason=reason)
    finish(ctx, decoder, done)
    return RedirectResponse(f"/cases/{done.case_id}?moved", 303)


def _compared(
    ctx: RequestContext,
    case_id: str,
    patient_id: str,
    *,
    error: TetkikError | None = None,
    reason: MoveReason = MoveReason.CHOSEN_WRONGLY,
) -> HTMLResponse:
    with ctx.write() as tx:
        looked = case_transfer.preview_transfer(tx, case_id, patient_id)
        case = cases.load_case(tx, case_id, audit=False)
    return ctx.render(
        "cases/move.html.jinja",
        case=case,
        looked=looked,
        reasons=list(MoveReason),
        reason=reason,
        error=error,
    )
