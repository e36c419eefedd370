"""One case: who, what was said, where to, what there is; its corrections, and the slip to hand over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from tetkik.errors import Forbidden, InputError, TetkikError
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, priority
from tetkik.records.cases.cases import CaseView
from tetkik.records.database import Transaction
from tetkik.records.people import breakglass
from tetkik.records.worklist import case_contents, claims, critical_results
from tetkik.service.cases.shapes import PriorityChoice
from tetkik.service.cases.view import slip_of
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.responses import safe_path
from tetkik.service.kit.rendering.highlights import pieces
from tetkik.service.patients.shapes import TypedPerson
from tetkik.service.reception import triage
from tetkik.service.reception.shapes import TypedUrgency
from tetkik.triage.clinics import Clinic
from tetkik.values import Permission

router = APIRouter()

_Short = Annotated[str, Form(max_length=400)]
Reader = Annotated[RequestContext, allowed(Permission.CASE_READ)]
Editor = Annotated[RequestContext, allowed(Permission.CASE_EDIT)]


@router.get("/cases/{case_id}")
def case_page(ctx: Reader, case_id: str, opened: str | None = None, moved: str | None = None) -> HTMLResponse:
    return _shown(ctx, case_id, just_opened=opened is not None, just_moved=moved is not None)


def _shown(
    ctx: RequestContext,
    case_id: str,
    *,
    just_opened: bool = False,
    just_moved: bool = False,
    typed: TypedPerson | None = None,
    error: TetkikError | None = None,
) -> HTMLResponse:
    try:
        with ctx.write() as tx:
            case = cases.load_case(tx, case_id)
            held = case_contents.load_contents(tx, case_id)
            hears = ctx.actor.may(Permission.REPORT_READ)
            criticals = critical_results.results_of_case(tx, case_id) if hears else ()
            until = breakglass.open_until(tx, case_id) if case.by_glass else None
    except Forbidden:
        return locked(ctx, case_id)
    return ctx.render(
        "cases/page.html.jinja",
        case=case,
        file=held,
        criticals=criticals,
        marked=pieces(case.complaint.result) if case.complaint else (),
        clinic=_clinic(case),
        departments=[(name, name) for name in triage.departments(ctx.settings)],
        just_opened=just_opened,
        until=until,
        typed=typed or TypedPerson.of(case.person),
        movable=ctx.actor.may(Permission.CASE_MOVE) and not case.state.ended,
        just_moved=just_moved,
        error=error,
    )


def locked(ctx: RequestContext, case_id: str) -> HTMLResponse:
    """The page of a case that is not open to the actor; it says where breaking the glass would open it."""
    with ctx.write() as tx:
        tx.audit(Action.FORBIDDEN, case_id=case_id, permission=Permission.CASE_READ.value)
    if not ctx.actor.may(Permission.BREAK_GLASS):
        raise Forbidden("This case is restricted or belongs to another department.")
    return ctx.render(
        "cases/locked.html.jinja",
        status=403,
        case_id=case_id,
        encounters=ctx.records.encounter_access,
        least=breakglass.SHORTEST,
        most=breakglass.LONGEST,
    )


@router.get("/cases/{case_id}/slip")
def slip(ctx: Reader, case_id: str) -> HTMLResponse:
    try:
        with ctx.write() as tx:
            case = cases.load_case(tx, case_id, audit=False)
            tx.audit(Action.SLIP_PRINTED, case_id=case_id, patient_id=case.patient_id)
    except Forbidden:
        return locked(ctx, case_id)
    shown = slip_of(case, _clinic(case), ctx.language)
    return ctx.render("cases/slip.html.jinja", case_id=case_id, slip=shown)


@router.post("/cases/{case_id}/person")
def correct_person(ctx: Editor, case_id: str, typed: Annotated[TypedPerson, Form()]) -> Response:
    try:
        person = typed.person()
        return _changed(ctx, case_id, lambda tx: cases.change_person(tx, case_id, person))
    except InputError as error:
        return _shown(ctx, case_id, typed=typed, error=error)


@router.post("/cases/{case_id}/department")
def choose_department(ctx: Editor, case_id: str, department: _Short) -> RedirectResponse:
    chosen = triage.chosen_department(department, ctx.settings) or ""
    return _changed(ctx, case_id, lambda tx: cases.change_department(tx, case_id, chosen))


@router.post("/cases/{case_id}/urgency")
def choose_urgency(ctx: Editor, case_id: str, typed: Annotated[TypedUrgency, Form()]) -> RedirectResponse:
    """Set another urgency than that of triage, or let that stand again."""
    choice = typed.choice()
    return _changed(ctx, case_id, lambda tx: cases.change_urgency(tx, case_id, choice))


@router.post("/cases/{case_id}/question")
def correct_question(
    ctx: Editor, case_id: str, question: Annotated[str, Form(max_length=20_000)] = ""
) -> RedirectResponse:
    text = question.replace("\r\n", "\n")
    return _changed(ctx, case_id, lambda tx: cases.change_question(tx, case_id, text))


@router.post("/cases/{case_id}/restricted")
def restrict(ctx: Editor, case_id: str, restricted: Annotated[bool, Form()] = False) -> RedirectResponse:
    """Let the case open only with a reason, or as usual again."""
    return _changed(ctx, case_id, lambda tx: cases.restrict(tx, case_id, restricted))


@router.post("/cases/{case_id}/close")
def close(ctx: Editor, case_id: str) -> RedirectResponse:
    return _changed(ctx, case_id, lambda tx: cases.close(tx, case_id))


@router.post("/cases/{case_id}/reopen")
def reopen(ctx: Editor, case_id: str) -> RedirectResponse:
    return _changed(ctx, case_id, lambda tx: cases.reopen(tx, case_id))


def _changed(ctx: RequestContext, case_id: str, change: Callable[[Transaction], Any]) -> RedirectResponse:
    with ctx.write() as tx:
        change(tx)
    return RedirectResponse(f"/cases/{case_id}", 303)


def _clinic(case: CaseView) -> Clinic | None:
    if case.department is None:
        return None
    return triage.clinic(case.department, case.complaint.result if case.complaint else None)


@router.post("/cases/{case_id}/break-glass")
def break_glass(
    ctx: Annotated[RequestContext, allowed(Permission.BREAK_GLASS)],
    case_id: str,
    reason: Annotated[str, Form(max_length=2000)] = "",
    back: Annotated[str | None, Form(alias="next", max_length=2000)] = None,
    claim: Annotated[bool, Form()] = False,
) -> RedirectResponse:
    """Open a case with a reason; with `claim` also to read it."""
    with ctx.write() as tx:
        breakglass.break_glass(tx, case_id, reason)
        if claim and ctx.actor.may(Permission.CLAIM):
            claims.claim_to_read(tx, case_id)
    return RedirectResponse(safe_path(back) if back else f"/cases/{case_id}", 303)


@router.post("/cases/{case_id}/priority")
def choose_priority(
    ctx: Editor,
    case_id: str,
    chosen: Annotated[PriorityChoice, Form(alias="priority")],
) -> RedirectResponse:
    return _changed(ctx, case_id, lambda tx: priority.choose_priority(tx, case_id, chosen.priority))
