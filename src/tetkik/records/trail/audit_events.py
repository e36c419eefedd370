"""Entries of the audit trail as people and programs read them: filtered, newest first, or all in order."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, select

from tetkik.errors import NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.schema import AuditHead, AuditRow, BrokenGlass, Case, User
from tetkik.records.schema.base import fitting, within

_BATCH = 1_000
_GLASS_PLACE = "break_glass.reason"


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One entry. Nothing in it names a patient."""

    seq: int
    at: datetime
    action: str
    user_id: str | None
    """Who; None for the program itself, and for a failed sign-in."""
    user: str | None
    case_id: str | None
    case: str | None
    patient_id: str | None
    object_id: str | None = None
    roles: tuple[str, ...] = ()
    method: str | None = None
    address: str | None = None
    request: str | None = None
    detail: Mapping[str, str | int | float | bool | None] = field(default_factory=dict)
    erased: bool = False
    """Whether an erasure emptied it: what is left are number, time, action and ids."""


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; what is None is not looked at."""

    user_id: str | None = None
    case: str | None = None
    patient_id: str | None = None
    action: Action | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class EmergencyAccess:
    user: str
    case_id: str
    case: str
    at: datetime
    expires_at: datetime
    reason: str | None = field(repr=False)
    """That the person gave; None where the patient was erased."""


def load_newest(
    tx: Transaction, wanted: AuditFilter, *, limit: int, before: int | None = None
) -> tuple[AuditEvent, ...]:
    """The newest entries that fit, the newest first."""
    query = _query(wanted).order_by(AuditRow.seq.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditRow.seq < before)
    return tuple(_event(row) for row in tx.session.execute(query))


def iterate_events(tx: Transaction, wanted: AuditFilter) -> Iterator[AuditEvent]:
    """Every entry that fits, the oldest first, read in batches."""
    last = 0
    while True:
        query = _query(wanted).where(AuditRow.seq > last).order_by(AuditRow.seq).limit(_BATCH)
        batch = tx.session.execute(query).all()
        yield from (_event(row) for row in batch)
        if len(batch) < _BATCH:
            return
        last = batch[-1].seq


def load_case_history(tx: Transaction, case_id: str) -> tuple[AuditEvent, ...]:
    """Every step of one case, from the desk to the last person who read its report."""
    return tuple(iterate_events(tx, AuditFilter(case=case_id)))


def count_events(tx: Transaction) -> int:
    """How many entries the trail has."""
    return tx.session.scalar(select(AuditHead.seq).where(AuditHead.id == 1)) or 0


def list_emergency_accesses(tx: Transaction, limit: int = 20) -> tuple[EmergencyAccess, ...]:
    """The last times that somebody broke the glass, the last first."""
    query = (
        select(BrokenGlass, User.name, Case.number, Case.patient_id)
        .join(User, User.id == BrokenGlass.user_id)
        .join(Case, Case.id == BrokenGlass.case_id)
        .order_by(BrokenGlass.at.desc(), BrokenGlass.id.desc())
        .limit(limit)
    )
    return tuple(
        EmergencyAccess(name, row.case_id, number, row.at, row.expires_at, _reason(tx, patient_id, row))
        for row, name, number, patient_id in tx.session.execute(query)
    )


def list_users(tx: Transaction) -> tuple[tuple[str, str], ...]:
    """Id and name of everybody who ever had an account, for a filter."""
    return tuple(
        (row.id, row.name) for row in tx.session.execute(select(User.id, User.name).order_by(User.name))
    )


def _reason(tx: Transaction, patient_id: str, row: BrokenGlass) -> str | None:
    if row.reason is None:
        return None
    try:
        return tx.open(patient_id, _GLASS_PLACE, row.id, row.reason).decode()
    except NotFound:
        return None


def _query(wanted: AuditFilter) -> Select[Any]:
    query = (
        select(AuditRow.__table__, User.name.label("user_name"), Case.number.label("case_number"))
        .join(User, User.id == AuditRow.user_id, isouter=True)
        .join(Case, Case.id == AuditRow.case_id, isouter=True)
    )
    same = ((getattr(AuditRow, name), getattr(wanted, name)) for name in ("user_id", "patient_id", "action"))
    query = query.where(*fitting(*same), *within(AuditRow.at, wanted.since, wanted.until))
    if wanted.case is not None:
        named = select(Case.id).where(Case.number == wanted.case).scalar_subquery()
        query = query.where((AuditRow.case_id == wanted.case) | (AuditRow.case_id == named))
    return query


def _event(row: Row[Any]) -> AuditEvent:
    who = (row.user_id, row.user_name, row.case_id, row.case_number, row.patient_id)
    known = AuditEvent(row.seq, row.at, row.action, *who, erased=row.content is None)
    if row.content is None:
        return known
    content = json.loads(row.content)
    same = {name: content[name] for name in ("method", "address", "request", "detail")}
    return replace(known, object_id=content["object"], roles=tuple(content["roles"]), **same)
