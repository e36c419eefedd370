"""Signed reports in a list: those that a person may see, the newest signature first."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, literal, or_, select, tuple_

from tetkik.errors import NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Transaction
from tetkik.records.people import access
from tetkik.records.reports import withdrawal_queries
from tetkik.records.reports.edit_conflicts import number_of
from tetkik.records.reports.identity import said_name
from tetkik.records.reports.withdrawal_queries import Withdrawn
from tetkik.records.schema import Case, Report, ReportVersion, Run, SignatureRow, WithdrawalRow
from tetkik.records.schema.base import Moment, fitting, within
from tetkik.turkish import alphabetical
from tetkik.values import ReportState, RunState


@dataclass(frozen=True, slots=True)
class ListedReport:
    """A signed report in a list."""

    report_id: str
    case_id: str
    number: str
    department: str | None
    state: ReportState
    version: int
    signed_at: datetime
    signed_by: str
    corrected: bool
    amending: bool
    withdrawn: Withdrawn | None
    restricted: bool
    person: Person | None = field(repr=False)
    """Whose it is; None where the actor may not know or the patient was erased."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which reports a list shows; None leaves a thing open."""

    department: str | None = None
    state: ReportState | None = None
    own: bool = False
    since: datetime | None = None
    until: datetime | None = None
    patient_id: str | None = None
    """Of this patient, under whichever of their records; without restricted cases, as with a name."""
    words: str = field(default="", repr=False)
    """Of a patient, as `patients.find` takes them, or the number of a case or a report."""


def list_reports(
    tx: Transaction, wanted: Wanted, *, limit: int, after: tuple[datetime, str] | None = None
) -> tuple[ListedReport, ...]:
    """Signed reports, the newest signature first, those behind `after` (time of signature, id).

    The trail notes a search by words. A restricted case that is not open to the actor is not found by a name,
    for that would tell whose it is.
    """
    rows = tx.session.execute(_query(tx, wanted, after).limit(limit)).all()
    back = withdrawal_queries.now_of_reports(tx, [report.id for report, *_ in rows])
    found = tuple(
        report.to_value(
            ListedReport,
            report_id=report.id,
            number=number_of(tx, report),
            department=case.department,
            signed_at=signature.signed_at,
            signed_by=said_name(signature.title, signature.name),
            corrected=version.corrected,
            amending=report.amending is not None,
            withdrawn=back.get(report.id),
            restricted=case.restricted,
            person=_person(tx, case),
        )
        for report, version, signature, case in rows
    )
    if wanted.words:
        if not cases.number_in(wanted.words):
            found = tuple(item for item in found if item.person is not None)
        tx.audit(Action.PATIENT_SEARCHED, found=len(found))
    return found


def report_verified(tx: Transaction, code: str) -> tuple[str, int] | None:
    """The report and the version that a verification code belongs to; None where no version has it."""
    found = tx.session.execute(
        select(ReportVersion.report_id, ReportVersion.number).where(ReportVersion.verification == code)
    ).first()
    return None if found is None else (found[0], found[1])


def first_of_a_draft() -> ColumnElement[bool]:
    """A condition on `ReportVersion`: the first signature of a report that a model's draft began.

    A report that was written by hand had nothing to correct. One that was withdrawn does not count; the next
    signature does, for that began with the model's draft again.
    """
    # Of this one report each: a list of all that were answered grows with the years.
    answered = (
        select(Report.id)
        .join(Run, Run.id == Report.run_id)
        .where(Report.id == ReportVersion.report_id, Run.state == RunState.DONE)
        .correlate(ReportVersion)
        .exists()
    )
    begun = or_(ReportVersion.number == 1, ReportVersion.replaces.in_(select(WithdrawalRow.version_id)))
    return and_(begun, answered, ~withdrawal_queries.taken_back())


def departments(tx: Transaction) -> tuple[str, ...]:
    """The departments that have signed reports which the actor may see, in the order of the alphabet."""
    query = (
        select(Case.department)
        .join(Report, Report.case_id == Case.id)
        .where(Report.version > 0, Case.department.is_not(None), access.visible_cases(tx))
        .distinct()
    )
    return tuple(sorted((name for name in tx.session.scalars(query) if name is not None), key=alphabetical))


def _query(
    tx: Transaction, wanted: Wanted, after: tuple[datetime, str] | None
) -> Select[Report, ReportVersion, SignatureRow, Case]:
    last = and_(ReportVersion.report_id == Report.id, ReportVersion.number == Report.version)
    query = (
        select(Report, ReportVersion, SignatureRow, Case)
        .join(ReportVersion, last)
        .join(SignatureRow, SignatureRow.version_id == ReportVersion.id)
        .join(Case, Case.id == Report.case_id)
        .where(access.visible_cases(tx))
        .where(*fitting((Case.department, wanted.department), (Report.state, wanted.state)))
        .where(*within(ReportVersion.created_at, wanted.since, wanted.until))
        .order_by(ReportVersion.created_at.desc(), Report.id.desc())
    )
    if wanted.words:
        if number := cases.number_in(wanted.words):
            query = query.where(Case.number == number)
        else:
            query = query.where(Case.patient_id.in_(patients.find(tx, wanted.words)))
    if wanted.patient_id:
        records = patients.records_of(tx, wanted.patient_id)
        query = query.where(Case.patient_id.in_(records), ~Case.restricted)
    if wanted.own:
        query = query.where(SignatureRow.user_id == tx.actor.user_id)
    if after is not None:
        place = tuple_(literal(after[0], Moment()), literal(after[1]))
        query = query.where(tuple_(ReportVersion.created_at, Report.id) < place)
    return query


def _person(tx: Transaction, case: Case) -> Person | None:
    if not access.decide_access(tx, case).open:
        return None
    try:
        return patients.load_person(tx, case.patient_id)
    except NotFound:
        return None
