"""The key images in the reading view: each change gives the panels back."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from pydantic import Field

from tetkik.records.reports import key_images
from tetkik.rules.editing import Change
from tetkik.service.drafts import shapes
from tetkik.service.drafts.key_images_api import picture_sent
from tetkik.service.drafts.pages import CaseId, Edits, PanelRoute, ReportId, Revised, panels_after
from tetkik.service.drafts.revisions import assessed, changing
from tetkik.service.kit.background.image_decoder import DecoderDep

panel_router = APIRouter(prefix="/read/{case_id}/{report_id}/key-images", route_class=PanelRoute)


class Show(shapes.KeyImageSent, Revised):
    """An image that the report is to show."""


class OneOf(Revised):
    """Which of them."""

    id: Annotated[str, Field(max_length=26)]


class Name(shapes.KeyImageNamed, OneOf):
    """What is said of one."""


@panel_router.post("")
def show(ctx: Edits, decoder: DecoderDep, case_id: CaseId, report_id: ReportId, body: Show) -> HTMLResponse:
    png = picture_sent(ctx, decoder, body)
    about = (body.image_id, body.frame, png, body.note, assessed(ctx, report_id, Change))
    return panels_after(ctx, lambda tx: key_images.add(tx, report_id, body.revision, *about))


@panel_router.post("/name")
def name(ctx: Edits, case_id: CaseId, report_id: ReportId, body: Name) -> HTMLResponse:
    rule = partial(key_images.name, body.id, body.note)
    return panels_after(ctx, changing(ctx, report_id, body.revision, rule))


@panel_router.post("/remove")
def remove(ctx: Edits, case_id: CaseId, report_id: ReportId, body: OneOf) -> HTMLResponse:
    rule = partial(key_images.remove, body.id)
    return panels_after(ctx, changing(ctx, report_id, body.revision, rule))
