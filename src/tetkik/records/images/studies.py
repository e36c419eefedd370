"""Studies: the images that were made together."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from tetkik.records.cases import filter_index
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.schema import Study
from tetkik.values import Identity, ImageTags

_PLACE = "studies.tags"


def find_or_create_study(
    tx: Transaction, case_id: str, patient_id: str, identity: Identity, tags: ImageTags
) -> str:
    """The study of a case that an image belongs to, opened where there is none; gives its id.

    Images with a Study Instance UID stand with their like; those without one (PNG, JPEG, TIFF) stand
    together.
    """
    digest = tx.vault.digest("study", identity.study_uid) if identity.study_uid else None
    known = tx.session.scalar(
        select(Study.id).where(Study.case_id == case_id, Study.uid_digest == digest)
        if digest is not None
        else select(Study.id).where(Study.case_id == case_id, Study.uid_digest.is_(None))
    )
    if known is not None:
        return known
    study_id = new_id()
    fields = {
        "study_uid": identity.study_uid,
        "accession": identity.accession,
        "study_date": identity.study_date,
        "description": tags.description,
    }
    tx.session.add(
        Study(
            id=study_id,
            case_id=case_id,
            patient_id=patient_id,
            uid_digest=digest,
            accession_digest=(
                tx.vault.digest("accession", identity.accession) if identity.accession else None
            ),
            tags=tx.seal_json(patient_id, _PLACE, study_id, fields),
            modality=tags.modality[:16] if tags.modality else None,
            created_at=tx.now,
        )
    )
    tx.session.flush()
    filter_index.refresh_filter_index(tx, case_id)
    return study_id


def find_patient_case_of_study(tx: Transaction, patient_ids: Sequence[str], study_uid: str) -> str | None:
    """The newest case of a patient, of whatever record, that holds a study already."""
    return tx.session.scalar(
        select(Study.case_id)
        .where(Study.patient_id.in_(patient_ids), Study.uid_digest == tx.vault.digest("study", study_uid))
        .order_by(Study.id.desc())
        .limit(1)
    )


def find_case_with_study(tx: Transaction, case_ids: Sequence[str], study_uid: str) -> str | None:
    """The newest of these cases that holds a study, of any patient."""
    return tx.session.scalar(
        select(Study.case_id)
        .where(Study.case_id.in_(case_ids), Study.uid_digest == tx.vault.digest("study", study_uid))
        .order_by(Study.id.desc())
        .limit(1)
    )
