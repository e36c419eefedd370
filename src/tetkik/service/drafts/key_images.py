"""The key images of a draft, over the API and in the reading view: each change names its revision."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import HTMLResponse, Response
from pydantic import Field

from tetkik.imaging.key_picture import key_picture
from tetkik.records.images import images
from tetkik.records.reports import drafts, key_images
from tetkik.rules.editing import Change
from tetkik.service.drafts import shapes
from tetkik.service.drafts.api import Editor, Reader, ReportId
from tetkik.service.drafts.pages import CaseId, Edits, PanelRoute, Revised, panels_after
from tetkik.service.drafts.revisions import DraftRoute, assessed, changed, changing
from tetkik.service.kit.access.authorization import RequestContext
from tetkik.service.kit.background.image_decoder import DecoderDep, ImageDecoder
from tetkik.service.kit.http.responses import MATCHED, Revision

api = APIRouter(prefix="/drafts/{report_id}/key-images", tags=["drafts"], route_class=DraftRoute)
KeyId = Annotated[str, Path(max_length=26, description="Of the key image.")]
_BINARY = {"schema": {"type": "string", "format": "binary"}}


def picture_sent(ctx: RequestContext, decoder: ImageDecoder, sent: shapes.KeyImageSent) -> bytes:
    """How documents show what is looked at."""
    with ctx.read() as tx:
        image = images.load_visible_image(tx, sent.image_id)
    return key_picture(decoder.pixels(image, sent.frame), sent.window)


@api.post("", response_model=shapes.DraftShape, responses=MATCHED)
def mark_key_image(
    ctx: Editor, decoder: DecoderDep, report_id: ReportId, revision: Revision, sent: shapes.KeyImageSent
) -> Response:
    """Show an image, or a frame of one, in the report, in the window that is sent."""
    png = picture_sent(ctx, decoder, sent)
    about = (sent.image_id, sent.frame, png, sent.note, assessed(ctx, report_id, Change))
    return changed(ctx, lambda tx: key_images.add(tx, report_id, revision, *about))


@api.patch("/{key_id}", response_model=shapes.DraftShape, responses=MATCHED)
def name_key_image(
    ctx: Editor, report_id: ReportId, key_id: KeyId, revision: Revision, sent: shapes.KeyImageNamed
) -> Response:
    """Say what a key image shows."""
    return changed(ctx, changing(ctx, report_id, revision, partial(key_images.name, key_id, sent.note)))


@api.delete("/{key_id}", response_model=shapes.DraftShape, responses=MATCHED)
def remove_key_image(ctx: Editor, report_id: ReportId, key_id: KeyId, revision: Revision) -> Response:
    """Show it in the report no longer."""
    return changed(ctx, changing(ctx, report_id, revision, partial(key_images.remove, key_id)))


@api.get(
    "/{key_id}/picture",
    response_class=Response,
    responses={200: {"content": {"image/png": _BINARY}}},
)
def read_key_image(ctx: Reader, report_id: ReportId, key_id: KeyId) -> Response:
    """The picture as the documents show it, without what was drawn on it: a PNG."""
    with ctx.write() as tx:
        drafts.open_draft(tx, report_id)  # with its entry in the trail
        png = key_images.picture(tx, report_id, key_id)
    return Response(png, headers={"Cache-Control": "private, no-cache"}, media_type="image/png")


pages = APIRouter(prefix="/read/{case_id}/{report_id}/key-images", route_class=PanelRoute)


class Show(shapes.KeyImageSent, Revised):
    """An image that the report is to show."""


class OneOf(Revised):
    """Which of them."""

    id: Annotated[str, Field(max_length=26)]


class Name(shapes.KeyImageNamed, OneOf):
    """What is said of one."""


@pages.post("")
def show_panel(
    ctx: Edits, decoder: DecoderDep, case_id: CaseId, report_id: ReportId, body: Show
) -> HTMLResponse:
    png = picture_sent(ctx, decoder, body)
    about = (body.image_id, body.frame, png, body.note, assessed(ctx, report_id, Change))
    return panels_after(ctx, lambda tx: key_images.add(tx, report_id, body.revision, *about))


@pages.post("/name")
def name_panel(ctx: Edits, case_id: CaseId, report_id: ReportId, body: Name) -> HTMLResponse:
    rule = partial(key_images.name, body.id, body.note)
    return panels_after(ctx, changing(ctx, report_id, body.revision, rule))


@pages.post("/remove")
def remove_panel(ctx: Edits, case_id: CaseId, report_id: ReportId, body: OneOf) -> HTMLResponse:
    rule = partial(key_images.remove, body.id)
    return panels_after(ctx, changing(ctx, report_id, body.revision, rule))
