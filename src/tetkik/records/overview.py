"""An overview for administrators: accounts, what is kept, the last backup; nobody's name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select

from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.schema import AuditHead, AuditRow, Case, Image, Report, ReportVersion, User
from tetkik.values import CaseState, Role


@dataclass(frozen=True, slots=True)
class AccountCounts:
    """Who may work here."""

    open: int
    closed: int
    roles: Mapping[Role, int]


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """What the records hold."""

    cases: Mapping[CaseState, int]
    images: int
    image_bytes: int
    reports: int
    signed: int


@dataclass(frozen=True, slots=True)
class TrailSummary:
    """The audit trail at a glance; `tetkik audit verify` walks the whole of it."""

    entries: int
    last: datetime | None


def count_accounts(tx: Transaction) -> AccountCounts:
    rows = tx.session.execute(select(User.roles, User.disabled_at)).all()
    held = [roles.split(",") for roles, disabled in rows if disabled is None]
    return AccountCounts(
        len(held), len(rows) - len(held), {role: sum(role in roles for roles in held) for role in Role}
    )


def count_records(tx: Transaction) -> RecordCounts:
    """Count what is kept."""
    rows = tx.session.execute(select(Case.state, func.count()).group_by(Case.state))
    states = {state: count for state, count in rows}  # noqa: C416 - dict() takes the result for a mapping
    images, size = tx.session.execute(select(func.count(), func.coalesce(func.sum(Image.size), 0))).one()
    cases = {state: states.get(state, 0) for state in CaseState}
    return RecordCounts(cases, images, int(size), tx.count(Report), tx.count(ReportVersion))


def last_backup(tx: Transaction) -> datetime | None:
    """When a backup was last made, as the trail tells; None where none ever was."""
    return tx.session.scalar(select(func.max(AuditRow.at)).where(AuditRow.action == Action.BACKUP_MADE))


def summarize_trail(tx: Transaction) -> TrailSummary:
    """How long the trail is."""
    head = tx.session.get(AuditHead, 1)
    return TrailSummary(head.seq if head else 0, tx.session.scalar(select(func.max(AuditRow.at))))
