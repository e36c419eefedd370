"""The images of a case: which study each belongs to; taken out, put back, moved."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from tetkik.errors import Conflict, Forbidden, NotFound, TetkikError
from tetkik.records.cases import cases
from tetkik.records.images import images
from tetkik.service.cases.pages import locked
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.values import Permission, RemovalReason
from tetkik.workflow import image_removal

router = APIRouter()
Sender = Annotated[RequestContext, allowed(Permission.IMAGE_UPLOAD)]


@router.get("/cases/{case_id}/images")
def images_page(ctx: Sender, case_id: str) -> HTMLResponse:
    return _page(ctx, case_id)


def _page(
    ctx: RequestContext, case_id: str, error: TetkikError | None = None, unsure: str | None = None
) -> HTMLResponse:
    try:
        with ctx.write() as tx:
            case = cases.load_case(tx, case_id)
            there = sorted(images.list_images(tx, case_id), key=lambda image: image.study_id)
            removed = images.list_images(tx, case_id, removed=True)
    except Forbidden:
        return locked(ctx, case_id)
    return ctx.render(
        "studies/images.html.jinja",
        case=case,
        studies=[tuple(group) for _, group in groupby(there, key=lambda image: image.study_id)],
        removed=removed,
        reasons=list(RemovalReason),
        error=error,
        unsure=unsure,
    )


@router.post("/cases/{case_id}/images/{image_id}/remove")
def remove(
    ctx: Sender,
    decoder: DecoderDep,
    case_id: str,
    image_id: str,
    reason: Annotated[RemovalReason, Form()],
    number: Annotated[str, Form(max_length=20)] = "",
    sure: Annotated[bool, Form()] = False,
) -> Response:
    """Take an image out; with the number of another case it is moved there."""
    try:
        with ctx.write() as tx:
            if number.strip():
                target = cases.find_case_by_number(tx, number)
                image_removal.move_image(tx, image_id, target, reason, sure=sure)
            else:
                image_removal.remove_image(tx, image_id, reason)
    except (Conflict, Forbidden, NotFound) as error:
        return _page(ctx, case_id, error, unsure=image_id if number.strip() else None)
    decoder.work_available.set()
    return RedirectResponse(f"/cases/{case_id}/images", 303)


@router.post("/cases/{case_id}/images/{image_id}/restore")
def restore(ctx: Sender, decoder: DecoderDep, case_id: str, image_id: str) -> Response:
    try:
        with ctx.write() as tx:
            image_removal.restore_image(tx, image_id)
    except Conflict as error:
        return _page(ctx, case_id, error)
    decoder.work_available.set()
    return RedirectResponse(f"/cases/{case_id}/images", 303)
