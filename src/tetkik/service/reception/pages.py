"""The reception desk: live triage of a complaint, search for the patient, a new case."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, Field, field_validator

from tetkik.errors import Conflict, InputError, TetkikError
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases import admission, patients
from tetkik.records.cases.admission import Admission
from tetkik.records.cases.patients import Match, Person
from tetkik.records.ids import new_id
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.idempotency import IdempotentRequest
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.service.patients.shapes import Short, TypedPerson, sex_of
from tetkik.service.reception import triage
from tetkik.service.reception.shapes import TypedUrgency
from tetkik.values import Permission

router = APIRouter()
NAVIGATION = (
    NavigationEntry(
        "/reception", Permission.CASE_CREATE, "message", Sentence("Reception"), "g r", position=10, start=2
    ),
)

_Text = Annotated[str, Form(max_length=triage.LONGEST_TEXT)]
_Short = Annotated[str, Form(max_length=400)]


class CaseForm(TypedPerson, TypedUrgency):
    """The form as it was sent, so that a fault loses nothing of it."""

    once: Short = Field(default="", description="Names this form: sent twice, it opens one case.")
    complaint: str = Field(default="", max_length=triage.LONGEST_TEXT, repr=False)
    asked: Short = Field(default="", description="Ids of questions that were answered with no, with commas.")
    department: Short = ""
    patient_id: Short = Field(default="", description="Empty for a new patient.")
    unknown: bool = Field(default=False, description="Nobody knows who the patient is.")
    question: str = Field(default="", max_length=20_000, repr=False)
    restricted: bool = False

    @field_validator("complaint", "question")
    @classmethod
    def _plain_line_ends(cls, value: str) -> str:
        return value.replace("\r\n", "\n")

    def digest(self) -> bytes:
        """By which the same form is known again, and another one under its name is refused."""
        return hashlib.sha256(self.model_dump_json().encode()).digest()

    def person(self) -> Person:
        return Person(sex=sex_of(self.sex)) if self.unknown else super().person()


class _Opened(BaseModel):
    case_id: str


@router.get("/reception")
def reception(ctx: Annotated[RequestContext, allowed(Permission.CASE_CREATE)]) -> HTMLResponse:
    return _page(ctx, CaseForm())


@router.post("/reception/triage")
def live_triage(
    ctx: Annotated[RequestContext, allowed(Permission.TRIAGE)], complaint: _Text = "", asked: _Short = ""
) -> HTMLResponse:
    """The answer to what is typed so far; nothing is kept and nothing is logged."""
    answer = None
    if complaint.strip():
        answer = triage.ask_live(complaint, ctx.settings, ctx.language, _listed(asked))
    shown = ctx.render("reception/answer.html.jinja", answer=answer, fragment=True)
    # The choice of another urgency stands outside the answer, so that typing does not take it away.
    shown.headers["HX-Trigger"] = json.dumps(
        {"urgency": {"level": answer.result.urgency.level if answer else None}}
    )
    return shown


@router.post("/reception/patients")
def find_patients(
    ctx: Annotated[RequestContext, allowed(Permission.CASE_CREATE)], words: _Short = ""
) -> HTMLResponse:
    words = words.strip()
    if not patients.is_searchable(words):
        return ctx.render("reception/patients.html.jinja", matches=(), words="", most=0)
    with ctx.write() as tx:
        matches = patients.search(tx, words)
    return ctx.render(
        "reception/patients.html.jinja", matches=matches, words=words, most=patients.MOST_MATCHES
    )


@router.post("/reception")
def open_case(
    ctx: Annotated[RequestContext, allowed(Permission.CASE_CREATE)], typed: Annotated[CaseForm, Form()]
) -> Response:
    try:
        wanted = _wanted(ctx, typed)
        form = IdempotentRequest(typed.once or None, typed.digest())
        opened = form.run(
            ctx.records, ctx.actor, lambda tx: _Opened(case_id=admission.admit(tx, wanted))
        ).value(_Opened)
    except (InputError, Conflict) as error:
        return _page(ctx, typed, error)
    return RedirectResponse(f"/cases/{opened.case_id}?opened", 303)


def _wanted(ctx: RequestContext, typed: CaseForm) -> Admission:
    complaint = None
    if typed.complaint.strip() and ctx.actor.may(Permission.TRIAGE):
        complaint = triage.triaged(typed.complaint, ctx.settings, ctx.language)
    return Admission(
        typed.patient_id or None,
        None if typed.patient_id else typed.person(),
        typed.unknown,
        complaint,
        triage.chosen_department(typed.department, ctx.settings),
        typed.question,
        typed.restricted,
        typed.choice() if typed.urgency else None,
    )


def _page(ctx: RequestContext, typed: CaseForm, error: TetkikError | None = None) -> HTMLResponse:
    language = ctx.language
    answer: triage.LiveAnswer | None = None
    matches: tuple[Match, ...] = ()
    if typed.complaint.strip():
        answer = triage.ask_live(typed.complaint, ctx.settings, language, _listed(typed.asked))
    if error is not None:
        matches = _alike(ctx, typed)
    return ctx.render(
        "reception/page.html.jinja",
        typed=typed.model_copy(update={"once": new_id()}),
        answer=answer,
        matches=matches,
        departments=[(name, name) for name in triage.departments(ctx.settings)],
        error=error,
        field=error.field if error else "",
        fragment=False,
        words="",
        most=patients.MOST_MATCHES,
    )


def _alike(ctx: RequestContext, typed: CaseForm) -> tuple[Match, ...]:
    """The patient that was chosen, or those with the numbers that were typed: as good as a search."""
    person = Person(tckn="".join(typed.tckn.split()), number=typed.number.strip())
    with ctx.write() as tx:
        chosen = (typed.patient_id,) if typed.patient_id else patients.find_by_number(tx, person)
        found = patients.load_matches(tx, chosen)
        if found:
            tx.audit(Action.PATIENT_SEARCHED, found=len(found))
    return found


def _listed(words: str) -> list[str]:
    return [word for word in words.split(",") if word]
