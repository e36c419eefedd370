"""Metrics for monitoring, and an overview for administrators: counts, ages and seconds; no ids, no names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select

from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.images.receiving import ReceivedCounts, count_waiting
from tetkik.records.people.refusals import count_unwritten
from tetkik.records.reports.outbox import OutboxCounts, count_items
from tetkik.records.reports.reports import first_of_a_draft
from tetkik.records.schema import (
    AuditHead,
    AuditRow,
    BrowserSession,
    Case,
    Claim,
    Image,
    Job,
    Report,
    ReportVersion,
    Run,
    User,
)
from tetkik.records.schema.models import FAILED_JOB, OPEN_JOB
from tetkik.values import Capability, CaseState, JobState, Role, RunState
from tetkik.values.common import DESCRIBED

RECENT = timedelta(hours=1)
"""What `recent` means below."""
MONTH = timedelta(days=30)
_MOST_RUNS = 2000


@dataclass(frozen=True, slots=True)
class QueueStatus:
    """The work that waits for a model."""

    __pydantic_config__ = DESCRIBED

    waiting: int
    running: int
    failed: int
    oldest_seconds: float
    """How long the oldest waits; 0 where none does."""


@dataclass(frozen=True, slots=True)
class InferenceStatus:
    """How long a model took, over the last hour."""

    __pydantic_config__ = DESCRIBED

    capability: Capability
    runs: int
    failed: int
    median_seconds: float
    p95_seconds: float
    """One in twenty took longer."""


@dataclass(frozen=True, slots=True)
class RecordsMetrics:
    queue: QueueStatus
    inference: tuple[InferenceStatus, ...]
    cases: dict[CaseState, int]
    claims: int
    reports_signed: int
    drafts_signed: int
    """First signatures of the last 30 days."""
    drafts_corrected: int
    sign_ins_failed: int
    sessions: int
    outbox: OutboxCounts
    received: ReceivedCounts

    @property
    def corrected_share(self) -> float | None:
        """Share of drafts that a person changed before signing; None before the first signature."""
        return self.drafts_corrected / self.drafts_signed if self.drafts_signed else None


def collect_metrics(tx: Transaction) -> RecordsMetrics:
    """Count everything; some milliseconds in a large hospital."""
    states = select(Case.state, func.count()).group_by(Case.state)
    cases = dict.fromkeys(CaseState, 0)
    cases.update((state, many) for state, many in tx.session.execute(states))
    first = and_(first_of_a_draft(), ReportVersion.created_at > tx.now - MONTH)
    recent = and_(AuditRow.at > tx.now - RECENT, AuditRow.action == Action.SIGN_IN_FAILED)
    failed = tx.session.scalars(select(AuditRow.content).where(recent))
    browsers = and_(BrowserSession.expires_at > tx.now, BrowserSession.locked.is_(False))
    count = tx.count
    return RecordsMetrics(
        _queue(tx),
        _inference(tx),
        cases,
        count(Claim, Claim.expires_at > tx.now),
        count(ReportVersion),
        count(ReportVersion, first),
        count(ReportVersion, first, ReportVersion.corrected),
        sum(json.loads(content or "{}").get("detail", {}).get("count", 1) for content in failed)
        + count_unwritten(tx.vault),
        count(BrowserSession, browsers),
        count_items(tx),
        count_waiting(tx),
    )


def _queue(tx: Transaction) -> QueueStatus:
    open_states = (JobState.QUEUED, JobState.RUNNING, JobState.FAILED)
    rows = tx.session.execute(
        select(Job.state, func.count(), func.min(Job.created_at))
        .where(or_(OPEN_JOB, FAILED_JOB))
        .group_by(Job.state)
    )
    none = dict.fromkeys(open_states, (0, tx.now))
    found = none | {state: (many, oldest) for state, many, oldest in rows}
    waits = (tx.now - found[JobState.QUEUED][1]).total_seconds()
    waiting, running, failed = (found[state][0] for state in open_states)
    return QueueStatus(waiting, running, failed, max(0.0, waits))


def _inference(tx: Transaction) -> tuple[InferenceStatus, ...]:
    rows = tx.session.execute(
        select(Run.capability, Run.state, Run.started_at, Run.finished_at)
        .where(Run.finished_at > tx.now - RECENT)
        .order_by(Run.finished_at.desc())
        .limit(_MOST_RUNS)
    )
    seconds: dict[Capability, list[float]] = {}
    failed = dict.fromkeys(Capability, 0)
    for capability, state, started, finished in rows:
        seconds.setdefault(capability, []).append((finished - started).total_seconds())
        failed[capability] += state is RunState.FAILED
    found = []
    for capability, took in sorted(seconds.items()):
        took.sort()
        p95 = took[min(len(took) - 1, int(0.95 * len(took)))]
        middle = took[len(took) // 2]
        found.append(InferenceStatus(capability, len(took), failed[capability], middle, p95))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class AccountCounts:
    open: int
    closed: int
    roles: Mapping[Role, int]


@dataclass(frozen=True, slots=True)
class RecordCounts:
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
