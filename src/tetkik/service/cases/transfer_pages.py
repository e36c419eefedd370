"""The way of a case from the wrong patient to the right one: found or registered, compared, moved."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from tetkik.errors import Conflict, InputError, TetkikError
from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Match
from tetkik.records.reports.slow_work import written
from tetkik.service.cases import transfer
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.service.patients.shapes import TypedPerson
from tetkik.values import MoveReason, Permission
from tetkik.workflow import case_transfer

router = APIRouter(prefix="/cases/{case_id}/move")

Mover = Annotated[RequestContext, allowed(Permission.CASE_MOVE)]
_Short = Annotated[str, Form(max_length=400)]


@router.get("")
def choose(ctx: Mover, case_id: str) -> HTMLResponse:
    return _choice(ctx, case_id)


@router.post("/find")
def find(ctx: Mover, case_id: str, words: _Short = "") -> HTMLResponse:
    return _choice(ctx, case_id, words=words.strip())


@router.post("/register")
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


@router.get("/{patient_id}")
def compare(ctx: Mover, case_id: str, patient_id: str) -> HTMLResponse:
    """The two people side by side, what goes along, and the question whether to move it."""
    return _compared(ctx, case_id, patient_id)


@router.post("/{patient_id}")
def move(
    ctx: Mover,
    decoder: DecoderDep,
    case_id: str,
    patient_id: str,
    reason: Annotated[MoveReason, Form()],
    seen: Annotated[str, Form(max_length=64)] = "",
    sure: Annotated[bool, Form()] = False,
) -> Response:
    transfer.prepare(ctx, case_id, patient_id)
    about = (case_id, patient_id, reason, seen)
    try:
        done = written(ctx.write, lambda tx: case_transfer.transfer_case(tx, *about, sure=sure))
    except Conflict as error:
        return _compared(ctx, case_id, patient_id, error=error, reason=reason)
    transfer.finish(ctx, decoder, done)
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
