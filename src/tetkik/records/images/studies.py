"""Studies: the images that were made together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, select

from tetkik.errors import NotFound
from tetkik.records.cases import filter_index
from tetkik.records.cases.patients import records_of
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.people.access import decide_access
from tetkik.records.schema import Case, Image, Report, Study
from tetkik.records.serialization import to_json
from tetkik.values import Identity, ImageTags, ReportState


@dataclass(frozen=True, slots=True)
class StoredStudy:
    """A study, with what its files say of it as a whole."""

    id: str
    case_id: str
    patient_id: str
    modality: str | None
    created_at: datetime
    study_date: str | None = field(repr=False)
    """`YYYYMMDD`, as the files write it."""
    description: str | None = field(repr=False)


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
        body_part=tags.body_part[:16] if tags.body_part else None,
        created_at=tx.now,
    )
    tx.seal_column(row, "tags", to_json(fields))
    tx.session.add(row)
    tx.session.flush()
    filter_index.refresh_filter_index(tx, case_id)
    return row.id


def list_studies(tx: Transaction, case_id: str) -> tuple[StoredStudy, ...]:
    """The studies of a case, in the order in which they came."""
    rows = tx.session.scalars(select(Study).where(Study.case_id == case_id).order_by(Study.id))
    return tuple(_value(tx, row) for row in rows)


def load_study(tx: Transaction, study_id: str) -> StoredStudy:
    """A study by its id."""
    return _value(tx, tx.find(Study, study_id, NotFound("There is no such study; look at its case.")))


def list_other_studies(tx: Transaction, case_id: str, patient_id: str) -> tuple[StoredStudy, ...]:
    """Studies of the patient's other cases that the actor may open, newest first.

    Cases of every record of the patient count. What has no image any more is left out, and so is what a
    withdrawn report is about: perhaps it is not this patient's.
    """
    images = select(Image.id).where(Image.study_id == Study.id, Image.file.not_like("-%"))
    images = images.where(Image.removed_at.is_(None))
    withdrawn = select(Report.id).join(Image, Image.id == Report.image_id)
    withdrawn = withdrawn.where(Image.study_id == Study.id, Report.state == ReportState.WITHDRAWN)
    rows = tx.session.execute(
        select(Study, Case)
        .join(Case, Case.id == Study.case_id)
        .where(Study.patient_id.in_(records_of(tx, patient_id)), Study.case_id != case_id)
        .where(images.exists(), ~withdrawn.exists())
        .order_by(Study.id.desc())
    )
    found = [_value(tx, study) for study, case in rows if decide_access(tx, case).open]
    return tuple(sorted(found, key=lambda row: row.study_date or f"{row.created_at:%Y%m%d}", reverse=True))


def same_patient(tx: Transaction, one: str, other: str) -> bool:
    """Whether two records are of one person."""
    return one in records_of(tx, other)


def _value(tx: Transaction, row: Study) -> StoredStudy:
    tags = json.loads(tx.open_column(row, "tags") or b"{}")
    about = {name: tags.get(name) for name in ("study_date", "description")}
    return row.to_value(StoredStudy, **about)


def find_patient_case_of_study(tx: Transaction, patient_ids: Sequence[str], study_uid: str) -> str | None:
    """The newest case of a patient, of whatever record, that holds a study already."""
    return _newest_case(tx, study_uid, Study.patient_id.in_(patient_ids))


def find_case_with_study(tx: Transaction, case_ids: Sequence[str], study_uid: str) -> str | None:
    """The newest of these cases that holds a study, of any patient."""
    return _newest_case(tx, study_uid, Study.case_id.in_(case_ids))


def _newest_case(tx: Transaction, study_uid: str, of: ColumnElement[bool]) -> str | None:
    same = Study.uid_digest == tx.vault.digest("study", study_uid)
    there = select(Image.id).where(Image.study_id == Study.id, Image.removed_at.is_(None)).exists()
    return tx.session.scalar(select(Study.case_id).where(of, same, there).order_by(Study.id.desc()).limit(1))
