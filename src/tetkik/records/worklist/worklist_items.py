"""The rows of a worklist: what a radiologist must know before opening a case, and no more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import select

from tetkik.language import Sentence
from tetkik.records.cases import filter_index, patients
from tetkik.records.cases.patients import survivors_of
from tetkik.records.database import Transaction
from tetkik.records.people.access import decide_access, visible_cases
from tetkik.records.reports.withdrawal_queries import Withdrawn, now_of_cases
from tetkik.records.schema.cases import Case, Complaint, Image, Patient
from tetkik.records.schema.models import Job
from tetkik.records.schema.reports import Report
from tetkik.records.worklist import case_contents
from tetkik.records.worklist.assignments import Assignee, load_assignees
from tetkik.records.worklist.case_contents import StudyTime
from tetkik.records.worklist.claims import Reader, load_readers
from tetkik.values.access import Permission
from tetkik.values.complaint import UrgencyLevel
from tetkik.values.document import ReportState
from tetkik.values.finding_labels import CRITICAL_LABELS, NORMAL_LABELS
from tetkik.values.radiograph import Sex
from tetkik.values.states import CaseState, JobState, Priority, RunState

# Why a case has its priority: a person's choice, a finding, or what triage found in the complaint.


@dataclass(frozen=True, slots=True)
class Positive:
    label: str
    probability: float | None
    """Calibrated; None where the model gives none, or a radiologist added it."""


@dataclass(frozen=True, slots=True)
class PriorityReason:
    """What asks for the priority of a case; all of it empty for one that nothing asks for."""

    chosen: bool = False
    """A person chose it, whatever is found."""
    findings: tuple[Positive, ...] = ()
    """That ask for it, most probable first."""
    urgency: UrgencyLevel | None = None
    """Of the complaint, where that asks for it."""
    rules: tuple[str, ...] = ()
    """Ids of the rules of triage that gave that level."""
    by_person: bool = False
    """Whether a person set that level."""
    not_assessed: bool = False
    """Whether it is urgent because the complaint could not be assessed."""


def load_reason(tx: Transaction, case_id: str) -> PriorityReason:
    """Why a case has its priority; the caller has asked whether it may be seen."""
    return load_reasons(tx, [tx.session.get_one(Case, case_id)])[case_id]


def load_reasons(tx: Transaction, rows: Sequence[Case]) -> dict[str, PriorityReason]:
    """Why cases have their priorities, by the id of the case."""
    pressing = [row for row in rows if row.priority < Priority.ROUTINE]
    ids = [row.id for row in pressing if row.priority_chosen is None]
    runs = filter_index.load_newest_runs(tx, ids)
    if any(run.state is RunState.FAILED for run in runs):  # what the model had said before stands
        runs = filter_index.load_newest_runs(tx, ids, answered=True)
    found = filter_index.load_case_findings(tx, runs)
    complaints = {
        row.case_id: row
        for row in tx.session.execute(
            select(Complaint.case_id, Complaint.urgency_rules, Complaint.urgency_chosen)
            .where(Complaint.case_id.in_(ids))
            .order_by(Complaint.id)
        )
    }
    reasons = dict.fromkeys((row.id for row in rows), PriorityReason())
    for row in pressing:
        if row.priority_chosen is not None:
            reasons[row.id] = PriorityReason(chosen=True)
            continue
        labels = found[row.id].labels if row.id in found else {}
        complaint = complaints.get(row.id)
        urgency = row.urgency if row.urgency and Priority.of_urgency(row.urgency) == row.priority else None
        by_person = complaint is not None and complaint.urgency_chosen is not None
        rules = tuple((complaint.urgency_rules or "").split()) if urgency and complaint else ()
        reasons[row.id] = PriorityReason(
            findings=pressing_findings(Priority(row.priority), labels),
            urgency=urgency,
            rules=() if by_person else rules,
            by_person=bool(urgency) and by_person,
            not_assessed=row.priority == Priority.URGENT and complaint is not None and row.urgency is None,
        )
    return reasons


def pressing_findings(priority: Priority, labels: Mapping[str, float | None]) -> tuple[Positive, ...]:
    """The findings that ask for a priority, most probable first."""
    if Priority.of_findings(labels) != priority:
        return ()
    wanted = {*CRITICAL_LABELS} if priority is Priority.CRITICAL else {*labels} - {*NORMAL_LABELS}
    return sorted_findings({label: value for label, value in labels.items() if label in wanted})


def sorted_findings(labels: Mapping[str, float | None]) -> tuple[Positive, ...]:
    """Findings, the critical ones first, then the most probable; nothing found, only where that is all."""
    labels = {label: value for label, value in labels.items() if label not in NORMAL_LABELS} or labels
    order = sorted(
        labels.items(), key=lambda pair: (pair[0] not in CRITICAL_LABELS, -(pair[1] or 0.0), pair[0])
    )
    return tuple(Positive(label, probability) for label, probability in order)


_FINDINGS = 4
"""Most findings of a row."""
_WORDS = 90
"""Characters of a complaint in a row."""


@dataclass(frozen=True, slots=True)
class WorklistItem:
    case_id: str
    number: str
    name: str = field(repr=False)
    """Of the patient; empty where hidden, erased or unknown."""
    registered_as: str = field(repr=False)
    """The name of the record under which the case was opened, where another one stands for it and says
    another name; empty otherwise."""
    patient_number: str = field(repr=False)
    born: str = field(repr=False)
    """`YYYYMMDD`; empty likewise."""
    sex: Sex | None = field(repr=False)
    complaint: str = field(repr=False)
    """Its first words; empty where hidden, or where the actor may not open cases."""
    hidden: bool
    """Whether it is restricted and not open to the actor: nothing here tells who it is."""
    restricted: bool
    urgency: UrgencyLevel | None
    priority: Priority
    department: str | None
    state: CaseState
    reason: PriorityReason
    """Why it has its priority; without the rules of triage where it is hidden."""
    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    """As DICOM writes them, such as `CHEST`."""
    images: int
    study: StudyTime | None
    """None before an image came."""
    prior: bool
    """Whether the patient has images in an earlier case; False where hidden."""
    assignee: Assignee | None
    findings: tuple[Positive, ...]
    """What is there by the radiologist's word, else by the newest runs; critical ones first. Of a signed case
    what its radiologist confirmed, without a model's probability."""
    rejected: bool
    unsuitable: bool
    """Whether the newest run refused an image."""
    waiting_since: datetime
    created_at: datetime
    reader: Reader | None
    report: ReportState | None
    withdrawn: Withdrawn | None
    job: JobState | None
    fault: Sentence | None

    def months(self, now: datetime) -> int | None:
        return patients.months_of(self.born, now)

    def age(self, now: datetime) -> int | None:
        """Whole years; None where the day of birth is unknown."""
        return patients.age_of(self.born, now)


def load_items(tx: Transaction, case_ids: Sequence[str]) -> tuple[WorklistItem, ...]:
    """Cases as the worklist shows them, in the order of their ids here; the caller asked for visible ones."""
    rows = {row.id: row for row in tx.session.scalars(select(Case).where(Case.id.in_(case_ids)))}
    open_ids = [row.id for row in rows.values() if not row.restricted or decide_access(tx, row).open]
    known = _Known(tx, list(rows.values()), [rows[case_id] for case_id in open_ids])
    return tuple(known.item(rows[case_id]) for case_id in case_ids if case_id in rows)


class _Known:
    """Everything about the rows of a page, each kind fetched at once."""

    def __init__(self, tx: Transaction, every: Sequence[Case], shown: Sequence[Case]) -> None:
        self._tx = tx
        case_ids = [row.id for row in every]
        self._shown = {row.id for row in shown}
        self._survivors = survivors_of(tx, {row.patient_id for row in shown})
        people = select(Patient).where(Patient.id.in_({*self._survivors, *self._survivors.values()}))
        # Kept here, so that `load_registered_person` finds each in the session, without a query of its own.
        self._patients = {row.id: row for row in tx.session.scalars(people)}
        self._readers = load_readers(tx, case_ids)
        self._complaints = self._words(list(self._shown))
        self._modalities = case_contents.load_modalities(tx, case_ids)
        self._parts = case_contents.load_body_parts(tx, case_ids)
        self._images = case_contents.count_images(tx, case_ids)
        self._studies = case_contents.load_study_times(tx, case_ids, frozenset(self._shown))
        self._prior = case_contents.find_cases_with_prior(tx, shown)
        self._assignees = load_assignees(tx, case_ids)
        self._reasons = load_reasons(tx, every)
        self._read_runs(case_ids)
        self._reports = {
            row.case_id: row
            for row in tx.session.execute(
                select(Report.case_id, Report.state, Report.amending.is_not(None).label("amending"))
                .where(Report.case_id.in_(case_ids))
                .order_by(Report.id)
            )
        }
        self._withdrawn = now_of_cases(tx, case_ids)
        self._jobs = {
            row.case_id: row
            for row in tx.session.execute(
                select(Job.case_id, Job.state, Job.fault)
                .join(Image, Image.id == Job.image_id)
                .where(Job.case_id.in_(case_ids), Image.removed_at.is_(None))
                .order_by(Job.id)
            )
        }

    def item(self, row: Case) -> WorklistItem:
        shown = row.id in self._shown
        patient = self._patients.get(row.patient_id) if shown else None
        alive = patient is not None and patient.identity is not None and patient.key is not None
        person, registered = self._people(row.patient_id) if alive else (patients.Person(), "")
        report, job = self._reports.get(row.id), self._jobs.get(row.id)
        return row.to_value(
            WorklistItem,
            case_id=row.id,
            name=person.name,
            registered_as=registered,
            patient_number=person.number,
            born=person.birth_date,
            sex=person.sex,
            complaint=self._complaint(row) if alive else "",
            hidden=not shown,
            priority=Priority(row.priority),
            reason=self._reasons[row.id] if shown else replace(self._reasons[row.id], rules=()),
            modalities=self._modalities.get(row.id, ()),
            body_parts=self._parts.get(row.id, ()),
            images=self._images.get(row.id, 0),
            study=self._studies.get(row.id),
            prior=row.id in self._prior,
            assignee=self._assignees.get(row.id),
            findings=self._findings(row),
            rejected=row.id in self._found and self._found[row.id].rejected,
            unsuitable=row.id in self._unsuitable,
            reader=self._readers.get(row.id),
            report=(ReportState.DRAFT if report.amending else report.state) if report else None,
            withdrawn=self._withdrawn.get(row.id),
            job=job.state if job else None,
            fault=Sentence(*json.loads(job.fault)) if job and job.fault else None,
        )

    def _people(self, patient_id: str) -> tuple[patients.Person, str]:
        """Who it is, and another name under which the case was opened."""
        survivor = self._survivors[patient_id]
        person = patients.load_registered_person(self._tx, survivor)
        if survivor == patient_id:
            return person, ""
        name = patients.load_registered_person(self._tx, patient_id).name
        return person, name if name != person.name else ""

    def _words(self, case_ids: Sequence[str]) -> dict[str, tuple[str, bytes]]:
        if not self._tx.actor.may(Permission.CASE_READ):
            return {}
        rows = self._tx.session.execute(
            select(Complaint.case_id, Complaint.id, Complaint.text)
            .where(Complaint.case_id.in_(case_ids), Complaint.text.is_not(None))
            .order_by(Complaint.id)
        )
        return {row.case_id: (row.id, row.text) for row in rows}

    def _complaint(self, row: Case) -> str:
        if row.id not in self._complaints:
            return ""
        complaint_id, sealed = self._complaints[row.id]
        words = self._tx.open(row.patient_id, "complaints.text", complaint_id, sealed).decode()
        words = " ".join(words.split())
        return words if len(words) <= _WORDS else f"{words[:_WORDS].rpartition(' ')[0] or words[:_WORDS]} …"

    def _read_runs(self, case_ids: Sequence[str]) -> None:
        runs = filter_index.load_newest_runs(self._tx, case_ids)
        self._unsuitable = {run.case_id for run in runs if run.state is RunState.REFUSED}
        self._found = filter_index.load_case_findings(self._tx, runs)

    def _findings(self, row: Case) -> tuple[Positive, ...]:
        found = self._found.get(row.id, filter_index.CaseFindings())
        labels = dict.fromkeys(found.confirmed) if row.state is CaseState.SIGNED else found.labels
        if found.rejected:  # what the model says of the whole image was not judged with it
            labels = {label: value for label, value in labels.items() if label not in NORMAL_LABELS}
        return sorted_findings(labels)[:_FINDINGS]


# The cases that were opened today, for the desk.


MOST = 200
"""Cases that the list shows; a desk opens fewer in a day."""


def load_opened_today(tx: Transaction, limit: int = MOST) -> tuple[WorklistItem, ...]:
    """Cases that were opened since midnight here and that the actor may see, the newest first.

    One that was moved to the right patient stands there under its new number.
    """
    opened = (
        select(Case.id)
        .where(Case.created_at >= midnight(tx.now), Case.state != CaseState.MOVED, visible_cases(tx))
        .order_by(Case.created_at.desc(), Case.id.desc())
        .limit(limit)
    )
    return load_items(tx, list(tx.session.scalars(opened)))


def midnight(moment: datetime) -> datetime:
    """When the day of a moment began in the time zone of this machine."""
    local = moment.astimezone().replace(tzinfo=None)
    return local.replace(hour=0, minute=0, second=0, microsecond=0).astimezone()
