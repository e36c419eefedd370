"""What a report is made of, sealed with its row: the machine's part, the working draft, the pictures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from io import BytesIO
from types import MappingProxyType

from sqlalchemy import select

from tetkik.errors import RecordsError
from tetkik.records import serialization
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.images.images import StoredImage
from tetkik.records.images.runs import load_run
from tetkik.records.schema import Blob, Report
from tetkik.rules.draft_state import Material, Working
from tetkik.values import Judgement, ReportContent


@dataclass(frozen=True, slots=True)
class ReviewedFinding:
    """What a radiologist says of one label."""

    label: str
    judgement: Judgement
    model_positive: bool | None
    user_id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Picture:
    what: str
    file: str
    size: int
    sha256: str


PICTURES = ("image", "heatmap")
DRAFT = "draft"
_KIND = MappingProxyType({"image": "report-image", "heatmap": "report-heat"})
"""Kinds of `Blob` that are the pictures of a report."""


def material_of(tx: Transaction, row: Report) -> Material:
    """What the machine gave to a report."""
    content = tx.open_column(row, "machine")
    return Material() if content is None else serialization.from_bytes(Material, content)


def keep_material(tx: Transaction, row: Report, material: Material) -> None:
    """Seal what the machine gave into the row."""
    tx.seal_column(row, "machine", serialization.to_bytes(material))


def working_of(tx: Transaction, row: Report) -> Working | None:
    """The draft as it stands; None where nothing is being written."""
    content = tx.open_column(row, "draft")
    return None if content is None else serialization.from_bytes(Working, content)


def keep_working(tx: Transaction, row: Report, working: Working | None) -> None:
    """Seal the draft into the row; None ends the writing."""
    tx.seal_column(row, "draft", None if working is None else serialization.to_bytes(working))


def judged_frame(tx: Transaction, row: Report, image: StoredImage) -> int | None:
    """The frame that the findings of a report are of; None where that is not known."""
    if image.frames == 1:
        return 1
    run = None if row.run_id is None else load_run(tx, row.run_id)
    return run.frame if run is not None and run.image_id == image.id else None


def keep_pictures(tx: Transaction, row: Report, label: str, pictures: dict[str, bytes]) -> None:
    """Keep the pictures of a report, in the place of those under the same label.

    The label is `DRAFT`, with a heatmap alone, or the id of a version, whose pictures stay.
    """
    kept = _blobs(tx, row.image_id, label)
    for what in PICTURES:
        blob = kept.get(_KIND[what])
        if what not in pictures:
            if blob is not None:
                tx.session.delete(blob)
            continue
        stored = tx.files.put(tx.key(row.patient_id), row.patient_id, BytesIO(pictures[what]))
        if blob is None:
            blob = Blob(id=new_id(), patient_id=row.patient_id, image_id=row.image_id)
            blob.kind, blob.label, blob.created_at = _KIND[what], label, tx.now
            tx.session.add(blob)
        blob.file, blob.size = stored.name, stored.size
    tx.session.flush()


def heatmap_of(tx: Transaction, row: Report) -> bytes | None:
    """The heatmap that was kept with a draft; None without one."""
    blob = _blobs(tx, row.image_id, DRAFT).get(_KIND["heatmap"])
    return None if blob is None else tx.files.get(tx.key(row.patient_id), blob.file)


def checked_picture(tx: Transaction, patient_id: str, picture: Picture) -> bytes:
    """A picture of a signed version, as it was signed."""
    return _undamaged(tx, patient_id, picture.file, picture.sha256)


def _undamaged(tx: Transaction, patient_id: str, file: str, digest: str) -> bytes:
    content = tx.files.get(tx.key(patient_id), file)
    if sha256(content).hexdigest() != digest:
        raise RecordsError("A stored file is damaged; restore it from a backup, and run tetkik audit verify.")
    return content


def _blobs(tx: Transaction, image_id: str, label: str) -> dict[str, Blob]:
    """The pictures under a label, by kind."""
    kinds = tuple(_KIND.values())
    wanted = select(Blob).where(Blob.image_id == image_id, Blob.kind.in_(kinds), Blob.label == label)
    return {blob.kind: blob for blob in tx.session.scalars(wanted)}


def pictures_kept(tx: Transaction, row: Report, label: str) -> dict[str, str]:
    """The names in the file store of the pictures under a label."""
    found = _blobs(tx, row.image_id, label)
    return {what: found[kind].file for what, kind in _KIND.items() if kind in found}


# The pictures of a report's key images: sealed files, found by their content.


_KEY_KIND = "report-key"
"""Of `Blob`; of a signed version with the picture's place behind it."""
_LONGEST_LABEL = 60


def keep_draft_picture(tx: Transaction, row: Report, png: bytes) -> str:
    """Keep a picture for a draft; gives its SHA-256. It stays when the draft no longer shows it."""
    digest = sha256(png).hexdigest()
    label = digest[:_LONGEST_LABEL]
    if not tx.count(Blob, Blob.image_id == row.image_id, Blob.kind == _KEY_KIND, Blob.label == label):
        stored = tx.files.put(tx.key(row.patient_id), row.patient_id, BytesIO(png))
        _add(tx, row, _KEY_KIND, label, stored.name, stored.size)
    return digest


def keep_signed_pictures(
    tx: Transaction, row: Report, version_id: str, content: ReportContent
) -> tuple[Picture, ...]:
    """Keep the pictures of a draft with the version that is made of it."""
    kept = []
    for place, png in enumerate(key_pictures(tx, row.patient_id, content), 1):
        digest = sha256(png).hexdigest()
        name = tx.vault.file_name(row.patient_id, digest)
        _add(tx, row, f"{_KEY_KIND}-{place}", version_id, name, len(png))
        kept.append(Picture(f"key-{place}", name, len(png), digest))
    return tuple(kept)


def key_pictures(tx: Transaction, patient_id: str, content: ReportContent) -> tuple[bytes, ...]:
    """The pictures of the key images, in their order."""
    named = [(tx.vault.file_name(patient_id, item.picture), item.picture) for item in content.key_images]
    return tuple(_undamaged(tx, patient_id, *one) for one in named)


def _add(tx: Transaction, row: Report, kind: str, label: str, file: str, size: int) -> None:
    blob = Blob(id=new_id(), patient_id=row.patient_id, image_id=row.image_id)
    blob.kind, blob.label, blob.file, blob.size, blob.created_at = kind, label, file, size, tx.now
    tx.session.add(blob)
    tx.session.flush()
