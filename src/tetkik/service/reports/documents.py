"""A signed report as a file: made on request, stored nowhere, with a file name that identifies nobody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from fastapi.responses import Response

from tetkik.documents.capture import to_capture
from tetkik.documents.fhir import to_fhir
from tetkik.documents.hl7 import to_hl7
from tetkik.documents.pdf import to_pdf
from tetkik.documents.text import to_text
from tetkik.errors import Conflict, NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.reports import deliveries, versions
from tetkik.service.kit.access.authorization import RequestContext
from tetkik.service.kit.http.responses import download_headers
from tetkik.values import ReportDocument


class Format(StrEnum):
    """What a report can be had as."""

    PDF = "pdf"
    FHIR = "fhir"
    """FHIR R4B, a document bundle."""
    SR = "sr"
    """DICOM structured report, TID 1500."""
    CAPTURE = "capture"
    """The heatmap as a DICOM Secondary Capture image."""
    REJECTION = "rejection"
    """Of a withdrawn report in the place of both: the rejection note for archives, IHE IOCM."""
    HL7 = "hl7"
    """HL7 v2.5.1, ORU^R01."""
    TEXT = "text"
    IMAGE = "image"
    """The image as a PNG."""
    HEATMAP = "heatmap"
    """The image with the heatmap as a PNG."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a format is made and named."""

    media: str
    ending: str
    make: Callable[[ReportDocument], bytes | None]
    inline: bool = False


def _sr(document: ReportDocument, replaced: ReportDocument | None = None) -> bytes:
    from tetkik.documents.sr import to_sr  # highdicom costs most of a second: a service starts without it

    return to_sr(document, replaced)


def _rejection(document: ReportDocument) -> bytes:
    from tetkik.documents.rejection import to_rejection  # likewise

    return to_rejection(document)


KINDS = MappingProxyType(
    {
        Format.PDF: _Kind("application/pdf", "pdf", to_pdf, inline=True),
        Format.FHIR: _Kind("application/fhir+json", "fhir.json", to_fhir),
        Format.SR: _Kind("application/dicom", "sr.dcm", _sr),
        Format.CAPTURE: _Kind(
            "application/dicom", "heatmap.dcm", lambda one: to_capture(one) if one.heatmap else None
        ),
        Format.REJECTION: _Kind(
            "application/dicom", "rejection.dcm", lambda one: _rejection(one) if one.withdrawal else None
        ),
        Format.HL7: _Kind("x-application/hl7-v2+er7; charset=utf-8", "hl7", to_hl7),
        Format.TEXT: _Kind("text/plain; charset=utf-8", "txt", to_text),
        Format.IMAGE: _Kind("image/png", "png", lambda one: one.image, inline=True),
        Format.HEATMAP: _Kind("image/png", "heatmap.png", lambda one: one.heatmap, inline=True),
    }
)


def answer(ctx: RequestContext, report_id: str, number: int | None, form: Format) -> Response:
    """A signed version, the last one for None, as a file."""
    kind = KINDS[form]
    with ctx.write() as tx:
        found = versions.version_of(tx, report_id, number)
        _refuse(form, found.document)
        whose = {"case_id": found.case_id, "patient_id": found.patient_id}
        if form not in (Format.IMAGE, Format.HEATMAP):
            version = found.info.number
            tx.audit(Action.DOCUMENT_EXPORTED, **whose, object_id=report_id, format=form, version=version)
            deliveries.record_delivery(tx, report_id, version, form)
        elif form in found.pictures:
            tx.audit(Action.IMAGE_OPENED, **whose, object_id=found.image_id, what=f"report {form}")
        before = found.info.replaces if form is Format.SR else None
        replaced = None if before is None else versions.version_of(tx, report_id, before, pictures=False)
    content = kind.make(found.document) if replaced is None else _sr(found.document, replaced.document)
    if content is None:
        raise NotFound("This version of the report has no such picture; take another format.")
    name = f"report-{found.report_number}-v{found.info.number}.{kind.ending}"
    return Response(content, headers=download_headers(name, inline=kind.inline), media_type=kind.media)


def _refuse(form: Format, document: ReportDocument) -> None:
    """An archive that takes a withdrawn object beside its rejection would show it again."""
    if document.withdrawal is not None and form in (Format.SR, Format.CAPTURE):
        raise Conflict(
            "This version was withdrawn, so its DICOM objects are given out no longer; take the rejection "
            "note for the archive instead."
        )
    if document.withdrawal is None and form is Format.REJECTION:
        raise Conflict("This version stands, so there is no rejection note; take its structured report.")
