"""The pictures of a report's key images: sealed files, found by their content."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO

from tetkik.errors import RecordsError
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.reports.report_inputs import Picture
from tetkik.records.schema import Blob, Report
from tetkik.values import ReportContent

_KIND = "report-key"
"""Of `Blob`; of a signed version with the picture's place behind it."""
_LONGEST_LABEL = 60


def keep_draft_picture(tx: Transaction, row: Report, png: bytes) -> str:
    """Keep a picture for a draft; gives its SHA-256. It stays when the draft no longer shows it."""
    digest = sha256(png).hexdigest()
    label = digest[:_LONGEST_LABEL]
    if not tx.count(Blob, Blob.image_id == row.image_id, Blob.kind == _KIND, Blob.label == label):
        stored = tx.files.put(tx.key(row.patient_id), row.patient_id, BytesIO(png))
        _add(tx, row, _KIND, label, stored.name, stored.size)
    return digest


def keep_signed_pictures(
    tx: Transaction, row: Report, version_id: str, content: ReportContent
) -> tuple[Picture, ...]:
    """Keep the pictures of a draft with the version that is made of it."""
    kept = []
    for place, png in enumerate(key_pictures(tx, row.patient_id, content), 1):
        digest = sha256(png).hexdigest()
        name = tx.vault.file_name(row.patient_id, digest)
        _add(tx, row, f"{_KIND}-{place}", version_id, name, len(png))
        kept.append(Picture(f"key-{place}", name, len(png), digest))
    return tuple(kept)


def key_pictures(tx: Transaction, patient_id: str, content: ReportContent) -> tuple[bytes, ...]:
    """The pictures of the key images, in their order."""
    found = []
    for item in content.key_images:
        png = tx.files.get(tx.key(patient_id), tx.vault.file_name(patient_id, item.picture))
        if sha256(png).hexdigest() != item.picture:
            raise RecordsError(
                "A stored file is damaged; restore it from a backup, and run tetkik audit verify."
            )
        found.append(png)
    return tuple(found)


def _add(tx: Transaction, row: Report, kind: str, label: str, file: str, size: int) -> None:
    blob = Blob(id=new_id(), patient_id=row.patient_id, image_id=row.image_id)
    blob.kind, blob.label, blob.file, blob.size, blob.created_at = kind, label, file, size, tx.now
    tx.session.add(blob)
    tx.session.flush()
