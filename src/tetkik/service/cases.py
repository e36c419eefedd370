"""Cases: open, list, look, correct, and the slip to hand over. The ETag is of what one sees."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import segno
from fastapi import APIRouter, Form, Header, Path, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from markupsafe import Markup
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StringConstraints
from starlette.exceptions import HTTPException

from tetkik.errors import Forbidden, InputError, TetkikError
from tetkik.integrations.critical_contacts import contacts_of_case
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, priority
from tetkik.records.cases.cases import LONGEST_QUESTION, Admission, CaseView
from tetkik.records.cases.locks import lock_case
from tetkik.records.database import Transaction
from tetkik.records.people import access
from tetkik.records.worklist import case_contents, claims, critical_results
from tetkik.service import reception
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.kit.http.responses import (
    MATCHED,
    Cursor,
    IfMatch,
    Limit,
    Page,
    Shape,
    decode_cursor,
    encode_cursor,
    safe_path,
)
from tetkik.service.kit.rendering.words import pieces
from tetkik.service.patients import ID_PATTERN, PersonShape, TypedPerson
from tetkik.service.reception import LONGEST_TEXT, TriageShape, TypedUrgency, UrgencyChange
from tetkik.triage.predict import Clinic
from tetkik.values.access import Permission
from tetkik.values.complaint import UrgencyLevel
from tetkik.values.states import CaseState, MoveReason, Priority, UrgencyReason

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
        default=None, description="A person's choice; `as_found` lets it follow triage and the findings."
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

    case_id: str = Field(validation_alias="id")
    number: str
    reason: MoveReason
    moved_at: datetime


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
        return cls.from_value(
            case,
            priority=int(case.priority),
            patient=PersonShape.of(case.person),
            registered_as=PersonShape.of(case.registered_as) if case.registered_as else None,
            triage=TriageShape.of(case.complaint.result) if case.complaint else None,
            urgency_chosen=case.complaint.urgency_chosen if case.complaint else None,
            moved_to=case.moves.to,
            moved_from=case.moves.origin,
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


_QUIET_ZONE = 2
"""Modules of white around the code; the slip's paper goes on outside."""


@dataclass(frozen=True, slots=True)
class Slip:
    """What the slip says: initials, so that a lost one finds its owner, and the clinic only where it is
    called otherwise than the department. `triaged` with an urgency of None: it could not be assessed.
    """

    number: str
    code: Markup
    initials: str
    urgency: UrgencyLevel | None
    triaged: bool
    department: str | None
    clinic: str | None
    referral: str | None
    opened_at: datetime


def slip_of(case: CaseView, clinic: Clinic | None, language: Language) -> Slip:
    return Slip(
        case.number,
        qr_code(case.number),
        " ".join(f"{word[0]}." for word in case.person.name.split()),
        case.urgency,
        case.urgency is not None or case.complaint is not None,
        case.department,
        clinic.name if clinic is not None and clinic.name != case.department else None,
        clinic.referral(language) if clinic is not None else None,
        case.created_at,
    )


def qr_code(text: str) -> Markup:
    """A QR code (ISO/IEC 18004) as an SVG that takes the colour of its words and the size of its box."""
    rows = [bytes(row) for row in segno.make_qr(text, error="m").matrix]
    side = len(rows) + 2 * _QUIET_ZONE
    dark = "".join(
        f"M{across + _QUIET_ZONE} {down + _QUIET_ZONE}h1v1h-1z"
        for down, row in enumerate(rows)
        for across, module in enumerate(row)
        if module
    )
    # Numbers alone: nothing of it comes from outside.
    return Markup(  # noqa: S704
        f'<svg viewBox="0 0 {side} {side}" shape-rendering="crispEdges" aria-hidden="true">'
        f'<path fill="currentColor" d="{dark}"/></svg>'
    )


api = APIRouter(prefix="/cases", tags=["cases"])
Reader = Annotated[RequestContext, allowed(Permission.CASE_READ)]
CaseId = Annotated[str, Path(max_length=26, description="Of the case.")]
CHANGED = "The case has changed since you looked; load it again and repeat."


@api.post("", status_code=201, response_model=CaseShape)
def open_case(
    ctx: Annotated[RequestContext, allowed(Permission.CASE_CREATE)], new: NewCase, once: IdempotentDep
) -> Response:
    """Open a case for a known, a new or an unknown patient, all at once with its complaint."""
    complaint = None
    if new.complaint.strip():
        if not ctx.actor.may(Permission.TRIAGE):
            raise Forbidden("Your role does not allow this ({permission}).", permission=Permission.TRIAGE)
        complaint = reception.triaged(new.complaint, ctx.settings, ctx.language)
    wanted = Admission(
        new.patient_id,
        new.patient.value() if new.patient else None,
        new.unknown,
        complaint,
        reception.chosen_department(new.department, ctx.settings),
        new.question,
        new.restricted,
        new.urgency.value() if new.urgency is not None and new.urgency.level is not None else None,
    )
    return once.run(
        ctx.records,
        ctx.actor,
        lambda tx: CaseShape.of_case(cases.load_case(tx, cases.admit(tx, wanted), audit=False)),
    ).response()


@api.get("")
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


@api.get("/{case_id}", response_model=CaseShape, responses={304: {"description": "As you know it."}})
def read_case(
    ctx: Reader, case_id: CaseId, if_none_match: Annotated[str | None, Header(max_length=200)] = None
) -> Response:
    """A case with its patient; the trail notes that it was opened."""
    with ctx.write() as tx:
        shown = case_response(cases.load_case(tx, case_id))
    if if_none_match is not None and if_none_match == shown.headers["etag"]:
        return Response(status_code=304, headers={"ETag": shown.headers["etag"]})
    return shown


@api.patch("/{case_id}", response_model=CaseShape, responses=MATCHED)
def change_case(
    ctx: Annotated[RequestContext, allowed(Permission.CASE_EDIT)],
    case_id: CaseId,
    change: CaseChange,
    if_match: IfMatch,
) -> Response:
    """Correct a case; either everything is changed or nothing."""
    chosen = reception.chosen_department(change.department, ctx.settings)
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
        min_length=access.SHORTEST,
        max_length=access.LONGEST,
        description="Why the patient needs it now; sealed, and read by the auditor.",
    )


class Opened(BaseModel):
    """A case that is open for a while."""

    case_id: str
    until: datetime


@api.post("/{case_id}/break-glass", status_code=201, response_model=Opened)
def break_glass(
    ctx: Annotated[RequestContext, allowed(Permission.BREAK_GLASS)],
    once: IdempotentDep,
    case_id: str,
    emergency: Emergency,
) -> Response:
    """Open a case that is restricted or another department's, for an hour, with a reason."""

    def work(tx: Transaction) -> Opened:
        return Opened(case_id=case_id, until=access.break_glass(tx, case_id, emergency.reason))

    return once.run(ctx.records, ctx.actor, work).response()


pages = APIRouter()

_Short = Annotated[str, Form(max_length=400)]
Editor = Annotated[RequestContext, allowed(Permission.CASE_EDIT)]


@pages.get("/cases/{case_id}")
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
            signs = ctx.actor.may(Permission.REPORT_SIGN)
            contacts = contacts_of_case(ctx.settings, tx, case_id) if signs else ()
            until = access.open_until(tx, case_id) if case.by_glass else None
    except Forbidden:
        return locked(ctx, case_id)
    return ctx.render(
        "cases/page.html.jinja",
        case=case,
        file=held,
        criticals=criticals,
        contacts=[contact.name for contact in contacts],
        marked=pieces(case.complaint.result) if case.complaint else (),
        clinic=_clinic(case),
        departments=[(name, name) for name in reception.departments(ctx.settings)],
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
        least=access.SHORTEST,
        most=access.LONGEST,
    )


@pages.get("/cases/{case_id}/slip")
def slip(ctx: Reader, case_id: str) -> HTMLResponse:
    try:
        with ctx.write() as tx:
            case = cases.load_case(tx, case_id, audit=False)
            tx.audit(Action.SLIP_PRINTED, case_id=case_id, patient_id=case.patient_id)
    except Forbidden:
        return locked(ctx, case_id)
    shown = slip_of(case, _clinic(case), ctx.language)
    return ctx.render("cases/slip.html.jinja", case_id=case_id, slip=shown)


@pages.post("/cases/{case_id}/person")
def correct_person(ctx: Editor, case_id: str, typed: Annotated[TypedPerson, Form()]) -> Response:
    try:
        person = typed.person()
        return _changed(ctx, case_id, lambda tx: cases.change_person(tx, case_id, person))
    except InputError as error:
        return _shown(ctx, case_id, typed=typed, error=error)


@pages.post("/cases/{case_id}/department")
def choose_department(ctx: Editor, case_id: str, department: _Short) -> Response:
    chosen = reception.chosen_department(department, ctx.settings) or ""
    return _changed(ctx, case_id, lambda tx: cases.change_department(tx, case_id, chosen))


@pages.post("/cases/{case_id}/urgency")
def choose_urgency(ctx: Editor, case_id: str, typed: Annotated[TypedUrgency, Form()]) -> Response:
    """Set another urgency than that of triage, or let that stand again."""
    choice = typed.choice()
    return _changed(ctx, case_id, lambda tx: cases.change_urgency(tx, case_id, choice))


@pages.post("/cases/{case_id}/question")
def correct_question(
    ctx: Editor, case_id: str, question: Annotated[str, Form(max_length=20_000)] = ""
) -> Response:
    text = question.replace("\r\n", "\n")
    return _changed(ctx, case_id, lambda tx: cases.change_question(tx, case_id, text))


@pages.post("/cases/{case_id}/restricted")
def restrict(ctx: Editor, case_id: str, restricted: Annotated[bool, Form()] = False) -> Response:
    """Let the case open only with a reason, or as usual again."""
    return _changed(ctx, case_id, lambda tx: cases.restrict(tx, case_id, restricted))


@pages.post("/cases/{case_id}/close")
def close(ctx: Editor, case_id: str) -> Response:
    return _changed(ctx, case_id, lambda tx: cases.close(tx, case_id))


@pages.post("/cases/{case_id}/reopen")
def reopen(ctx: Editor, case_id: str) -> Response:
    return _changed(ctx, case_id, lambda tx: cases.reopen(tx, case_id))


def _changed(ctx: RequestContext, case_id: str, change: Callable[[Transaction], Any]) -> Response:
    return ctx.change(change, f"/cases/{case_id}")


def _clinic(case: CaseView) -> Clinic | None:
    if case.department is None:
        return None
    return reception.clinic(case.department, case.complaint.result if case.complaint else None)


@pages.post("/cases/{case_id}/break-glass")
def open_with_reason(
    ctx: Annotated[RequestContext, allowed(Permission.BREAK_GLASS)],
    case_id: str,
    reason: Annotated[str, Form(max_length=2000)] = "",
    back: Annotated[str | None, Form(alias="next", max_length=2000)] = None,
    claim: Annotated[bool, Form()] = False,
) -> RedirectResponse:
    """Open a case with a reason; with `claim` also to read it."""
    with ctx.write() as tx:
        access.break_glass(tx, case_id, reason)
        if claim and ctx.actor.may(Permission.CLAIM):
            claims.claim_to_read(tx, case_id)
    return RedirectResponse(safe_path(back) if back else f"/cases/{case_id}", 303)


@pages.post("/cases/{case_id}/priority")
def choose_priority(
    ctx: Editor, case_id: str, chosen: Annotated[PriorityChoice, Form(alias="priority")]
) -> Response:
    return _changed(ctx, case_id, lambda tx: priority.choose_priority(tx, case_id, chosen.priority))
