"""What a case's page, the columns of the worklist and open pages are told of cases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import delete, func, select

from tetkik.errors import NotFound
from tetkik.records.cases import filter_index, patients
from tetkik.records.cases.patients import all_records_of, survivors_of
from tetkik.records.database import Transaction
from tetkik.records.people.access import AccessState, decide_access, load_access_states, visible_cases
from tetkik.records.reports.withdrawal_queries import Withdrawn, now_of_reports
from tetkik.records.schema.cases import Case, CaseMark, Image, Patient, Study
from tetkik.records.schema.models import Job
from tetkik.records.schema.people import User
from tetkik.records.schema.reports import Report, ReportVersion
from tetkik.records.schema.trail import Event
from tetkik.records.worklist.assignments import load_assignees
from tetkik.records.worklist.claims import load_readers
from tetkik.turkish import alphabetical
from tetkik.values.document import ReportState
from tetkik.values.states import JobState

# What the columns of the worklist say of many cases at once, and the list sorted by one of them.


class SortColumn(StrEnum):
    """What a list may be sorted by; without any it is in order of priority and waiting."""

    PATIENT = "patient"
    MODALITY = "modality"
    BODY_PART = "body_part"
    STUDY = "study"
    IMAGES = "images"
    PRIOR = "prior"
    REFERRER = "referrer"
    ASSIGNED = "assigned"
    STATE = "state"
    WAITING = "waiting"
    READER = "reader"


@dataclass(frozen=True, slots=True)
class Sort:
    column: SortColumn
    descending: bool = False


@dataclass(frozen=True, slots=True)
class StudyTime:
    """When the newest study of a case was made; without a date in its files, when it came."""

    at: datetime
    """When it came."""
    day: date | None
    """Study Date (0008,0020); None where the files have none or the case is not open to the actor."""

    @property
    def shown(self) -> date:
        return self.day or self.at.astimezone().date()


def count_images(tx: Transaction, case_ids: Sequence[str]) -> dict[str, int]:
    """How many images each case has; cases without any are left out."""
    there = (Image.case_id.in_(case_ids), Image.removed_at.is_(None))
    rows = select(Image.case_id, func.count()).where(*there).group_by(Image.case_id)
    return {row[0]: row[1] for row in tx.session.execute(rows)}


def load_modalities(tx: Transaction, case_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    rows = select(CaseMark.case_id, CaseMark.mark).where(
        CaseMark.case_id.in_(case_ids), CaseMark.mark.startswith("modality:")
    )
    found: dict[str, set[str]] = {}
    for row in tx.session.execute(rows):
        if (code := filter_index.modality_of(row.mark)) is not None:
            found.setdefault(row.case_id, set()).add(code)
    return {case_id: tuple(sorted(codes)) for case_id, codes in found.items()}


def load_body_parts(tx: Transaction, case_ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Body Part Examined of the studies of each case, as DICOM writes it."""
    rows = select(Study.case_id, Study.body_part).where(
        Study.case_id.in_(case_ids), Study.body_part.is_not(None), filter_index.study_stands()
    )
    found: dict[str, set[str]] = {}
    for case_id, part in tx.session.execute(rows):
        found.setdefault(case_id, set()).add(part or "")
    return {case_id: tuple(sorted(parts)) for case_id, parts in found.items()}


def load_study_times(
    tx: Transaction, case_ids: Sequence[str], opened: frozenset[str]
) -> dict[str, StudyTime]:
    """When the newest study of each case was made; dates of files only of the cases in `opened`."""
    rows = tx.session.execute(
        select(Study.case_id, Study.id, Study.patient_id, Study.tags, Study.created_at)
        .where(Study.case_id.in_(case_ids), filter_index.study_stands())
        .order_by(Study.id)
    )
    newest = {row.case_id: row for row in rows}
    return {
        case_id: StudyTime(row.created_at, _study_day(tx, row) if case_id in opened else None)
        for case_id, row in newest.items()
    }


def _study_day(tx: Transaction, row: Any) -> date | None:
    if row.tags is None:
        return None
    try:
        tags = json.loads(tx.open(row.patient_id, "studies.tags", row.id, row.tags))
    except NotFound:
        return None  # erased
    return patients.day_of(tags.get("study_date") or "")


def find_cases_with_prior(tx: Transaction, rows: Sequence[Case]) -> frozenset[str]:
    """Ids of the cases whose patient has images in an earlier case, under whatever record of theirs."""
    records = all_records_of(tx, [row.patient_id for row in rows])
    stands_for = survivors_of(tx, records)
    there = (Image.patient_id.in_(records), Image.removed_at.is_(None))
    imaged = select(Image.case_id, Image.patient_id).where(*there).distinct()
    first: dict[str, str] = {}
    for case_id, patient_id in tx.session.execute(imaged):
        person = stands_for[patient_id]
        first[person] = min(case_id, first.get(person, case_id))
    return frozenset(row.id for row in rows if first.get(stands_for[row.patient_id], row.id) < row.id)


def sort_cases(tx: Transaction, case_ids: Sequence[str], sort: Sort) -> list[str]:
    """Cases sorted by a column; those of which it says nothing come last, equal ones stay as they were."""
    rows = {row.id: row for row in tx.session.scalars(select(Case).where(Case.id.in_(case_ids)))}
    keys = _keys(tx, [rows[case_id] for case_id in case_ids if case_id in rows], sort.column)
    known = [case_id for case_id in case_ids if keys.get(case_id) is not None]
    known.sort(key=lambda case_id: keys[case_id], reverse=sort.descending)
    return [*known, *(case_id for case_id in case_ids if keys.get(case_id) is None)]


def _keys(tx: Transaction, rows: Sequence[Case], column: SortColumn) -> dict[str, Any]:
    ids = [row.id for row in rows]
    match column:
        case SortColumn.PATIENT:
            return _names(tx, rows)
        case SortColumn.MODALITY:
            return load_modalities(tx, ids)
        case SortColumn.BODY_PART:
            return load_body_parts(tx, ids)
        case SortColumn.STUDY:
            times = load_study_times(tx, ids, frozenset(row.id for row in rows if not row.restricted))
            return {case_id: (time.shown, time.at) for case_id, time in times.items()}
        case SortColumn.IMAGES:
            return dict.fromkeys(ids, 0) | count_images(tx, ids)
        case SortColumn.PRIOR:
            prior = find_cases_with_prior(tx, rows)
            return {case_id: case_id not in prior for case_id in ids}
        case SortColumn.REFERRER:
            return {row.id: alphabetical(row.department) for row in rows if row.department}
        case SortColumn.ASSIGNED:
            return {case_id: alphabetical(one.name) for case_id, one in load_assignees(tx, ids).items()}
        case SortColumn.STATE:
            return {row.id: row.state.value for row in rows}
        case SortColumn.READER:
            return {case_id: alphabetical(one.name) for case_id, one in load_readers(tx, ids).items()}
        case SortColumn.WAITING:
            return {row.id: row.waiting_since for row in rows}


def _names(tx: Transaction, rows: Sequence[Case]) -> dict[str, Any]:
    shown = [row for row in rows if not row.restricted or decide_access(tx, row).open]
    survivors = survivors_of(tx, {row.patient_id for row in shown})
    known = {
        row.id: row
        for row in tx.session.scalars(select(Patient).where(Patient.id.in_(set(survivors.values()))))
    }
    names: dict[str, Any] = {}
    for row in shown:
        patient = known.get(survivors[row.patient_id])
        if patient is None or patient.identity is None or patient.key is None:
            continue
        names[row.id] = alphabetical(patients.load_registered_person(tx, patient.id).name)
    return names


@dataclass(frozen=True, slots=True)
class StudySummary:
    id: str
    modality: str | None
    images: int
    state: JobState | None
    """Of the work on them: the least advanced; None where none was asked for."""
    received_at: datetime


@dataclass(frozen=True, slots=True)
class ReportSummary:
    id: str
    state: ReportState
    version: int
    signed_at: datetime | None
    updated_at: datetime
    updated_by: str | None
    withdrawn: Withdrawn | None


@dataclass(frozen=True, slots=True)
class CaseContents:
    studies: tuple[StudySummary, ...]
    reports: tuple[ReportSummary, ...]


_ORDER = (JobState.FAILED, JobState.QUEUED, JobState.RUNNING, JobState.DONE)


def load_contents(tx: Transaction, case_id: str) -> CaseContents:
    """The images and reports of a case; the caller has asked whether it may be seen."""
    return CaseContents(_studies(tx, case_id), _reports(tx, case_id))


def _studies(tx: Transaction, case_id: str) -> tuple[StudySummary, ...]:
    states: dict[str, set[JobState]] = {}
    worked = (
        select(Image.study_id, Job.state)
        .join(Job, Job.image_id == Image.id)
        .where(Image.case_id == case_id, Image.removed_at.is_(None))
        .distinct()
    )
    for study_id, state in tx.session.execute(worked):
        states.setdefault(study_id, set()).add(state)
    counted = (
        select(Study, func.count(Image.id))
        .join(Image, Image.study_id == Study.id)
        .where(Study.case_id == case_id, Image.removed_at.is_(None))
        .group_by(Study.id)
        .order_by(Study.id)
    )
    return tuple(
        study.to_value(
            StudySummary,
            images=images,
            state=next((state for state in _ORDER if state in states.get(study.id, ())), None),
            received_at=study.created_at,
        )
        for study, images in tx.session.execute(counted)
    )


def _reports(tx: Transaction, case_id: str) -> tuple[ReportSummary, ...]:
    signed = (
        select(ReportVersion.report_id, func.max(ReportVersion.created_at).label("at"))
        .where(ReportVersion.case_id == case_id)
        .group_by(ReportVersion.report_id)
        .subquery()
    )
    rows = tx.session.execute(
        select(Report, signed.c.at, User.name)
        .outerjoin(signed, signed.c.report_id == Report.id)
        .outerjoin(User, User.id == Report.updated_by)
        .where(Report.case_id == case_id)
        .order_by(Report.id)
    ).all()
    back = now_of_reports(tx, [report.id for report, *_ in rows])
    return tuple(
        report.to_value(ReportSummary, signed_at=at, updated_by=name, withdrawn=back.get(report.id))
        for report, at, name in rows
    )


# Events for open pages: the announcements of transactions, for those who may see the case.


KEPT = timedelta(days=1)
"""Older ones are removed; a page that slept longer begins again."""
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class CaseEvent:
    seq: int
    kind: str
    case_id: str | None


@dataclass(frozen=True, slots=True)
class EventBatch:
    events: tuple[CaseEvent, ...]
    """In order, of the cases that the actor may see."""
    upto: int
    """The number up to which there is nothing else."""
    missed: bool = False
    """Whether some may have been removed before the page received them: it begins again."""


def newest_sequence(tx: Transaction) -> int:
    """The number of the last announcement; 0 before the first."""
    return tx.session.scalar(select(func.max(Event.seq))) or 0


def load_events_after(tx: Transaction, seq: int) -> EventBatch:
    """What was announced after a number, as far as the actor may know of it."""
    rows = tx.session.execute(
        select(Event.seq, Event.kind, Event.case_id)
        .where(Event.seq > seq)
        .order_by(Event.seq)
        .limit(_AT_ONCE)
    ).all()
    if not rows:
        return EventBatch((), seq)
    ids = {row.case_id for row in rows if row.case_id is not None}
    visible = select(Case.id).where(Case.id.in_(ids), visible_cases(tx))
    seen = {None, *(tx.session.scalars(visible) if ids else ())}
    events = tuple(CaseEvent(row.seq, row.kind, row.case_id) for row in rows if row.case_id in seen)
    oldest = tx.session.scalar(select(func.min(Event.seq))) or 0
    return EventBatch(events, rows[-1].seq, missed=0 < seq < oldest - 1)


def is_actor_current(tx: Transaction) -> bool:
    """Whether the actor is still who they were: session or token goes on, roles and departments are the same.

    It is not recorded as used: a page that listens is not a person at the keyboard.
    """
    actor = tx.actor
    now = load_access_states(tx, [actor]).get(actor.session_id or actor.token_id or "")
    return now == AccessState.of(actor)


def delete_old_events(tx: Transaction) -> None:
    """Remove what every page received long ago; the last one stays, so that numbers go on."""
    last = newest_sequence(tx)
    tx.session.execute(delete(Event).where(Event.at < tx.now - KEPT, Event.seq < last))
