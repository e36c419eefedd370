"""Images that are taken out of a case, put back, or moved to another one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response
from pydantic import BaseModel, Field

from tetkik.records.database import Transaction
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep
from tetkik.service.kit.http.idempotency import IdempotentDep
from tetkik.service.studies.shapes import ImageShape
from tetkik.values import Permission, RemovalReason
from tetkik.workflow import image_removal

router = APIRouter(prefix="/images", tags=["images"])
Sender = Annotated[RequestContext, allowed(Permission.IMAGE_UPLOAD)]
ImageId = Annotated[str, Path(max_length=26, description="Of the image.")]


class RemovalSent(BaseModel):
    """Why an image is taken out."""

    reason: RemovalReason


class MoveSent(RemovalSent):
    """Where an image goes."""

    case_id: str = Field(max_length=26, description="Of the case that it belongs to.")
    sure: bool = Field(
        default=False, description="The patient of the image and of that case were compared, and it is right."
    )


@router.post("/{image_id}/removal", response_model=ImageShape)
def remove(
    ctx: Sender, decoder: DecoderDep, image_id: ImageId, sent: RemovalSent, once: IdempotentDep
) -> Response:
    """Take an image out of its case; the report of its study is made from those that are left."""

    def work(tx: Transaction) -> ImageShape:
        return ImageShape.of(tx, image_removal.remove_image(tx, image_id, sent.reason), ctx.language)

    outcome = once.run(ctx.records, ctx.actor, work, status=200)
    decoder.work_available.set()
    return outcome.response()


@router.delete("/{image_id}/removal", response_model=ImageShape)
def restore(ctx: Sender, decoder: DecoderDep, image_id: ImageId, once: IdempotentDep) -> Response:
    """Put an image back; its copy in another case is removed there."""

    def work(tx: Transaction) -> ImageShape:
        return ImageShape.of(tx, image_removal.restore_image(tx, image_id), ctx.language)

    outcome = once.run(ctx.records, ctx.actor, work, status=200)
    decoder.work_available.set()
    return outcome.response()


@router.post("/{image_id}/move", response_model=ImageShape)
def move(
    ctx: Sender, decoder: DecoderDep, image_id: ImageId, sent: MoveSent, once: IdempotentDep
) -> Response:
    """Move an image to another case; gives the image there."""

    def work(tx: Transaction) -> ImageShape:
        moved = image_removal.move_image(tx, image_id, sent.case_id, sent.reason, sure=sent.sure)
        return ImageShape.of(tx, moved, ctx.language)

    outcome = once.run(ctx.records, ctx.actor, work, status=200)
    decoder.work_available.set()
    return outcome.response()
