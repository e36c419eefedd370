"""The PDF of a signed report under its radiologist's own certificate, on a card beside the browser.

The server prepares what is to be signed, the agent in the reader's computer has the card sign it, and the
server finishes the PDF: the PIN never comes here. What was prepared waits in the memory of this process.
"""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import dataclass
from threading import Lock
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import Base64Bytes, BaseModel, Field

from tetkik.documents.pades import (
    PadesOptions,
    PreparedSignature,
    certificate_name,
    examine_signature,
    finish_signature,
    needs_signature_extra,
    prepare_signature,
    trusted_roots,
)
from tetkik.documents.pdf import to_pdf
from tetkik.errors import Conflict, NotFound
from tetkik.language import translate
from tetkik.records.reports import qualified
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.responses import download_headers
from tetkik.settings import Settings
from tetkik.values import Permission

router = APIRouter(prefix="/reports", tags=["signatures"])
Signer = Annotated[RequestContext, allowed(Permission.REPORT_SIGN)]
Reader = Annotated[RequestContext, allowed(Permission.REPORT_READ)]
ReportId = Annotated[str, Path(max_length=26, description="Of the report.")]
Number = Annotated[int, Path(ge=1, lt=2**31, description="Of the version, from 1.")]
_SECONDS, _MOST = 300, 100


class CertificateSent(BaseModel):
    """The certificate of a card."""

    certificate: Base64Bytes = Field(max_length=16_384, description="X.509, DER in base64.")
    chain: list[Base64Bytes] = Field(default=[], max_length=8, description="Those above it, DER in base64.")


class SignatureSent(BaseModel):
    """What the card signed."""

    signature: Base64Bytes = Field(max_length=4096, description="Base64.")


class ToSign(BaseModel):
    """What the card has to sign."""

    id: str
    to_sign: str = Field(description="Signed attributes of CMS (RFC 5652, section 5.3), DER in base64.")
    signer: str = Field(description="Whom the certificate names.")
    about: str = Field(description="What the agent shows.")


class CertifiedShape(BaseModel):
    """The signature in the PDF, as a validator judged it."""

    signer: str
    stamped: bool = Field(description="Whether a time stamp says when.")
    archived: bool = Field(description="Whether it is of level B-LTA.")
    trusted: bool = Field(description="Whether the certificate leads to a trusted authority.")


@dataclass(frozen=True, slots=True)
class _Waiting:
    report_id: str
    number: int
    user_id: str | None
    until: float
    prepared: PreparedSignature


_waiting: dict[str, _Waiting] = {}
_lock = Lock()


@router.post("/{report_id}/signatures/{number}")
def prepare(ctx: Signer, report_id: ReportId, number: Number, sent: CertificateSent) -> ToSign:
    """Begin to sign the PDF of a version with a certificate; it waits five minutes for the card."""
    options = options_of(ctx.settings)
    signer = certificate_name(sent.certificate)
    with ctx.read() as tx:
        found = qualified.version_to_sign(tx, report_id, number)
    about = f"{found.report_number} v{number}"
    reason = translate("Radiology report", found.document.draft.language)
    prepared = prepare_signature(to_pdf(found.document), sent.certificate, sent.chain, options, reason=reason)
    name, now = secrets.token_urlsafe(16), time.monotonic()
    with _lock:
        for old in [key for key, item in _waiting.items() if item.until < now]:
            del _waiting[old]
        if len(_waiting) >= _MOST:
            raise Conflict("Too many signatures wait for their cards; try again in a few minutes.")
        _waiting[name] = _Waiting(report_id, number, ctx.actor.user_id, now + _SECONDS, prepared)
    return ToSign(id=name, to_sign=_text(prepared.to_sign), signer=signer, about=about)


@router.post("/{report_id}/signatures/{number}/{name}", status_code=201)
def finish(
    ctx: Signer,
    report_id: ReportId,
    number: Number,
    name: Annotated[str, Path(max_length=40, description="What the preparation gave.")],
    sent: SignatureSent,
) -> CertifiedShape:
    """Put the card's signature into the PDF, with its time stamp, and keep it."""
    with _lock:
        item = _waiting.pop(name, None)
    whose = (report_id, number, ctx.actor.user_id)
    if item is None or item.until < time.monotonic() or (item.report_id, item.number, item.user_id) != whose:
        raise NotFound("This signature waits no longer; begin it again.")
    options = options_of(ctx.settings)
    pdf = finish_signature(item.prepared, sent.signature, options)
    facts = examine_signature(pdf, options)
    assert facts is not None
    with ctx.write() as tx:
        qualified.keep_signed_pdf(tx, report_id, number, pdf, facts.signer)
    return CertifiedShape(
        signer=facts.signer, stamped=facts.stamped, archived=facts.archived, trusted=facts.trusted
    )


@router.get(
    "/{report_id}/signatures/{number}",
    response_class=Response,
    responses={200: {"content": {"application/pdf": {}}, "description": "As it was signed."}},
)
def signed_pdf(ctx: Reader, report_id: ReportId, number: Number) -> Response:
    """The PDF with the signature of the certificate, byte for byte as it was signed."""
    with ctx.write() as tx:
        pdf = qualified.load_signed_pdf(tx, report_id, number)
    headers = download_headers(f"report-{report_id}-v{number}.signed.pdf")
    return Response(pdf, headers=headers, media_type="application/pdf")


def options_of(settings: Settings) -> PadesOptions:
    """How PDFs are signed here; `Conflict` where that is switched off."""
    if not settings.signature_agent:
        raise Conflict("Signing with a certificate is switched off here; the setting is signature_agent.")
    with needs_signature_extra():
        from pyhanko.sign.timestamps import HTTPTimeStamper
    stamps = HTTPTimeStamper(settings.signature_time_stamps) if settings.signature_time_stamps else None
    roots = trusted_roots(settings.signature_roots) if settings.signature_roots else ()
    return PadesOptions(stamps, roots, archive=settings.signature_archive, online=settings.signature_archive)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
