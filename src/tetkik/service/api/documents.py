"""Signed reports as files: PDF, FHIR, DICOM SR, HL7 v2, text, pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from tetkik.service.access.guard import allowed
from tetkik.service.house import InHouse
from tetkik.service.steps import documents
from tetkik.service.steps.documents import KINDS, Format
from tetkik.values import Actor, Permission

router = APIRouter(prefix="/reports", tags=["documents"])

_CONTENT: dict[str, dict[str, object]] = {kind.media.partition(";")[0]: {} for kind in KINDS.values()}


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
