"""The reception desk: live triage of a complaint, search for the patient, a new case."""

from __future__ import annotations

import hashlib
import json
from dataclasses import astuple, dataclass, field, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import BaseModel

from tetkik.errors import Conflict, InputError, TetkikError
from tetkik.language import Sentence
from tetkik.records.cases import admission, patients
from tetkik.records.cases.admission import Admission
from tetkik.records.cases.patients import Match, Person
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.trail.chain import Action
from tetkik.service.kit.access.authorization import allowed
from tetkik.service.kit.context import AppContext, ContextDep
from tetkik.service.kit.http.idempotency import IdempotentRequest
from tetkik.service.kit.http.problems import status_of
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.service.kit.rendering.templates import language_of, render
from tetkik.service.patients.shapes import TypedPerson, sex_of
from tetkik.service.reception import triage
from tetkik.values import Actor, Permission

router = APIRouter()
NAVIGATION = (
    NavigationEntry(
        "/reception", Permission.CASE_CREATE, "message", Sentence("Reception"), "g r", position=10, start=2
    ),
)

_Text = Annotated[str, Form(max_length=triage.LONGEST_TEXT)]
_Short = Annotated[str, Form(max_length=400)]


@dataclass(frozen=True, slots=True)
class Typed:
    """The desk's form as it was sent, so that a fault loses nothing of it.

    Attributes:
        once: names this form, so that sending it twice opens one case.
        asked: questions that were answered with no, with commas.
        department: that was chosen; empty for none.
        patient_id: of a known patient; empty for a new one.
        birth_date: as it was typed: `01.01.1970`.
        sex: F, M, O or empty.
        unknown: nobody knows who the patient is.
        restricted: whether the case opens only with a reason.
    """

    once: str = ""
    complaint: str = field(default="", repr=False)
    asked: str = ""
    department: str = ""
    patient_id: str = ""
    name: str = field(default="", repr=False)
    tckn: str = field(default="", repr=False)
    number: str = field(default="", repr=False)
    birth_date: str = field(default="", repr=False)
    sex: str = field(default="", repr=False)
    unknown: bool = False
    question: str = field(default="", repr=False)
    restricted: bool = False

    def digest(self) -> bytes:
        """By which the same form is known again, and another one under its name is refused."""
        return hashlib.sha256(json.dumps(astuple(self)).encode()).digest()

    def person(self) -> Person:
        """Who the new patient is.

        Raises:
            InputError: no such sex, or a date that cannot be.
        """
        if self.unknown:
            return Person(sex=sex_of(self.sex))
        return TypedPerson(self.name, self.tckn, self.number, self.birth_date, self.sex).value()


class _Opened(BaseModel):
    case_id: str


@router.get("/reception")
def reception(
    request: Request, context: ContextDep, actor: Annotated[Actor, allowed(Permission.CASE_CREATE)]
) -> HTMLResponse:
    """The empty form."""
    return _page(request, context, actor, Typed())


@router.post("/reception/triage")
def live_triage(
    request: Request,
    context: ContextDep,
    _actor: Annotated[Actor, allowed(Permission.TRIAGE)],
    complaint: _Text = "",
    asked: _Short = "",
) -> HTMLResponse:
    """The answer to what is typed so far; nothing is kept and nothing is logged."""
    answer = None
    if complaint.strip():
        answer = triage.ask_live(complaint, context.settings, language_of(request), _listed(asked))
    return render(request, "reception/answer.html.jinja", answer=answer, fragment=True)


@router.post("/reception/patients")
def find_patients(
    request: Request,
    context: ContextDep,
    actor: Annotated[Actor, allowed(Permission.CASE_CREATE)],
    words: _Short = "",
) -> HTMLResponse:
    """Patients by name or number, to be chosen."""
    words = words.strip()
    if not patients.worth_searching(words):
        return render(request, "reception/patients.html.jinja", matches=(), words="", most=0)
    with context.records.write(actor) as tx:
        matches = patients.search(tx, words)
    return render(
        request, "reception/patients.html.jinja", matches=matches, words=words, most=patients.MOST_MATCHES
    )


def _typed(
    *,
    once: _Short = "",
    complaint: _Text = "",
    asked: _Short = "",
    department: _Short = "",
    patient_id: _Short = "",
    name: _Short = "",
    tckn: _Short = "",
    number: _Short = "",
    birth_date: _Short = "",
    sex: _Short = "",
    unknown: Annotated[bool, Form()] = False,
    question: Annotated[str, Form(max_length=20_000)] = "",
    restricted: Annotated[bool, Form()] = False,
) -> Typed:
    return Typed(
        once, complaint.replace("\r\n", "\n"), asked, department, patient_id, name, tckn, number, birth_date,
        sex, unknown, question.replace("\r\n", "\n"), restricted,
    )  # fmt: skip


@router.post("/reception")
def open_case(
    request: Request,
    context: ContextDep,
    actor: Annotated[Actor, allowed(Permission.CASE_CREATE)],
    typed: Annotated[Typed, Depends(_typed)],
) -> Response:
    """Open a case, or show the form again with what is wrong."""
    try:
        wanted = _wanted(request, context, actor, typed)
        form = IdempotentRequest(typed.once or None, typed.digest())
        opened = form.run(context.records, actor, lambda tx: _admitted(tx, wanted)).value(_Opened)
    except (InputError, Conflict) as error:
        return _page(request, context, actor, typed, error)
    return RedirectResponse(f"/cases/{opened.case_id}?opened", 303)


def _admitted(tx: Transaction, wanted: Admission) -> _Opened:
    return _Opened(case_id=admission.admit(tx, wanted))


def _wanted(request: Request, context: AppContext, actor: Actor, typed: Typed) -> Admission:
    complaint = None
    if typed.complaint.strip() and actor.may(Permission.TRIAGE):
        complaint = triage.triaged(typed.complaint, context.settings, language_of(request))
    return Admission(
        typed.patient_id or None,
        None if typed.patient_id else typed.person(),
        typed.unknown,
        complaint,
        triage.chosen_department(typed.department, context.settings),
        typed.question,
        typed.restricted,
    )


def _page(
    request: Request, context: AppContext, actor: Actor, typed: Typed, error: TetkikError | None = None
) -> HTMLResponse:
    language = language_of(request)
    answer: triage.LiveAnswer | None = None
    matches: tuple[Match, ...] = ()
    if typed.complaint.strip():
        answer = triage.ask_live(typed.complaint, context.settings, language, _listed(typed.asked))
    if error is not None:
        matches = _alike(context, actor, typed)
    return render(
        request,
        "reception/page.html.jinja",
        status=200 if error is None else status_of(error),
        typed=replace(typed, once=new_id()),
        answer=answer,
        matches=matches,
        departments=[(name, name) for name in triage.departments(context.settings)],
        fault=error.in_language(language) if error is not None else None,
        fragment=False,
        words="",
        most=patients.MOST_MATCHES,
    )


def _alike(context: AppContext, actor: Actor, typed: Typed) -> tuple[Match, ...]:
    """The patient that was chosen, or those with the numbers that were typed: as good as a search."""
    person = Person(tckn="".join(typed.tckn.split()), number=typed.number.strip())
    with context.records.write(actor) as tx:
        chosen = (typed.patient_id,) if typed.patient_id else patients.known_as(tx, person)
        found = patients.matches_of(tx, chosen)
        if found:
            tx.audit(Action.PATIENT_SEARCHED, found=len(found))
    return found


def _listed(words: str) -> list[str]:
    return [word for word in words.split(",") if word]
