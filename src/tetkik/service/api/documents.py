"""Signed reports as files: PDF, FHIR, DICOM SR, HL7 v2, text, pictures."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from tetkik.records.reports import versions
from tetkik.service.access.guard import allowed
from tetkik.service.house import InHouse
from tetkik.service.steps import documents
from tetkik.service.steps.documents import KINDS, Format
from tetkik.values import Actor, Permission

router = APIRouter(prefix="/reports", tags=["documents"])

_SIGNED: dict[int | str, dict[str, object]] = {
    200: {"content": {"application/json": {}}, "description": "The bytes that the signature's digest is of."}
}
_CONTENT: dict[str, dict[str, object]] = {kind.media.partition(";")[0]: {} for kind in KINDS.values()}


@router.get("/{report_id}/versions/{number}/signed", response_class=Response, responses=_SIGNED)
def signed(
    house: InHouse,
    actor: Annotated[Actor, allowed(Permission.REPORT_ORIGINAL)],
    report_id: Annotated[str, Path(max_length=26, description="Of the report.")],
    number: Annotated[int, Path(ge=1, lt=2**31, description="Of the version, from 1.")],
) -> Response:
    """A version byte for byte as it was signed, whatever became of it; its digest stands in the header."""
    with house.records.write(actor) as tx:
        found = versions.as_signed(tx, report_id, number)
    digest = base64.b64encode(bytes.fromhex(found.digest)).decode()
    name = f"report-{report_id}-v{number}.signed.json"
    headers = {
        "Content-Disposition": f'attachment; filename="{name}"',
        "Repr-Digest": f"sha-256=:{digest}:",  # RFC 9530
        "Cache-Control": "no-store",
    }
    return Response(found.content, headers=headers, media_type="application/json")


@router.get(
    "/{report_id}/versions/{number}/{form}",
    response_class=Response,
    responses={200: {"content": _CONTENT, "description": "The file; its name tells nothing of the patient."}},
)
def document(
    house: InHouse,
    actor: Annotated[Actor, allowed(Permission.REPORT_READ)],
    report_id: Annotated[str, Path(max_length=26, description="Of the report.")],
    number: Annotated[int, Path(ge=1, lt=2**31, description="Of the version, from 1.")],
    form: Annotated[Format, Path(description="As what.")],
) -> Response:
    """A signed version as a file, made now and kept nowhere."""
    return documents.answer(house, actor, report_id, number, form)
