"""The PDF of a signed version as its radiologist signed it with a certificate of their own; kept as it is.

Tetkik's own signature stays what makes a report final: this one is put on its PDF afterwards.
"""

from __future__ import annotations

from io import BytesIO

from sqlalchemy import select

from tetkik.errors import Conflict, Forbidden, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.reports import versions
from tetkik.records.reports.deliveries import record_delivery
from tetkik.records.reports.edit_conflicts import record_change, row_of
from tetkik.records.reports.versions import SignedVersion
from tetkik.records.schema import Blob

_KIND = "report-pades"


def version_to_sign(tx: Transaction, report_id: str, number: int) -> SignedVersion:
    """A version that the actor may put their certificate under: theirs, standing, not signed so before."""
    found = versions.version_of(tx, report_id, number)
    if found.signer_id != tx.actor.user_id:
        raise Forbidden("Whoever signed this version signs its PDF with their certificate, and nobody else.")
    if found.document.withdrawal is not None or not found.info.is_last:
        raise Conflict("This version stands no longer; only the last one is signed with a certificate.")
    if has_certificate(tx, found):
        raise Conflict("This version is signed with a certificate already; load the page again.")
    return found


def has_certificate(tx: Transaction, version: SignedVersion) -> bool:
    return _blob(tx, version) is not None


def keep_signed_pdf(tx: Transaction, report_id: str, number: int, pdf: bytes, signer: str) -> None:
    """Keep the PDF with its signature; the trail says whose certificate it was."""
    row = row_of(tx, report_id, lock=True)
    found = version_to_sign(tx, report_id, number)
    stored = tx.files.put(tx.key(row.patient_id), row.patient_id, BytesIO(pdf))
    blob = Blob(id=new_id(), patient_id=row.patient_id, image_id=row.image_id, kind=_KIND)
    blob.label, blob.file, blob.size, blob.created_at = found.info.id, stored.name, stored.size, tx.now
    tx.session.add(blob)
    record_change(tx, row, Action.REPORT_CERTIFIED, event="report", version=number, certificate=signer[:120])


def load_signed_pdf(tx: Transaction, report_id: str, number: int) -> bytes:
    """The PDF as it was signed, with an entry in the trail that the actor has it."""
    found = versions.version_of(tx, report_id, number, pictures=False)
    blob = _blob(tx, found)
    if blob is None:
        raise NotFound("This version is not signed with a certificate; take its PDF.")
    if found.document.withdrawal is not None:
        raise Conflict("This version was withdrawn, so its signed PDF is given out no longer; take its PDF.")
    tx.audit_about(Action.DOCUMENT_EXPORTED, row_of(tx, report_id), format="signature", version=number)
    record_delivery(tx, report_id, number, "signature")
    return tx.files.get(tx.key(found.patient_id), blob.file)


def _blob(tx: Transaction, version: SignedVersion) -> Blob | None:
    wanted = (Blob.image_id == version.image_id, Blob.kind == _KIND, Blob.label == version.info.id)
    return tx.session.scalar(select(Blob).where(*wanted))
