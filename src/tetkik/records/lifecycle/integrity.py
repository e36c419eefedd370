"""Integrity of what is stored: every file opens, and every signature fits its document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

from sqlalchemy import and_, or_, select

from tetkik.errors import RecordsError, Unavailable
from tetkik.language import Sentence
from tetkik.records.database import Transaction
from tetkik.records.images.images import ERASED_FILE
from tetkik.records.reports import withdrawal_queries
from tetkik.records.reports.versions import is_whole
from tetkik.records.row_authentication import COVERED, UNCHECKED, is_altered, is_put_back
from tetkik.records.schema import (
    Blob,
    Image,
    Patient,
    Report,
    ReportVersion,
    SignatureRow,
    User,
    WithdrawalRow,
)
from tetkik.values import ReportState

_MOST_FAULTS = 50


@dataclass(frozen=True, slots=True)
class StoredIntegrity:
    files: int
    signatures: int
    accounts: int
    """Accounts, and what opens them."""
    faults: tuple[Sentence, ...]
    """Sentences that name images and reports by their ids, at most 50."""


def verify_stored(tx: Transaction, *, contents: bool = True) -> StoredIntegrity:
    """Look at every file, to its end or (without `contents`) whether it is there, and at every signature."""
    faults: list[Sentence] = []
    files = signatures = 0
    for patient_id, object_id, name in _named(tx):
        files += 1
        if not _opens(tx, patient_id, name, contents=contents):
            faults.append(
                Sentence(
                    "The file of {id} is missing or damaged; restore it from a backup.", {"id": object_id}
                )
            )
    for fault in chain(_signed(tx), _withdrawn(tx)):
        signatures += 1
        faults += [fault] if fault is not None else []
    accounts = 0
    for fault in _accounts(tx):
        accounts += 1
        faults += [fault] if fault is not None else []
    return StoredIntegrity(files, signatures, accounts, tuple(faults[:_MOST_FAULTS]))


def _accounts(tx: Transaction) -> Iterator[Sentence | None]:
    """For every row that opens an account, or is one, whether another program wrote it or put it back."""
    for kind in COVERED:
        rows: Iterable[Any] = tx.session.scalars(select(kind), execution_options=UNCHECKED)
        for row in rows:
            fault = Sentence(
                "A row of {table} (of the user {id}) was changed by another program than Tetkik; run "
                "tetkik users repair.",
                {"table": row.__tablename__, "id": row.id if kind is User else row.user_id},
            )
            yield fault if is_altered(row) or is_put_back(tx.session, row) else None


def _named(tx: Transaction) -> Iterator[tuple[str, str, str]]:
    """Patient, object and file of every row that names a file that can still be opened."""
    for table in (Image, Blob):
        query = (
            select(table.patient_id, table.id, table.file)
            .join(Patient, Patient.id == table.patient_id)
            .where(Patient.key.is_not(None), table.file.not_like(f"{ERASED_FILE}%"))
            .order_by(table.id)
        )
        for row in tx.session.execute(query.execution_options(yield_per=1_000)):
            yield row.patient_id, row.id, row.file


def _opens(tx: Transaction, patient_id: str, name: str, *, contents: bool) -> bool:
    if not contents:
        return tx.files.storage.modified(name) is not None
    try:
        for _ in tx.files.chunks(tx.key(patient_id), name):
            pass
    except Unavailable:  # that says nothing of the file
        raise
    except (RecordsError, OSError):
        return False
    return True


def _signed(tx: Transaction) -> Iterator[Sentence | None]:
    """For every signature what is wrong with it; None where it fits."""
    query = (
        select(ReportVersion, SignatureRow)
        .join(SignatureRow, SignatureRow.version_id == ReportVersion.id, isouter=True)
        .order_by(ReportVersion.id)
    )
    for version, signature in tx.session.execute(query.execution_options(yield_per=100)):
        fits = signature is not None and is_whole(tx, version, signature)
        fault = Sentence("The signature of the report {id} does not fit its document.", {"id": version.id})
        yield None if fits else fault


def _withdrawn(tx: Transaction) -> Iterator[Sentence | None]:
    """The same for every withdrawal, and every version whose report says that it is withdrawn."""
    claimed = and_(Report.state == ReportState.WITHDRAWN, Report.version == ReportVersion.number)
    query = (
        select(ReportVersion.id)
        .join(Report, Report.id == ReportVersion.report_id)
        .outerjoin(WithdrawalRow, WithdrawalRow.version_id == ReportVersion.id)
        .where(or_(WithdrawalRow.version_id.is_not(None), claimed))
        .order_by(ReportVersion.id)
    )
    for version_id in tx.session.scalars(query).all():
        fault = Sentence(
            "The withdrawal of the report {id} is missing, or does not fit what was signed.",
            {"id": version_id},
        )
        yield None if withdrawal_queries.is_whole(tx, version_id) else fault
