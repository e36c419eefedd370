"""Erasure of a patient on their request (KVKK article 7, GDPR article 17), as far as the law allows it.

Everything goes at once but for signed reports, which a hospital has to keep for a time; with them stay the
images that they are about and the patient's key. Once that time is over the rest goes: the key is destroyed,
so that copies of rows and files that lie elsewhere cannot be read either. The audit trail keeps who did what
and when; what its entries say of the patient is emptied, and the chain still holds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from sqlalchemy import delete, func, select, text, update

from tetkik.errors import Conflict, InputError, NotFound
from tetkik.records.database import Records, Transaction
from tetkik.records.ids import is_id
from tetkik.records.keeping import ledger
from tetkik.records.keeping.emptying import Kept, empty, kept_by_law
from tetkik.records.schema import AuditRow, Case, Patient, PatientIndex, ReportVersion, SignatureRow
from tetkik.records.trail.chain import Action
from tetkik.values import SYSTEM, Actor

KEPT_INDEX = "kept-"
"""Before the kind of an index entry: found for the sake of the law alone, by nobody's daily search."""
_REFERENCE = re.compile(r"[\w./ -]{0,40}")
_YEAR = timedelta(days=365.25)


class Ground(StrEnum):
    """Why somebody is erased; codes alone, for the trail keeps them."""

    REQUEST = "request"
    """The patient asked for it."""
    COURT = "court"
    """A court or the authority ordered it."""
    MISTAKE = "mistake"
    """The record should never have been made."""
    RETENTION = "retention"
    """Its time is over."""
    RESTORED = "restored"
    """A backup had brought back who was erased."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure did.

    Attributes:
        patient_id: of whom.
        complete: whether nothing is left.
        kept_until: when signed reports go, too; None where nothing is left.
        kept_reports: how many signed versions are kept until then.
        files: how many stored files were removed.
    """

    patient_id: str
    complete: bool
    kept_until: datetime | None
    kept_reports: int
    files: int


def erase(
    records: Records,
    patient_id: str,
    ground: Ground,
    *,
    years: int,
    reference: str = "",
    actor: Actor = SYSTEM,
) -> Erasure:
    """Erase a patient: at once, or all but the signed reports until the law lets them go.

    Args:
        records: of the house.
        patient_id: whom.
        ground: why.
        years: for which signed reports are kept, from the signature of the last.
        reference: the number of the request in the house's register; no name.
        actor: who does it.

    Raises:
        NotFound: no such patient.
        Conflict: erased already, or as far as the law allows.
        InputError: a reference that is not a number of a register.
    """
    if not _REFERENCE.fullmatch(reference):
        raise InputError(
            "The reference of an erasure is the number in your register: letters, digits and . / - up to 40; "
            "never a name."
        )
    with records.write(actor) as tx:
        patient = _patient(tx, patient_id)
        until = _kept_until(tx, patient_id, years)
        if until is not None and until > tx.now:
            if patient.erase_after is not None:
                raise Conflict(
                    "This patient's data were erased before; the signed reports are kept until {date}.",
                    date=f"{patient.erase_after:%Y-%m-%d}",
                )
            files, kept = _erase_but_reports(tx, patient, until)
        else:
            files, kept = _erase_all(tx, patient, until), Kept()
        done = Erasure(
            patient_id, not kept.versions, until if kept.versions else None, len(kept.versions), len(files)
        )
        tx.audit(
            Action.PATIENT_ERASED if done.complete else Action.ERASURE_POSTPONED,
            patient_id=patient_id,
            ground=ground.value,
            reference=reference or None,
            files=done.files,
            kept_reports=done.kept_reports,
            kept_until=done.kept_until.isoformat() if done.kept_until else None,
        )
        tx.session.flush()
        # Before the commit: a crash between the two erases once more, and never forgets.
        ledger.note(records.folder, tx.vault, patient_id, tx.now)
    for name in files:
        records.files.remove(name)
    forget_pages(records)
    return done


def erase_again(records: Records, patient_ids: Iterable[str], *, years: int, actor: Actor = SYSTEM) -> int:
    """Erase whom a restored backup brought back; gives how many.

    Args:
        records: of the house.
        patient_ids: of everybody who was ever erased.
        years: for which signed reports are kept.
        actor: who does it.
    """
    with records.read() as tx:
        back = [
            patient_id
            for patient_id in patient_ids
            if (row := tx.session.get(Patient, patient_id)) is not None
            and row.key is not None
            and row.erase_after is None
        ]
    for patient_id in back:
        erase(records, patient_id, Ground.RESTORED, years=years, actor=actor)
    return len(back)


def forget_pages(records: Records) -> None:
    """Let SQLite bring its log into the database and cut it: erased pages do not stay in the log."""
    if records.engine.dialect.name == "sqlite":
        with records.engine.connect() as connection:
            raw = connection.connection.cursor()
            raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            raw.close()


def _patient(tx: Transaction, patient_id: str) -> Patient:
    patient = None
    if is_id(patient_id):
        patient = tx.session.scalar(select(Patient).where(Patient.id == patient_id).with_for_update())
    if patient is None:
        raise NotFound("There is no such patient; look for the number again.")
    if patient.key is None:
        raise Conflict("This patient's data were erased before; nothing is left.")
    return patient


def _kept_until(tx: Transaction, patient_id: str, years: int) -> datetime | None:
    last = tx.session.scalar(
        select(func.max(ReportVersion.created_at)).where(ReportVersion.patient_id == patient_id)
    )
    return None if last is None else last + years * _YEAR


def _erase_but_reports(tx: Transaction, patient: Patient, until: datetime) -> tuple[set[str], Kept]:
    kept = kept_by_law(tx, patient.id)
    files = empty(tx, patient.id, _cases(tx, patient.id), kept)
    tx.session.execute(
        delete(PatientIndex).where(PatientIndex.patient_id == patient.id, PatientIndex.kind == "name")
    )
    tx.session.execute(
        update(PatientIndex)
        .where(PatientIndex.patient_id == patient.id, PatientIndex.kind.in_(("tckn", "number")))
        .values(kind=text(f"'{KEPT_INDEX}' || kind"))
    )
    patient.erase_after = until
    return files, kept


def _erase_all(tx: Transaction, patient: Patient, until: datetime | None) -> set[str]:
    patient_id = patient.id
    # The order is the one that the database's own triggers demand: only who has no key loses signed reports.
    patient.key, patient.identity, patient.erased_at = None, None, tx.now
    if until is not None:
        patient.erase_after = min(until, tx.now - timedelta(seconds=1))
    tx.session.flush()
    versions = select(ReportVersion.id).where(ReportVersion.patient_id == patient_id)
    tx.session.execute(delete(SignatureRow).where(SignatureRow.version_id.in_(versions)))
    tx.session.execute(delete(ReportVersion).where(ReportVersion.patient_id == patient_id))
    files = empty(tx, patient_id, _cases(tx, patient_id), Kept())
    tx.session.execute(delete(PatientIndex).where(PatientIndex.patient_id == patient_id))
    tx.session.execute(
        update(AuditRow).where(AuditRow.patient_id == patient_id).values(content=None, salt=None)
    )
    return files


def _cases(tx: Transaction, patient_id: str) -> list[str]:
    return list(tx.session.scalars(select(Case.id).where(Case.patient_id == patient_id)))
