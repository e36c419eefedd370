"""The images and reports of a case, as its page lists them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from tetkik.records.database import Transaction
from tetkik.records.reports.withdrawal_queries import Withdrawn, now_of_reports
from tetkik.records.schema import Image, Job, Report, ReportVersion, Study, User
from tetkik.values import JobState, ReportState


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
