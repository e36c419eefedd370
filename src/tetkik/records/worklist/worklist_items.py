"""The rows of a worklist: what a radiologist must know before opening a case, and no more."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import select

from tetkik.language import Sentence
from tetkik.records.cases import filter_index, patients
from tetkik.records.cases.patient_links import survivors_of
from tetkik.records.database import Transaction
from tetkik.records.people.visibility import decide_access
from tetkik.records.reports.withdrawal_queries import Withdrawn, now_of_cases
from tetkik.records.schema import Case, Complaint, Image, Job, Patient, Report
from tetkik.records.worklist import case_columns
from tetkik.records.worklist.assignments import Assignee, load_assignees
from tetkik.records.worklist.case_columns import StudyTime
from tetkik.records.worklist.claims import Reader, load_readers
from tetkik.records.worklist.priority_reasons import Positive, PriorityReason, load_reasons, sorted_findings
from tetkik.values import (
    NORMAL_LABELS,
    CaseState,
    JobState,
    Permission,
    Priority,
    ReportState,
    RunState,
    Sex,
    UrgencyLevel,
)

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
        self._modalities = case_columns.load_modalities(tx, case_ids)
        self._parts = case_columns.load_body_parts(tx, case_ids)
        self._images = case_columns.count_images(tx, case_ids)
        self._studies = case_columns.load_study_times(tx, case_ids, frozenset(self._shown))
        self._prior = case_columns.find_cases_with_prior(tx, shown)
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
