"""The tags of a DICOM file, for whoever may see the image: a piece of the reading view."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse

from tetkik.imaging.tag_list import MOST
from tetkik.records.images import images
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.service.studies.api import audit_view
from tetkik.values import Permission

router = APIRouter(prefix="/images")
Reader = Annotated[RequestContext, allowed(Permission.IMAGE_READ)]


@router.get("/{image_id}/tags")
def tags(ctx: Reader, decoder: DecoderDep, image_id: Annotated[str, Path(max_length=26)]) -> HTMLResponse:
    """All of them, as the file has them; what it says of the patient, the person may see anyway."""
    with ctx.write() as tx:
        image = images.load_visible_image(tx, image_id)
        audit_view(tx, image, "tags")
    rows = decoder.tags(image)
    return ctx.render("studies/tags.html.jinja", rows=rows, cut=len(rows) >= MOST, most=MOST)
