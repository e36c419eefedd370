"""The reception desk: triage of a complaint, a new case, and who was here today or waits for an image."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StrictBool, field_validator

from tetkik import workflow
from tetkik.errors import Conflict, InputError, TetkikError
from tetkik.language import Language, Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, patients
from tetkik.records.cases.cases import Admission
from tetkik.records.cases.complaints import TriagedComplaint, UrgencyChoice
from tetkik.records.cases.patients import Match, Person
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.worklist import case_contents, worklist, worklist_items
from tetkik.records.worklist.worklist import WorklistFilter
from tetkik.records.worklist.worklist_items import WorklistItem
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.idempotency import IdempotentRequest
from tetkik.service.kit.rendering.templates import NavigationEntry
from tetkik.service.kit.rendering.words import Piece, pieces
from tetkik.service.patients import Short, TypedPerson, sex_of
from tetkik.settings import Settings
from tetkik.triage.predict import Answer, Clinic, clinic_of, questions
from tetkik.turkish import alphabetical
from tetkik.values.access import Permission
from tetkik.values.complaint import DepartmentScore, DestinationKind, TriageResult, UrgencyLevel
from tetkik.values.states import CaseState, UrgencyReason

LONGEST_TEXT = 200_000
"""Characters of a complaint that are taken at all; the setting `max_text_chars` says how many are read."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """What the page shows while somebody types, with what may be answered to its question."""

    result: TriageResult
    pieces: tuple[Piece, ...]
    first: tuple[DepartmentScore, ...]
    rest: tuple[DepartmentScore, ...]
    answers: tuple[Answer, ...] = ()


def answer_to(text: str, settings: Settings, language: Language) -> TriageResult:
    """The model's answer to a complaint, in the language of the page; nothing is kept."""
    return _answered(text, settings, language).result


def _answered(
    text: str, settings: Settings, language: Language, *, measure: bool = False, denied: Sequence[str] = ()
) -> workflow.ComplaintAnswer:
    plain = text.replace("\r\n", "\n")
    return workflow.answer_complaint(
        plain, settings.triage_model, language, measure=measure, in_hospital=True, denied=denied
    )


def ask_live(text: str, settings: Settings, language: Language, asked: Sequence[str] = ()) -> LiveAnswer:
    """The answer as the page shows it; a question that was answered with no is not asked again."""
    result = _answered(text, settings, language, denied=asked).result
    answers = next((one.answers for one in questions() if one.id == result.question_id), ())
    return LiveAnswer(
        result, pieces(result), result.departments[:_SHOWN], result.departments[_SHOWN:], answers
    )


def triaged(text: str, settings: Settings, language: Language) -> TriagedComplaint:
    """The answer to a complaint that is to be kept, with the model that gave it."""
    outcome = _answered(text, settings, language, measure=True)
    return TriagedComplaint(outcome.result, outcome.sha256, outcome.measured)


def departments(settings: Settings) -> tuple[str, ...]:
    """The departments that can be chosen: those of the model, in the order of the alphabet."""
    return tuple(sorted(workflow.departments(settings.triage_model), key=alphabetical))


def chosen_department(name: str | None, settings: Settings) -> str | None:
    """A department that somebody chose; None for none."""
    if name and name not in departments(settings):
        raise InputError("There is no such department; choose one of the list.")
    return name or None


def clinic(department: str, result: TriageResult | None) -> Clinic | None:
    """The clinic that a department is booked as; the answer to a complaint knows whether for a child."""
    return clinic_of(department, child=result is not None and result.child)


lists_pages = APIRouter(prefix="/reception")

Desk = Annotated[RequestContext, allowed(Permission.CASE_CREATE)]
_WAITING = WorklistFilter(states=(CaseState.WAITING,))


def load_waiting(tx: Transaction, limit: int = worklist_items.MOST) -> tuple[WorklistItem, ...]:
    """Who waits for an image: the most urgent first, then who waits longest."""
    return worklist.load_worklist(tx, _WAITING, limit=limit).items


@lists_pages.get("/today")
def opened_today(ctx: Desk) -> HTMLResponse:
    return _list(ctx, "today", audit=True)


@lists_pages.get("/today/rows")
def opened_today_again(ctx: Desk) -> HTMLResponse:
    """The same list after something happened; the audit entry of the page covers it."""
    return _list(ctx, "today")


@lists_pages.get("/waiting")
def waiting(ctx: Desk) -> HTMLResponse:
    return _list(ctx, "waiting", audit=True)


@lists_pages.get("/waiting/rows")
def waiting_again(ctx: Desk) -> HTMLResponse:
    """The same list after something happened; the audit entry of the page covers it."""
    return _list(ctx, "waiting")


def _list(ctx: RequestContext, kind: str, *, audit: bool = False) -> HTMLResponse:
    with ctx.write() if audit else ctx.read() as tx:
        seq = case_contents.newest_sequence(tx)
        items = worklist_items.load_opened_today(tx) if kind == "today" else load_waiting(tx)
        if audit:
            tx.audit(Action.CASES_LISTED, shown=len(items))
    template = f"reception/{'list' if audit else 'list_rows'}.html.jinja"
    return ctx.render(template, kind=kind, items=items, seq=seq, most=worklist_items.MOST)


class TriageRequest(BaseModel):
    """A complaint."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"text": "Gözlerim kızardı ve sulanıyor."}]}
    )

    text: str = Field(max_length=LONGEST_TEXT, repr=False, description="What the patient says, in Turkish.")


class DepartmentShape(BaseModel):
    """A department with its calibrated probability."""

    name: str
    probability: float = Field(ge=0, le=1, description="0 to 1.")
    clinic: str | None = Field(description="As it is booked; None where the hospital's list has none.")
    referral: str | None = Field(
        description="Which clinic must refer first; None where it is booked directly."
    )


class FlagShape(BaseModel):
    """A rule of urgency that fired."""

    id: str
    reason: str = Field(description="For the person at the desk.")
    start: int = Field(ge=0, description="Of the words in the text, in characters.")
    end: int = Field(ge=0)
    level: UrgencyLevel
    source: str = Field(description="Where the rule comes from.")


class UrgencyShape(BaseModel):
    """How soon the patient should be seen."""

    level: UrgencyLevel | None = Field(
        description="None where the text could not be read: somebody must see the patient."
    )
    flags: list[FlagShape] = Field(description="That were found, the worst first.")


class DestinationShape(BaseModel):
    """Where the patient goes first."""

    kind: DestinationKind
    text: str = Field(description="The emergency department, or the clinic or department as it is booked.")


class TriageEvidence(BaseModel):
    """Words that decided for the first department."""

    start: int = Field(ge=0, description="In the text, in characters.")
    end: int = Field(ge=0)
    text: str
    weight: float = Field(description="What they add to the logit, in nats.")


class TriageShape(BaseModel):
    """The answer to one complaint, with the keys of `tetkik triage predict --json`."""

    text: str = Field(description="The complaint as it came.")
    departments: list[DepartmentShape] = Field(
        description="The best first; empty where the text cannot be read."
    )
    urgency: UrgencyShape = Field(description="Found by rules, apart from the departments.")
    abstain: bool = Field(description="Whether no department is likely enough.")
    reason: str | None = Field(description="Why it abstains, or why the first department comes first.")
    question: str | None = Field(
        description="That would help most where it abstains; None where no answer would change the first two "
        "departments, and of red."
    )
    destination: DestinationShape | None = Field(
        description="The emergency department for red; None where it abstains otherwise."
    )
    evidence: list[TriageEvidence]
    model: str

    @classmethod
    def of(cls, result: TriageResult) -> TriageShape:
        return cls.model_validate(result.as_json())


class UrgencyChange(BaseModel):
    """The urgency that a person sets instead of that of triage."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"level": "kirmizi", "reason": "vital_signs"}]}
    )

    level: UrgencyLevel | None = Field(description="None lets the level of triage stand again.")
    reason: UrgencyReason | None = Field(default=None, description="Needed with a level.")
    sure: StrictBool = Field(default=False, description="Whether a person confirms that a red is lowered.")

    def value(self) -> UrgencyChoice:
        return UrgencyChoice(self.level, self.reason, self.sure)


class TypedUrgency(BaseModel):
    """The same as a form sends it (`parts/urgency_choice.html.jinja`); an empty level is that of triage."""

    urgency: UrgencyLevel | None = None
    urgency_reason: UrgencyReason | None = None
    urgency_sure: bool = False

    @field_validator("urgency", "urgency_reason", mode="before")
    @classmethod
    def _none(cls, value: object) -> object:
        return value or None

    def choice(self) -> UrgencyChoice:
        return UrgencyChoice(self.urgency, self.urgency_reason, self.urgency_sure)


api = APIRouter(tags=["triage"])


@api.post("/triage")
def triage(ctx: Annotated[RequestContext, allowed(Permission.TRIAGE)], request: TriageRequest) -> TriageShape:
    """Departments, urgency, evidence; nothing is kept and nothing is logged."""
    return TriageShape.of(answer_to(request.text, ctx.settings, ctx.language))


pages = APIRouter()
NAVIGATION = (
    NavigationEntry(
        "/reception", Permission.CASE_CREATE, "message", Sentence("Reception"), "g r", position=10, start=2
    ),
)

_Text = Annotated[str, Form(max_length=LONGEST_TEXT)]
_Short = Annotated[str, Form(max_length=400)]


class CaseForm(TypedPerson, TypedUrgency):
    """The form as it was sent, so that a fault loses nothing of it."""

    once: Short = Field(default="", description="Names this form: sent twice, it opens one case.")
    complaint: str = Field(default="", max_length=LONGEST_TEXT, repr=False)
    asked: Short = Field(default="", description="Ids of questions that were answered with no, with commas.")
    department: Short = ""
    patient_id: Short = Field(default="", description="Empty for a new patient.")
    unknown: bool = Field(default=False, description="Nobody knows who the patient is.")
    question: str = Field(default="", max_length=20_000, repr=False)
    restricted: bool = False
    another: bool = Field(default=False, description="Not one of those of the same name and birth date.")

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


@pages.get("/reception")
def reception(ctx: Annotated[RequestContext, allowed(Permission.CASE_CREATE)]) -> HTMLResponse:
    return _page(ctx, CaseForm())


@pages.post("/reception/triage")
def live_triage(
    ctx: Annotated[RequestContext, allowed(Permission.TRIAGE)], complaint: _Text = "", asked: _Short = ""
) -> HTMLResponse:
    """The answer to what is typed so far; nothing is kept and nothing is logged."""
    answer = None
    if complaint.strip():
        answer = ask_live(complaint, ctx.settings, ctx.language, _listed(asked))
    shown = ctx.render("reception/answer.html.jinja", answer=answer, fragment=True)
    # The choice of another urgency stands outside the answer, so that typing does not take it away.
    shown.headers["HX-Trigger"] = json.dumps(
        {"urgency": {"level": answer.result.urgency.level if answer else None}}
    )
    return shown


@pages.post("/reception/patients")
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


@pages.post("/reception")
def open_case(
    ctx: Annotated[RequestContext, allowed(Permission.CASE_CREATE)], typed: Annotated[CaseForm, Form()]
) -> Response:
    try:
        wanted = _wanted(ctx, typed)
        form = IdempotentRequest(typed.once or None, typed.digest())
        opened = form.run(ctx.records, ctx.actor, lambda tx: _admitted(tx, wanted, typed)).value(_Opened)
    except (InputError, Conflict) as error:
        return _page(ctx, typed, error)
    return RedirectResponse(f"/cases/{opened.case_id}?opened", 303)


class Namesakes(Conflict):
    """A new patient has the name and the birth date of others: the desk says whether it is one of them."""


def _admitted(tx: Transaction, wanted: Admission, typed: CaseForm) -> _Opened:
    new = wanted.person if not typed.another else None
    if new is not None and patients.find_namesakes(tx, new) and not patients.find_by_number(tx, new):
        raise Namesakes(
            "Somebody of this name and birth date is known; choose that patient, or say that this is "
            "another person."
        ).at("words")
    return _Opened(case_id=cases.admit(tx, wanted))


def _wanted(ctx: RequestContext, typed: CaseForm) -> Admission:
    complaint = None
    if typed.complaint.strip() and ctx.actor.may(Permission.TRIAGE):
        complaint = triaged(typed.complaint, ctx.settings, ctx.language)
    return Admission(
        typed.patient_id or None,
        None if typed.patient_id else typed.person(),
        typed.unknown,
        complaint,
        chosen_department(typed.department, ctx.settings),
        typed.question,
        typed.restricted,
        typed.choice() if typed.urgency else None,
    )


def _page(ctx: RequestContext, typed: CaseForm, error: TetkikError | None = None) -> HTMLResponse:
    language = ctx.language
    answer: LiveAnswer | None = None
    matches: tuple[Match, ...] = ()
    if typed.complaint.strip():
        answer = ask_live(typed.complaint, ctx.settings, language, _listed(typed.asked))
    if error is not None:
        matches = _alike(ctx, typed)
    return ctx.render(
        "reception/page.html.jinja",
        typed=typed.model_copy(update={"once": new_id()}),
        answer=answer,
        matches=matches,
        departments=[(name, name) for name in departments(ctx.settings)],
        error=error,
        namesakes=isinstance(error, Namesakes),
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
        if not found:
            with suppress(InputError):  # which the form shows already
                found = patients.find_namesakes(tx, typed.person())
        if found:
            tx.audit(Action.PATIENT_SEARCHED, found=len(found))
    return found


def _listed(words: str) -> list[str]:
    return [word for word in words.split(",") if word]
