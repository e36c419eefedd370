"""Retention: erasures that are due, closed cases without a report, and what is kept for a day."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select

from tetkik.errors import Unavailable
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records
from tetkik.records.lifecycle import erasure_log
from tetkik.records.lifecycle.case_erasure import Retained, erase_cases
from tetkik.records.lifecycle.erasure import (
    ErasureReason,
    erase_again,
    erase_record,
    erase_without_cases,
)
from tetkik.records.lifecycle.key_copies import finish_erasures
from tetkik.records.schema import (
    Blob,
    BrowserSession,
    Case,
    Encounter,
    Event,
    IdempotentRequest,
    Image,
    Invite,
    Note,
    Order,
    Patient,
    ReportVersion,
)
from tetkik.records.storage.base import YOUNG
from tetkik.values import SYSTEM, Actor, CaseState

_DAY = timedelta(days=1)
_INVITE = timedelta(days=30)
_NOTE = "last retention"
_MOST_STUCK = 20
_LOCK = 0x7E7C19
"""Any number, the same in every process and for nothing else."""


@dataclass(frozen=True, slots=True)
class RetentionTerms:
    report_years: int
    closed_days: int = 0
    """Closed cases without a signed report, orders without a study, encounters; 0 keeps them."""


@dataclass(frozen=True, slots=True)
class RetentionResult:
    erased: int
    erased_again: int
    cases: int
    left: int
    """Patients of whom no case is kept: those cases were emptied or moved, or never opened."""
    sessions: int
    passing: int
    files: int
    stuck: int
    """Files that no row names and that the storage did not let go (Object Lock); the next day tries again."""


def apply_retention(records: Records, terms: RetentionTerms, *, actor: Actor = SYSTEM) -> RetentionResult:
    """Do everything that is due, each patient and case in a transaction of their own."""
    known = erasure_log.erased_patients(erasure_log.read_log(records.folder), records.vault)
    again = erase_again(records, known, years=terms.report_years, actor=actor)
    with records.read() as tx:
        over = (Patient.key.is_not(None), Patient.erase_after <= tx.now)
        due = tx.session.scalars(select(Patient.id).where(*over)).all()
        before = tx.now - timedelta(days=terms.closed_days)
    for patient_id in due:
        erase_record(records, patient_id, ErasureReason.RETENTION, years=0, actor=actor)
    cases = left = 0
    if terms.closed_days:
        _forget_orders(records, before, actor)
        cases = sum(_empty_case(records, case_id, actor) for case_id in _closed(records, before))
        left = sum(erase_without_cases(records, one, before, actor=actor) for one in _left(records))
    with records.write(actor) as tx:
        sessions = tx.apply(delete(BrowserSession).where(BrowserSession.expires_at < tx.now))
        passing = tx.apply(
            delete(Event).where(Event.at < tx.now - _DAY),
            delete(IdempotentRequest).where(IdempotentRequest.at < tx.now - _DAY),
            delete(Invite).where(Invite.expires_at < tx.now - _INVITE),
        )
    files, stuck = remove_orphaned_files(records)
    done = RetentionResult(len(due), again, cases, left, sessions, passing, files, stuck)
    with records.write(actor) as tx:
        tx.session.merge(Note(key=_NOTE, value=tx.now.isoformat()))
        tx.audit(Action.RETENTION_APPLIED, **asdict(done))
    finish_erasures(records)
    return done


def apply_if_due(records: Records, terms: RetentionTerms) -> RetentionResult | None:
    """Do it where a day has passed since it was last done; of several processes one does."""
    with records.engine.begin() as connection:
        # The lock goes with the transaction, so that nobody waits for a process that was killed.
        alone = func.pg_try_advisory_xact_lock(_LOCK)
        if connection.dialect.name == "postgresql" and not connection.scalar(select(alone)):
            return None
        return apply_retention(records, terms) if is_due(records) else None


def is_due(records: Records) -> bool:
    """Whether a day has passed since it was last applied."""
    with records.read() as tx:
        note = tx.session.get(Note, _NOTE)
        return note is None or tx.now - datetime.fromisoformat(note.value) >= _DAY


def make_due(connection: Connection) -> None:
    """Let it be due at once: what a backup says of the last time does not hold for what it brings back."""
    connection.execute(delete(Note).where(Note.key == _NOTE))


def remove_orphaned_files(records: Records) -> tuple[int, int]:
    """Remove stored files that no row names, and parts of files that were never finished.

    Gives how many, and how many the storage did not let go.
    """
    with records.read() as tx:
        named = {*tx.session.scalars(select(Image.file)), *tx.session.scalars(select(Blob.file))}
    before = time.time() - YOUNG
    store, parts = records.files.storage, records.files.temporary.iterdir()
    removed = stuck = 0
    for name in store.names():
        modified = None if name in named else store.modified(name)
        if modified is None or modified >= before:
            continue
        try:
            store.remove(name)
            removed += 1
        except Unavailable:
            stuck += 1
            if stuck == _MOST_STUCK:
                break
    for path in [path for path in parts if path.is_file() and path.stat().st_mtime < before]:
        path.unlink(missing_ok=True)
        removed += 1
    return removed, stuck


def _forget_orders(records: Records, before: datetime, actor: Actor) -> None:
    """Orders whose study never came, and encounters that are over."""
    with records.write(actor) as tx:
        tx.apply(
            delete(Order).where(Order.case_id.is_(None), Order.scheduled_at < before),
            delete(Encounter).where(Encounter.closed_at < before),
        )


def _closed(records: Records, before: datetime) -> list[str]:
    signed = select(ReportVersion.case_id)
    full = (Case.state == CaseState.CLOSED, Case.emptied_at.is_(None), Case.id.not_in(signed))
    with records.read() as tx:
        return list(tx.session.scalars(select(Case.id).where(*full, Case.updated_at < before)))


def _left(records: Records) -> list[str]:
    """Patients who may have no case any more."""
    kept = select(Case.patient_id).where(Case.emptied_at.is_(None), Case.state != CaseState.MOVED)
    alive = (Patient.key.is_not(None), Patient.erase_after.is_(None))
    with records.read() as tx:
        return list(tx.session.scalars(select(Patient.id).where(*alive, Patient.id.not_in(kept))))


def _empty_case(records: Records, case_id: str, actor: Actor) -> bool:
    """Empty a case that is closed still."""
    with records.write(actor) as tx:
        case = tx.session.scalar(select(Case).where(Case.id == case_id).with_for_update())
        if case is None or case.state is not CaseState.CLOSED or case.emptied_at is not None:
            return False
        patient_id = case.patient_id
        files = erase_cases(tx, patient_id, [case_id], Retained())
        tx.audit(Action.RETENTION_APPLIED, case_id=case_id, patient_id=patient_id, files=len(files))
    records.files.remove_all(files)
    return True
