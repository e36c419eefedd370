"""Cases: open, list, look, correct. The ETag is of what one sees; a correction names it."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from tetkik.errors import Forbidden
from tetkik.records.audit_chain import Action
from tetkik.records.cases import admission, cases, priority
from tetkik.records.cases.admission import Admission
from tetkik.records.cases.locks import lock_case
from tetkik.records.database import Transaction
from tetkik.records.people import breakglass
from tetkik.service.cases.shapes import CaseChange, CaseShape, CaseSummary, NewCase
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from tetkik.service.kit.http.preconditions import MATCHED, IfMatch
from tetkik.service.reception import triage
from tetkik.values import CaseState, Permission

router = APIRouter(prefix="/cases", tags=["cases"])
Reader = Annotated[RequestContext, allowed(Permission.CASE_READ)]
CaseId = Annotated[str, Path(max_length=26, description="Of the case.")]
CHANGED = "The case has changed since you looked; load it again and repeat."


@router.post("", status_code=201, response_model=CaseShape)
def open_case(
    ctx: Annotated[RequestContext, allowed(Permission.CASE_CREATE)], new: NewCase, once: IdempotentDep
) -> Response:
    """Open a case for a known, a new or an unknown patient, all at once with its complaint."""
    complaint = None
    if new.complaint.strip():
        if not ctx.actor.may(Permission.TRIAGE):
            raise Forbidden("Your role does not allow this ({permission}).", permission=Permission.TRIAGE)
        complaint = triage.triaged(new.complaint, ctx.settings, ctx.language)
    wanted = Admission(
        new.patient_id,
        new.patient.value() if new.patient else None,
        new.unknown,
        complaint,
        triage.chosen_department(new.department, ctx.settings),
        new.question,
        new.restricted,
        new.urgency.value() if new.urgency is not None and new.urgency.level is not None else None,
    )

    def work(tx: Transaction) -> CaseShape:
        return CaseShape.of_case(cases.load_case(tx, admission.admit(tx, wanted), audit=False))

    return once.run(ctx.records, ctx.actor, work).response()


@router.get("")
def list_cases(
    ctx: Reader,
    cursor: Cursor = None,
    limit: Limit = 50,
    state: CaseState | None = None,
    department: Annotated[str | None, Query(max_length=60)] = None,
) -> Page[CaseSummary]:
    """Cases that one may see, the newest first, without identity."""
    before = str(decode_cursor(cursor, (str,))[0]) if cursor is not None else None
    with ctx.write() as tx:
        found = cases.list_cases(tx, before=before, limit=limit + 1, state=state, department=department)
        tx.audit(Action.CASES_LISTED, listed=min(len(found), limit))
    more = len(found) > limit
    items = [CaseSummary.from_value(line) for line in found[:limit]]
    return Page(items=items, next=encode_cursor([items[-1].id]) if more else None)


@router.get("/{case_id}", response_model=CaseShape, responses={304: {"description": "As you know it."}})
def read_case(
    ctx: Reader, case_id: CaseId, if_none_match: Annotated[str | None, Header(max_length=200)] = None
) -> Response:
    """A case with its patient; the trail notes that it was opened."""
    with ctx.write() as tx:
        shown = case_response(cases.load_case(tx, case_id))
    if if_none_match is not None and if_none_match == shown.headers["etag"]:
        return Response(status_code=304, headers={"ETag": shown.headers["etag"]})
    return shown


@router.patch(
    "/{case_id}",
    response_model=CaseShape,
    responses=MATCHED,
)
def change_case(
    ctx: Annotated[RequestContext, allowed(Permission.CASE_EDIT)],
    case_id: CaseId,
    change: CaseChange,
    if_match: IfMatch,
) -> Response:
    """Correct a case; either everything is changed or nothing."""
    chosen = triage.chosen_department(change.department, ctx.settings)
    with ctx.write() as tx:
        lock_case(tx, case_id)
        if case_response(cases.load_case(tx, case_id, audit=False)).headers["etag"] != if_match:
            raise HTTPException(412, CHANGED)
        _apply(tx, case_id, change, chosen)
        tx.session.flush()
        return case_response(cases.load_case(tx, case_id, audit=False))


def _apply(tx: Transaction, case_id: str, change: CaseChange, department: str | None) -> None:
    if change.patient is not None:
        cases.change_person(tx, case_id, change.patient.value())
    if department is not None:
        cases.change_department(tx, case_id, department)
    if change.question is not None:
        cases.change_question(tx, case_id, change.question)
    if change.restricted is not None:
        cases.restrict(tx, case_id, change.restricted)
    if change.urgency is not None:
        cases.change_urgency(tx, case_id, change.urgency.value())
    if change.priority is not None:
        priority.choose_priority(tx, case_id, change.priority.priority)
    if change.closed is True:
        cases.close(tx, case_id)
    elif change.closed is False:
        cases.reopen(tx, case_id)


def case_response(case: cases.CaseView) -> Response:
    body = CaseShape.of_case(case).model_dump_json().encode()
    headers = {"ETag": f'"{hashlib.sha256(body).hexdigest()[:32]}"', "Cache-Control": "no-store"}
    return Response(body, headers=headers, media_type="application/json")


class Emergency(BaseModel):
    """Why a closed case has to open."""

    reason: str = Field(
        min_length=breakglass.SHORTEST,
        max_length=breakglass.LONGEST,
        description="Why the patient needs it now; sealed, and read by the auditor.",
    )


class Opened(BaseModel):
    """A case that is open for a while."""

    case_id: str
    until: datetime


@router.post("/{case_id}/break-glass", status_code=201, response_model=Opened)
def break_glass(
    ctx: Annotated[RequestContext, allowed(Permission.BREAK_GLASS)],
    once: IdempotentDep,
    case_id: str,
    emergency: Emergency,
) -> Response:
    """Open a case that is restricted or another department's, for an hour, with a reason."""

    def work(tx: Transaction) -> Opened:
        return Opened(case_id=case_id, until=breakglass.break_glass(tx, case_id, emergency.reason))

    return once.run(ctx.records, ctx.actor, work).response()
