"""Retention: erasures that are due, closed cases without a report, and what is kept for a day."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import Connection, delete, func, insert, select

from tetkik.errors import Unavailable
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records
from tetkik.records.lifecycle import erasure_log
from tetkik.records.lifecycle.erasure import (
    ErasureReason,
    Retained,
    erase_again,
    erase_cases,
    erase_record,
    erase_without_cases,
    remove_unnamed_files,
)
from tetkik.records.lifecycle.key_rotation import finish_erasures
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
from tetkik.records.storage.folder import YOUNG, FileStorage, NoAnswer
from tetkik.values import SYSTEM, Actor, CaseState

_DAY = timedelta(days=1)
_INVITE = timedelta(days=30)
_NOTE = "last retention"
_INSTALLATION, _ASK, _STRAY = "installation", "ask before the sweep", "stray files left"
_MOST_UNANSWERED = 20
_FEW, _SHARE = 20, 10
"""Of all files no more than one in ten becomes a stray from one sweep to the next, or a few."""
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
    """Files that no row names and that the storage did not let go (Object Lock), and 1 where it did not
    answer; the next day tries again."""
    held: int
    """Whether files that no row names were left, for a person to say that they may go."""


def apply_retention(
    records: Records, terms: RetentionTerms, *, actor: Actor = SYSTEM, asked: bool = False
) -> RetentionResult:
    """Do everything that is due, each patient and case in a transaction of their own.

    Stray files go as `remove_orphaned_files` says.
    """
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
    files, stuck, held = remove_orphaned_files(records, asked=asked)
    done = RetentionResult(len(due), again, cases, left, sessions, passing, files, stuck, held)
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


def make_due(connection: Connection, *, ask_first: bool) -> None:
    """Let it be due at once: what a backup says of the last time does not hold for what it brings back.

    With `ask_first` no stray file goes before a person says so: a newer backup may name it.
    """
    connection.execute(delete(Note).where(Note.key.in_((_NOTE, _ASK))))
    if ask_first:
        connection.execute(insert(Note).values(key=_ASK, value="restored"))


def remove_orphaned_files(records: Records, *, asked: bool = False) -> tuple[int, int, int]:
    """Remove stored files that no row names, and parts of files that were never finished.

    Gives how many, how many the storage did not let go, and whether files were left for a person to decide:
    where the place is another installation's, where a backup without files was restored beside it, and where
    more strays are there at once than a day brings, as an empty or older database has them. `asked`
    removes them all the same, and makes the place this installation's.
    """
    before = time.time() - YOUNG
    removed = stuck = held = 0
    try:
        strays = _find_strays(records, before, asked)
        held = int(strays is None)
        removed, stuck = _remove(records.files.storage, strays or (), before)
        if strays is not None:
            _note_swept(records, len(strays) - removed)
    except Unavailable:  # of the bucket: the rest of retention waits for no storage
        stuck += 1
    for path in records.files.temporary.iterdir():
        with suppress(FileNotFoundError):
            if path.is_file() and path.stat().st_mtime < before:
                path.unlink()
                removed += 1
    return removed, stuck, held


def _find_strays(records: Records, before: float, asked: bool) -> list[str] | None:
    """Files that no row names and that are not young; None where nobody said that they may go."""
    store = records.files.storage
    with records.read() as tx:
        named = {*tx.session.scalars(select(Image.file)), *tx.session.scalars(select(Blob.file))}
        wanted = Note.key.in_((_INSTALLATION, _ASK, _STRAY))
        notes = {note.key: note.value for note in tx.session.scalars(select(Note).where(wanted))}
    installation = notes.get(_INSTALLATION) or _named_installation(records)
    total, unnamed = 0, list[str]()
    for total, name in enumerate(store.names(), 1):  # noqa: B007 - counted
        if name not in named:
            unnamed.append(name)
    mark = store.mark()
    foreign = mark != installation and (mark is not None or len(unnamed) == total)
    most = max(_FEW, total // _SHARE) + int(notes.get(_STRAY, 0))
    if unnamed and not asked and (foreign or _ASK in notes):
        return None
    strays: list[str] = []
    for name in unnamed:
        modified = store.modified(name)
        if modified is not None and modified < before:
            strays.append(name)
            if len(strays) > most and not asked:
                return None
    if mark != installation:
        store.set_mark(installation)
    return strays


def _named_installation(records: Records) -> str:
    """A name for this installation, which its backups keep."""
    with records.write(SYSTEM) as tx:
        note = Note(key=_INSTALLATION, value=uuid4().hex)
        tx.session.add(note)
        return note.value


def _remove(store: FileStorage, strays: Iterable[str], before: float) -> tuple[int, int]:
    """Remove files; gives how many, and how many the storage did not let go."""
    removed = stuck = unanswered = 0
    for name in strays:
        try:
            store.remove(name, before)
            removed, unanswered = removed + 1, 0
        except Unavailable as fault:
            stuck += 1
            unanswered = unanswered + 1 if isinstance(fault, NoAnswer) else 0
            if unanswered == _MOST_UNANSWERED:
                break
    return removed, stuck


def _note_swept(records: Records, left: int) -> None:
    """A person was asked where that was wanted; so many strays are no news the next time."""
    with records.write(SYSTEM) as tx:
        tx.session.execute(delete(Note).where(Note.key == _ASK))
        tx.session.merge(Note(key=_STRAY, value=str(left)))


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
    remove_unnamed_files(records, [patient_id], files)
    return True
