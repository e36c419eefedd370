"""Studies: the images that were made together."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import ColumnElement, select

from tetkik.records.cases import filter_index
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.schema import Study
from tetkik.records.serialization import to_json
from tetkik.values import Identity, ImageTags


def find_or_create_study(
    tx: Transaction, case_id: str, patient_id: str, identity: Identity, tags: ImageTags
) -> str:
    """The study of a case that an image belongs to, opened where there is none; gives its id.

    Images with a Study Instance UID stand with their like; those without one (PNG, JPEG, TIFF) stand
    together.
    """
    digest = tx.vault.digest("study", identity.study_uid) if identity.study_uid else None
    # A comparison with None becomes IS NULL.
    known = tx.session.scalar(select(Study.id).where(Study.case_id == case_id, Study.uid_digest == digest))
    if known is not None:
        return known
    fields = {
        "study_uid": identity.study_uid,
        "accession": identity.accession,
        "study_date": identity.study_date,
        "description": tags.description,
    }
    row = Study(
        id=new_id(),
        case_id=case_id,
        patient_id=patient_id,
        uid_digest=digest,
        accession_digest=tx.vault.digest("accession", identity.accession) if identity.accession else None,
        modality=tags.modality[:16] if tags.modality else None,
        created_at=tx.now,
    )
    tx.seal_column(row, "tags", to_json(fields))
    tx.session.add(row)
    tx.session.flush()
    filter_index.refresh_filter_index(tx, case_id)
    return row.id


def find_patient_case_of_study(tx: Transaction, patient_ids: Sequence[str], study_uid: str) -> str | None:
    """The newest case of a patient, of whatever record, that holds a study already."""
    return _newest_case(tx, study_uid, Study.patient_id.in_(patient_ids))


def find_case_with_study(tx: Transaction, case_ids: Sequence[str], study_uid: str) -> str | None:
    """The newest of these cases that holds a study, of any patient."""
    return _newest_case(tx, study_uid, Study.case_id.in_(case_ids))


def _newest_case(tx: Transaction, study_uid: str, of: ColumnElement[bool]) -> str | None:
    same = Study.uid_digest == tx.vault.digest("study", study_uid)
    return tx.session.scalar(select(Study.case_id).where(of, same).order_by(Study.id.desc()).limit(1))
