"""To whose case an image without one belongs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from tetkik.records.cases import patients, transfers
from tetkik.records.cases.identity_comparison import compare_with_patient, person_from_identity
from tetkik.records.cases.patient_links import records_of
from tetkik.records.database import Transaction
from tetkik.records.images import copying
from tetkik.records.images.studies import find_case_with_study, find_patient_case_of_study
from tetkik.records.schema import Case, Image
from tetkik.values import CaseState, Identity


@dataclass(frozen=True, slots=True)
class Destination:
    """Where an image without a case belongs."""

    patient_id: str | None = None
    """Of the record of a known patient that the image goes to; None for one whom nobody knows."""
    case_id: str | None = None
    """A case of theirs that has the study, or waits for an image; None where a new one is needed."""


def find_destination(tx: Transaction, identity: Identity, sha256: str) -> Destination:
    """Where an image without a case belongs: where it lies already, with its study, or where one is awaited.

    A patient is taken for known only where the number is theirs and nothing contradicts it; of two who might
    be meant, neither is.
    """
    filed = person_from_identity(identity)
    meant = [
        patient_id
        for patient_id in dict.fromkeys(patients.find_by_number(tx, filed))
        if not compare_with_patient(tx, patient_id, identity)
    ]
    if len(meant) != 1:
        return Destination()
    records = records_of(tx, meant[0])
    for case_id in (
        _case_of_file(tx, records, sha256),
        find_patient_case_of_study(tx, records, identity.study_uid) if identity.study_uid else None,
    ):
        if case_id is not None and not tx.session.get_one(Case, case_id).state.ended:
            return _home_in(tx, case_id)
    gone_on = _case_gone_on(tx, records, identity, sha256)
    if gone_on is not None:
        return _home_in(tx, gone_on)
    waiting = tx.session.scalars(
        select(Case.id).where(Case.patient_id.in_(records), Case.state == CaseState.WAITING).limit(2)
    ).all()
    return _home_in(tx, waiting[0]) if len(waiting) == 1 else Destination(meant[0])


def _case_gone_on(tx: Transaction, records: Sequence[str], identity: Identity, sha256: str) -> str | None:
    """Another patient's case that was opened for these records by mistake and has the file or its study.

    Sent once more, the image names the wrong patient again: whoever sends it gets the difference.
    """
    strangers = transfers.find_successor_cases(tx, records)
    return copying.find_case_with_file(tx, strangers, sha256) or (
        find_case_with_study(tx, strangers, identity.study_uid) if identity.study_uid else None
    )


def _home_in(tx: Transaction, case_id: str) -> Destination:
    """A case, and the record that it is of: under that record's key its images are sealed."""
    return Destination(tx.session.get_one(Case, case_id).patient_id, case_id)


def _case_of_file(tx: Transaction, records: Sequence[str], sha256: str) -> str | None:
    """The newest case of these records that holds a file already; each record keeps it under another name."""
    files = [tx.vault.file_name(patient_id, sha256) for patient_id in records]
    return tx.session.scalar(
        select(Image.case_id)
        .where(Image.patient_id.in_(records), Image.file.in_(files), Image.removed_at.is_(None))
        .order_by(Image.id.desc())
        .limit(1)
    )
