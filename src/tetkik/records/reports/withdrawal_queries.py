"""Withdrawals as they are read: of a report, of a version, of the cases of a list.

A withdrawal takes a report back with all its versions up to the one that was the last. Its statement is
sealed under the patient's key and names the digest of that version's signature; its row holds the digest of
the statement, and the next version names that one: version, withdrawal and version are links of one chain.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Select, select
from sqlalchemy.orm import aliased

from tetkik.errors import RecordsError
from tetkik.records import serialization
from tetkik.records.database import Transaction
from tetkik.records.reports.identity import said_name
from tetkik.records.schema import Report, ReportVersion, SignatureRow, WithdrawalRow
from tetkik.values import Method, ReportState, Withdrawal, WithdrawalReason

PLACE = "withdrawals.statement"


@dataclass(frozen=True, slots=True)
class WithdrawalStatement:
    """What is kept of a withdrawal."""

    report_id: str
    version: int
    verification: str
    signed: str
    withdrawal: Withdrawal
    method: Method


@dataclass(frozen=True, slots=True)
class Withdrawn:
    number: int
    why: WithdrawalReason
    by: str
    at: datetime


def standing() -> ColumnElement[bool]:
    """A condition on `Report`: signed, and not withdrawn."""
    return Report.state.in_((ReportState.FINAL, ReportState.AMENDED))


def taken_back() -> ColumnElement[bool]:
    """A condition on `ReportVersion`: it, or a later one of its report, was withdrawn."""
    later = aliased(ReportVersion)
    return (
        select(WithdrawalRow.version_id)
        .join(later, later.id == WithdrawalRow.version_id)
        .where(later.report_id == ReportVersion.report_id, later.number >= ReportVersion.number)
        .exists()
    )


def of_report(tx: Transaction, report_id: str) -> tuple[Withdrawn, ...]:
    found = tx.session.execute(
        select(WithdrawalRow, ReportVersion.number)
        .join(ReportVersion, ReportVersion.id == WithdrawalRow.version_id)
        .where(ReportVersion.report_id == report_id)
        .order_by(ReportVersion.number)
    )
    return tuple(_withdrawn(row, number) for row, number in found)


def of_version(found: Sequence[Withdrawn], number: int) -> Withdrawn | None:
    """The withdrawal that took a version back; None where it stands, or a later one took its place."""
    return next((item for item in found if item.number >= number), None)


def now_of_reports(tx: Transaction, report_ids: Sequence[str]) -> dict[str, Withdrawn]:
    """By the id of the report: the withdrawal of those that stand withdrawn, not signed anew since."""
    found = _now().where(Report.id.in_(report_ids))
    return {report_id: _withdrawn(row, number) for row, number, report_id, _ in tx.session.execute(found)}


def now_of_cases(tx: Transaction, case_ids: Sequence[str]) -> dict[str, Withdrawn]:
    """By the id of the case: the newest withdrawal of a report that was not signed anew since."""
    found = _now().where(Report.case_id.in_(case_ids)).order_by(WithdrawalRow.withdrawn_at)
    return {case_id: _withdrawn(row, number) for row, number, _, case_id in tx.session.execute(found)}


def statement_of(tx: Transaction, version_id: str) -> WithdrawalStatement | None:
    """What a withdrawal says of the version that was the last; None where that was not withdrawn."""
    row = tx.session.get(WithdrawalRow, version_id)
    if row is None:
        return None
    version, signature = (tx.session.get_one(kind, version_id) for kind in (ReportVersion, SignatureRow))
    assert isinstance(version, ReportVersion)
    assert isinstance(signature, SignatureRow)
    content = tx.open(version.patient_id, PLACE, version_id, row.statement)
    if serialization.digest_of(content) != row.digest:
        raise _altered()
    statement = serialization.from_bytes(WithdrawalStatement, content)
    about = (statement.report_id, statement.version, statement.verification, statement.signed)
    if about != (version.report_id, version.number, version.verification, signature.digest):
        raise _altered()
    who = statement.withdrawal.signature
    kept = (statement.withdrawal.why, statement.method, who.name, who.title, who.registration, who.signed_at)
    if kept != (row.why, row.method, row.name, row.title, row.registration, row.withdrawn_at):
        raise _altered()
    return statement


def is_whole(tx: Transaction, version_id: str) -> bool:
    """Whether a withdrawal reads back as it was signed; for the verification of everything that is kept."""
    try:
        return statement_of(tx, version_id) is not None
    except RecordsError:
        return False


def digest_after(tx: Transaction, version_id: str) -> str | None:
    """The digest of the withdrawal of a version, for the next one to name; None where there is none."""
    return tx.session.scalar(select(WithdrawalRow.digest).where(WithdrawalRow.version_id == version_id))


def _now() -> Select[WithdrawalRow, int, str, str]:
    """The withdrawals of reports that nobody has signed anew."""
    return (
        select(WithdrawalRow, ReportVersion.number, Report.id, Report.case_id)
        .join(ReportVersion, ReportVersion.id == WithdrawalRow.version_id)
        .join(Report, Report.id == ReportVersion.report_id)
        .where(Report.state == ReportState.WITHDRAWN, Report.version == ReportVersion.number)
    )


def _withdrawn(row: WithdrawalRow, number: int) -> Withdrawn:
    return Withdrawn(number, row.why, said_name(row.title, row.name), row.withdrawn_at)


def _altered() -> RecordsError:
    return RecordsError(
        "What is stored of this withdrawal is not what was said: it was altered; restore it from a backup, "
        "and run tetkik audit verify."
    )
