"""Cases: one visit of one patient, from the desk to the signed report."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import select, text

from tetkik.errors import Conflict, InputError, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases import complaints, filter_index, patients, transfers
from tetkik.records.cases import priority as priorities
from tetkik.records.cases.complaints import ComplaintView, TriagedComplaint, UrgencyChoice
from tetkik.records.cases.patients import Person, survivor_of
from tetkik.records.cases.transfers import CaseMoves
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.people.access import decide_access, find_case, load_visible_case, visible_cases
from tetkik.records.schema.base import fitting
from tetkik.records.schema.cases import Case, Image
from tetkik.records.schema.reports import Report
from tetkik.records.schema.trail import Note
from tetkik.values.complaint import UrgencyLevel
from tetkik.values.document import ReportState
from tetkik.values.states import CaseState, Priority

LONGEST_QUESTION = 2000
"""Characters of a clinical question."""
_NUMBER = re.compile(r"([0-9]{4})\s*[-/]\s*([0-9]{1,8})(\s*-\s*[0-9]{1,3})?")
_FIRST_NUMBER = text("INSERT INTO notes (key, value) VALUES (:key, '0') ON CONFLICT DO NOTHING")


@dataclass(frozen=True, slots=True)
class ListedCase:
    """A case as a list shows it: without identity and without words of the patient."""

    id: str
    number: str
    state: CaseState
    priority: Priority
    urgency: UrgencyLevel | None
    department: str | None
    restricted: bool
    waiting_since: datetime
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CaseView(ListedCase):
    """A case as somebody who may open it sees it."""

    patient_id: str
    """Whose; of several records that are one, the surviving one."""
    person: Person
    registered_as: Person | None
    """What the record says under which the case was opened; None where no other one stands for it."""
    priority_chosen: bool
    """Whether a person chose it; else it follows triage and the findings."""
    question: str = field(repr=False)
    complaint: ComplaintView | None
    by_glass: bool
    moves: CaseMoves


def open_case(
    tx: Transaction,
    patient_id: str,
    *,
    complaint: TriagedComplaint | None = None,
    department: str | None = None,
    priority: Priority | None = None,
    question: str = "",
    restricted: bool = False,
    urgency: UrgencyChoice | None = None,
) -> str:
    """Open a case for a patient, or for the record that stands for this one; gives its id.

    A `priority` of None follows triage and the findings.
    """
    patient_id = survivor_of(tx, patient_id)
    level = complaint.result.urgency.level if complaint is not None else None
    if urgency is not None and complaint is None:
        raise InputError("A case without a complaint has no urgency; write the complaint, too.")
    patients.require_not_erased(tx, patient_id)
    row = Case(
        id=new_id(),
        number=next_number(tx),
        patient_id=patient_id,
        state=CaseState.WAITING,
        priority=priorities.initial_priority(level, priority, complaint=complaint is not None),
        priority_chosen=priority,
        urgency=level,
        department=department,
        restricted=restricted,
        waiting_since=tx.now,
        created_at=tx.now,
        created_by=tx.actor.user_id,
        updated_at=tx.now,
    )
    set_question(tx, row, question)
    tx.session.add(row)
    tx.session.flush()
    tx.audit_about(Action.CASE_CREATED, row)
    if complaint is not None:
        stored = complaints.store_complaint(tx, row, complaint)
        if urgency is not None:
            row.urgency = complaints.set_urgency(tx, stored, urgency)
            row.priority = priorities.initial_priority(row.urgency, priority, complaint=True)
    if department is not None:
        tx.audit_about(Action.DEPARTMENT_CHOSEN, row, department=department, before=None)
    tx.announce("case", row.id)
    return row.id


def load_case(tx: Transaction, case_id: str, *, audit: bool = True) -> CaseView:
    """A case that the actor may open; the trail notes it, unless `audit` says that nobody looks at it."""
    row = load_visible_case(tx, case_id)
    by_glass = decide_access(tx, row).by_glass
    if audit:
        tx.audit_about(Action.CASE_OPENED, row, by_glass=by_glass)
    survivor = survivor_of(tx, row.patient_id)
    replaced = survivor != row.patient_id
    return row.to_value(
        CaseView,
        patient_id=survivor,
        person=patients.load_registered_person(tx, survivor),
        registered_as=patients.load_registered_person(tx, row.patient_id) if replaced else None,
        priority=Priority(row.priority),
        priority_chosen=row.priority_chosen is not None,
        question=tx.open_text(row, "question"),
        complaint=complaints.load_complaint(tx, case_id),
        by_glass=by_glass,
        moves=transfers.load_moves(tx, case_id),
    )


def list_cases(
    tx: Transaction,
    *,
    before: str | None = None,
    limit: int = 50,
    state: CaseState | None = None,
    department: str | None = None,
) -> tuple[ListedCase, ...]:
    """Cases that the actor may see, the newest first; `before` is the last id of the page before."""
    wanted = fitting((Case.state, state), (Case.department, department))
    query = select(Case).where(visible_cases(tx), *wanted).order_by(Case.id.desc()).limit(limit)
    if before is not None:
        query = query.where(Case.id < before)
    return tuple(
        row.to_value(ListedCase, priority=Priority(row.priority)) for row in tx.session.scalars(query)
    )


def find_case_by_number(tx: Transaction, number: str) -> str:
    """The id of the case that people call by this number; the caller asks whether it may be seen."""
    found = tx.session.scalar(select(Case.id).where(Case.number == number.strip()))
    if found is None:
        raise NotFound("There is no case with the number {number}; look at its slip.", number=number.strip())
    return found


def change_department(tx: Transaction, case_id: str, department: str) -> None:
    """Choose the department, beside the one that the model named."""
    row = _seen(tx, case_id)
    before, row.department = row.department, department
    filter_index.refresh_filter_index(tx, case_id)
    complaints.choose_department(tx, case_id, department)
    tx.audit_about(Action.DEPARTMENT_CHOSEN, row, department=department, before=before)
    _touch(tx, row)


def change_urgency(tx: Transaction, case_id: str, choice: UrgencyChoice) -> None:
    """Set the urgency oneself, beside that of triage; the priority follows, unless a person chose one."""
    row = priorities.lock_open_case(tx, case_id)
    complaint = complaints.complaint_row(tx, case_id)
    if complaint is None:
        raise Conflict("The case has no complaint and so no urgency; choose its priority instead.")
    before, row.urgency = row.urgency, complaints.set_urgency(tx, complaint, choice)
    if row.urgency is not before:
        priorities.follow_urgency(tx, row, before)
    _touch(tx, row)


def change_person(tx: Transaction, case_id: str, person: Person) -> None:
    """Correct who the patient of a case is."""
    # Before the case, as whoever moves it does.
    patients.lock_links(tx, load_visible_case(tx, case_id).patient_id)
    row = _seen(tx, case_id)
    patients.change(tx, row.patient_id, person, case_id=case_id)
    _touch(tx, row)


def change_question(tx: Transaction, case_id: str, question: str) -> None:
    """Correct the clinical question."""
    row = _seen(tx, case_id)
    set_question(tx, row, question)
    tx.audit_about(Action.CASE_CHANGED, row, field="question")
    _touch(tx, row)


def restrict(tx: Transaction, case_id: str, restricted: bool = True) -> None:
    """Let a case open only with a reason, or as usual again."""
    row = _seen(tx, case_id)
    row.restricted = restricted
    tx.audit_about(Action.CASE_CHANGED, row, field="restricted", restricted=restricted)
    _touch(tx, row)


def close(tx: Transaction, case_id: str) -> None:
    """Put a case away: without a report, or after one."""
    row = _seen(tx, case_id)
    if row.state is CaseState.CLOSED:
        raise Conflict("The case is closed already.")
    tx.audit_about(Action.CASE_CLOSED, row, state=row.state.value)
    row.state = CaseState.CLOSED
    _touch(tx, row)


def reopen(tx: Transaction, case_id: str) -> CaseState:
    """Take a closed case up again, where its images and report left it; gives that state."""
    row = _seen(tx, case_id)
    if row.state is not CaseState.CLOSED:
        raise Conflict("The case is open already.")
    row.state = _state_of_work(tx, case_id)
    tx.audit_about(Action.CASE_CHANGED, row, field="state", state=row.state.value)
    priorities.update_worklist(tx, case_id)  # findings may have been judged meanwhile
    _touch(tx, row)
    return row.state


def set_state(tx: Transaction, case_id: str, state: CaseState) -> None:
    """Move an open case on, as its images and report go; the caller has asked whether it may be seen."""
    row = find_case(tx, case_id)
    if row.state is state:
        return
    if row.state.ended:
        transfers.require_open(tx, row)
    row.state = state
    _touch(tx, row)


def _seen(tx: Transaction, case_id: str) -> Case:
    row = load_visible_case(tx, case_id)
    # As it is now: whoever moves, closes or changes the case meanwhile comes before or after.
    tx.session.flush()
    tx.session.refresh(row, with_for_update={"key_share": True})
    transfers.require_not_moved(tx, case_id)
    return row


def _touch(tx: Transaction, row: Case) -> None:
    row.updated_at = tx.now
    tx.announce("case", row.id)


def set_question(tx: Transaction, row: Case, question: str) -> None:
    """Put a clinical question into a case, sealed; an empty one is none."""
    question = question.strip()
    if len(question) > LONGEST_QUESTION:
        raise InputError(
            "The clinical question is longer than {most} characters; shorten it.", most=LONGEST_QUESTION
        )
    tx.seal_column(row, "question", question.encode() or None)


def _state_of_work(tx: Transaction, case_id: str) -> CaseState:
    states = tx.session.scalars(select(Report.state).where(Report.case_id == case_id)).all()
    if states:
        signed = all(state in (ReportState.FINAL, ReportState.AMENDED) for state in states)
        return CaseState.SIGNED if signed else CaseState.TO_READ
    there = (Image.case_id == case_id, Image.removed_at.is_(None))
    image = tx.session.scalar(select(Image.id).where(*there).limit(1))
    return CaseState.PROCESSING if image is not None else CaseState.WAITING


def number_in(words: str) -> str | None:
    """The number of a case that was typed, or that of one of its reports; None for other words."""
    parts = _NUMBER.fullmatch(words)
    return f"{parts[1]}-{int(parts[2]):06}" if parts else None


def next_number(tx: Transaction) -> str:
    """The next running number of the year, such as `2026-000123`."""
    year = tx.now.year
    key = f"case number {year}"
    chosen = select(Note).where(Note.key == key).with_for_update()
    note = tx.session.scalar(chosen)
    if note is None:
        # Two may open the first case of a year at one moment: the second one waits here for the first.
        tx.session.execute(_FIRST_NUMBER, {"key": key})
        note = tx.session.scalars(chosen).one()
    note.value = str(int(note.value) + 1)
    return f"{year}-{int(note.value):06}"


# Admission: a known, new or unknown patient gets a case, in one transaction.


class PatientKnown(Conflict):
    """A patient who is to be new has a record already."""


@dataclass(frozen=True, slots=True)
class Admission:
    """Everything that opens a case."""

    patient_id: str | None = None
    """Of a known patient; None for a new one."""
    person: Person | None = None
    unknown: bool = False
    complaint: TriagedComplaint | None = None
    department: str | None = None
    question: str = field(default="", repr=False)
    restricted: bool = False
    urgency: UrgencyChoice | None = None
    """Where a person sets another level than triage."""


def admit(tx: Transaction, admission: Admission) -> str:
    """Open a case for a patient; `PatientKnown` where one has the same number. Gives its id."""
    return open_case(
        tx,
        admission.patient_id or register_patient(tx, admission.person, unknown=admission.unknown),
        complaint=admission.complaint,
        department=admission.department,
        question=admission.question,
        restricted=admission.restricted,
        urgency=admission.urgency,
    )


def register_patient(tx: Transaction, person: Person | None, *, unknown: bool = False) -> str:
    """A record for somebody who has none, and whose number nobody has (`PatientKnown`); gives its id."""
    person = patients.validate_person(person or Person())
    if not person.known and not unknown:
        raise InputError("Give the patient's name or a number, or say that the patient is unknown.").at(
            "name"
        )
    if patients.find_by_number(tx, person):
        raise PatientKnown(
            "A patient with this identity number or hospital number is known; choose that patient instead."
        ).at("words")
    return patients.create(tx, person)
