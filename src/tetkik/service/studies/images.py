"""Images of a case: pixels for a viewer, heatmaps, tags, the file; taken out, put back, moved."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from itertools import chain, groupby
from typing import Annotated, Any

from fastapi import APIRouter, Form, Header, Path, Query
from fastapi.responses import HTMLResponse, Response, StreamingResponse
from pydantic import BaseModel, Field

from tetkik.errors import Conflict, Forbidden, NotFound, TetkikError
from tetkik.imaging.tag_list import MOST
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases
from tetkik.records.database import Transaction
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.images import DerivedImageKind, StoredImage
from tetkik.records.images.jobs import ImageJob
from tetkik.records.images.runs import ModelRun
from tetkik.records.people.access import load_visible_case as see_case
from tetkik.records.reports import drafts
from tetkik.service.cases import locked
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.background.image_decoder import DecoderDep, ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.idempotency import IdempotentDep, IdempotentRequest
from tetkik.service.kit.http.responses import (
    Cursor,
    Limit,
    Page,
    Shape,
    decode_cursor,
    download_headers,
    encode_cursor,
)
from tetkik.values.access import Permission
from tetkik.values.finding import FindingsResult
from tetkik.values.radiograph import Difference, DisplayPixels, FileFormat, Flaw, Radiograph, Route, View
from tetkik.values.states import JobState, RemovalReason, RunState
from tetkik.workflow import image_removal


class WorkShape(Shape):
    """What a model still has to do about an image, or did last."""

    id: str
    state: JobState
    attempts: int = Field(description="How often it was begun.")
    model: str | None = Field(description="That was asked for; None is that of the settings.")
    frame: int | None = Field(description="That was asked for; None is the middle one.")
    fault: str | None = Field(description="Why the last attempt failed, as a sentence.")
    created_at: datetime
    finished_at: datetime | None = Field(description="When it was done or given up.")

    @classmethod
    def of(cls, work: ImageJob, language: Language) -> WorkShape:
        return cls.from_value(
            work, fault=work.fault.in_language(language) if work.fault is not None else None
        )


class RunShape(Shape):
    """One answer of a model."""

    id: str
    image_id: str
    case_id: str
    bundle: str = Field(description="Id and version of the model.")
    bundle_sha256: str = Field(description="Of its manifest; empty for a model without one.")
    state: RunState
    route: Route | None = Field(description="What kind of image it is.")
    flaws: list[Flaw] = Field(description="What the quality gate found.")
    screen: float | None = Field(description="Calibrated probability that anything is abnormal.")
    frame: int | None = Field(
        description="Which of several was read, counted from 1; None for an image of one."
    )
    started_at: datetime
    finished_at: datetime


class ImageShape(Shape):
    """An image; nothing here names the patient."""

    id: str
    case_id: str
    study_id: str
    file_format: FileFormat = Field(description="What it was read from.")
    size: int = Field(description="Bytes of the file as it came.")
    rows: int = Field(description="Height in pixels.")
    columns: int = Field(description="Width in pixels.")
    frames: int = Field(description="How many there are; `pixels?frame=n` gives each.")
    read_frame: int = Field(description="Which of them the model reads, or did last.")
    spacing_mm: tuple[float, float] | None = Field(
        description="Millimetres between rows and between columns, where known."
    )
    view: View | None
    created_at: datetime
    work: WorkShape | None = Field(description="The newest work about it.")
    run: RunShape | None = Field(description="The newest answer of a model; None before any.")
    heatmaps: list[str]
    report_id: str | None = Field(description="Of its report, draft or signed; None before any.")

    @classmethod
    def of(cls, tx: Transaction, image: StoredImage, language: Language) -> ImageShape:
        work, run = jobs.newest_job(tx, image.id), runs.load_latest_run(tx, image.id)
        return cls.from_value(
            image,
            read_frame=(work.frame if work is not None else None) or image.middle,
            spacing_mm=image.spacing,
            work=WorkShape.of(work, language) if work is not None else None,
            run=run,
            heatmaps=list(images.heatmap_labels(tx, image.id)),
            report_id=drafts.report_of_image(tx, image.id),
        )


class UploadShape(BaseModel):
    """What became of a file."""

    image: ImageShape
    fresh: bool = Field(description="Whether it is new; otherwise the same file was in the case before.")
    case_number: str
    case_opened: bool = Field(description="Whether a case was opened for it.")
    differs: list[Difference] = Field(
        description="Where the file contradicts the record; somebody has confirmed it."
    )


class FindingsShape(BaseModel):
    """What a model says of an image."""

    run: RunShape
    result: dict[str, Any] = Field(description="The keys of `tetkik findings predict --json`.")

    @classmethod
    def of(cls, run: ModelRun, result: FindingsResult) -> FindingsShape:
        return cls(run=RunShape.from_value(run), result=result.as_json())


api = APIRouter(prefix="/images", tags=["images"])
Reader = Annotated[RequestContext, allowed(Permission.IMAGE_READ)]
Sender = Annotated[RequestContext, allowed(Permission.IMAGE_UPLOAD)]
ImageId = Annotated[str, Path(max_length=26, description="Of the image.")]
Tag = Annotated[str | None, Header(alias="If-None-Match", max_length=200)]
Ids = Annotated[
    str, Query(max_length=27 * 16, description="Of at most 16 images of one frame each, with commas between.")
]
_VERSION = 2
"""Of what `pixels` answers with: a browser keeps what it fetched, and asks only whether it has changed."""
_KEPT = {"Cache-Control": "private, no-cache"}
BINARY = {"schema": {"type": "string", "format": "binary"}}
_FORM = {
    "type": "object",
    "required": ["file"],
    "properties": {"file": {"type": "string", "format": "binary"}},
}
FILE_BODY = {
    "requestBody": {
        "required": True,
        "description": "The file itself, or a form with one file. `X-File-Name` may name it.",
        "content": {
            "application/octet-stream": BINARY,
            "application/dicom": BINARY,
            "multipart/form-data": {"schema": _FORM},
        },
    }
}
_MEDIA = {
    FileFormat.DICOM: "application/dicom",
    FileFormat.PNG: "image/png",
    FileFormat.JPEG: "image/jpeg",
    FileFormat.TIFF: "image/tiff",
}


@api.get("", response_model=Page[ImageShape])
def of_case(
    ctx: Reader,
    case_id: Annotated[str, Query(max_length=26, description="Of the case.")],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Page[ImageShape]:
    """The images of a case, in the order in which they came."""
    after = str(decode_cursor(cursor, [str])[0]) if cursor is not None else ""
    with ctx.read() as tx:
        see_case(tx, case_id)
        found = [image for image in images.list_images(tx, case_id) if image.id > after]
        shown = [ImageShape.of(tx, image, ctx.language) for image in found[:limit]]
    return Page(items=shown, next=encode_cursor([shown[-1].id]) if len(found) > limit else None)


@api.get(
    "/pixels", response_class=Response, responses={200: {"content": {"application/octet-stream": BINARY}}}
)
def pixels_of_several(ctx: Reader, decoder: DecoderDep, ids: Ids) -> Response:
    """The pixels of some images of a series in one answer, for scrolling: one request, one audit transaction.

    For each image, in the order asked for: the length of a JSON object (four bytes, little-endian), the
    object with the headers that `pixels` answers with for one image, and the values.
    """
    wanted = list(dict.fromkeys(ids.split(",")))
    with ctx.read() as tx:
        found = [images.load_visible_image(tx, image_id) for image_id in wanted]
    fresh = [image for image in found if not decoder.was_viewed_recently(ctx.actor, image.id, "pixels")]
    if fresh:
        with ctx.write() as tx:
            for image in fresh:
                audit_view(tx, image, "pixels")
        for image in fresh:
            decoder.record_view(ctx.actor, image.id, "pixels")
    with ThreadPoolExecutor(2) as readers:  # there are two processes that decode
        decoded = list(readers.map(decoder.pixels, found))
    content = bytearray()
    for image, radiograph in zip(found, decoded, strict=True):
        described, values = _shown(image, image.middle, radiograph)
        head = json.dumps(described).encode()
        content += len(head).to_bytes(4, "little") + head + values
    return Response(bytes(content), headers=_KEPT, media_type="application/octet-stream")


@api.get("/{image_id}", response_model=ImageShape)
def one(ctx: Reader, image_id: ImageId) -> ImageShape:
    """One image: its size and kind, and how far the model is with it."""
    with ctx.read() as tx:
        return ImageShape.of(tx, images.load_visible_image(tx, image_id), ctx.language)


@api.get(
    "/{image_id}/pixels",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": BINARY}}, 304: {"description": "Unchanged"}},
)
def pixels(
    ctx: Reader,
    decoder: DecoderDep,
    image_id: ImageId,
    frame: Annotated[
        int | None,
        Query(ge=1, le=2**31 - 1, description="Of several, counted from 1; without it the middle one."),
    ] = None,
    if_none_match: Tag = None,
) -> Response:
    """The pixels as they should be looked at: row by row, one byte or two in little-endian order.

    `X-Rows`, `X-Columns`, `X-Samples` (1 of grey; 3 of colour: red, green and blue of each pixel), `X-Bits`
    (8 or 16 a sample), `X-White` (the value of white; black is 0), `X-Window` (centre and width in which it
    is first shown, in those values), `X-Frame` and `X-Frames` (which of how many), and, where that is known,
    `X-Spacing` (millimetres between rows and between columns) and `X-Plane` (whether they hold in the
    `patient`, at the `detector`, or `unstated`). Of a CT, a map of doses and of floating point `X-Slope`,
    `X-Intercept` and, where it is known, `X-Unit` (`HU`, `Gy`) say what a value stands for: slope × value +
    intercept. Of a file with several frames only the one asked for is decoded.
    """
    image = _opened(ctx, decoder, image_id, "pixels")
    images.check_frame(image, frame)
    shown = frame or image.middle
    tag = f'"{image.id}-{shown}-{_VERSION}"'
    if if_none_match == tag:
        return Response(status_code=304, headers={"ETag": tag, **_KEPT})
    described, content = _shown(image, shown, decoder.pixels(image, shown))
    headers = {"ETag": tag, **_KEPT, **described}
    return Response(content, headers=headers, media_type="application/octet-stream")


def _shown(image: StoredImage, frame: int, found: Radiograph) -> tuple[dict[str, str], bytes]:
    """What `pixels` says of a frame in its headers, and its values."""
    display = found.display or DisplayPixels(found.pixels, found.white, (found.white / 2, found.white))
    bits = display.values.dtype.itemsize * 8
    described = {
        "X-Rows": str(found.rows),
        "X-Columns": str(found.columns),
        "X-Samples": "3" if display.is_colour else "1",
        "X-Bits": str(bits),
        "X-White": str(display.white),
        "X-Frame": str(frame),
        "X-Frames": str(image.frames),
        "X-Window": f"{display.window[0]:.7g},{display.window[1]:.7g}",
    }
    if (scale := display.scale) is not None:
        described |= {"X-Slope": f"{scale.slope:.9g}", "X-Intercept": f"{scale.intercept:.9g}"}
        if scale.unit is not None:
            described["X-Unit"] = scale.unit
    if found.spacing is not None:
        described["X-Spacing"] = f"{found.spacing[0]:.7g},{found.spacing[1]:.7g}"
    if found.plane is not None:
        described["X-Plane"] = found.plane.value
    return described, display.values.astype("<u2" if bits == 16 else "u1", copy=False).tobytes()


@api.get(
    "/{image_id}/preview",
    response_class=Response,
    responses={200: {"content": {"image/png": BINARY}}, 304: {"description": "Unchanged"}},
)
def preview(ctx: Reader, decoder: DecoderDep, image_id: ImageId, if_none_match: Tag = None) -> Response:
    """The image as a small PNG."""
    image = _opened(ctx, decoder, image_id, "preview")
    return _picture(ctx.app, image, DerivedImageKind.PREVIEW, "", if_none_match)


@api.get(
    "/{image_id}/heatmaps/{label}",
    response_class=Response,
    responses={200: {"content": {"image/png": BINARY}}, 304: {"description": "Unchanged"}},
)
def heatmap(
    ctx: Reader,
    decoder: DecoderDep,
    image_id: ImageId,
    label: Annotated[str, Path(max_length=60, description="Of the finding.")],
    if_none_match: Tag = None,
) -> Response:
    """Where the model looked for one finding: a transparent PNG over the whole image."""
    image = _opened(ctx, decoder, image_id, "heatmap")
    return _picture(ctx.app, image, DerivedImageKind.HEAT, label, if_none_match)


@api.get("/{image_id}/findings", response_model=FindingsShape)
def findings(ctx: Reader, decoder: DecoderDep, image_id: ImageId) -> FindingsShape:
    """What the newest run says of the image. 404 before any, and where it failed."""
    image = _opened(ctx, decoder, image_id, "findings")
    with ctx.read() as tx:
        run = runs.load_latest_run(tx, image.id)
        return FindingsShape.of(
            runs.load_run(tx, run.id if run else ""), runs.load_result(tx, run.id if run else "")
        )


@api.get(
    "/{image_id}/file",
    response_class=Response,
    responses={200: {"content": dict.fromkeys(_MEDIA.values(), BINARY)}},
)
def file(ctx: Reader, image_id: ImageId) -> Response:
    """The file as it came; each download is in the audit trail."""
    with ctx.write() as tx:
        image = images.load_visible_image(tx, image_id)
        pieces = images.read_chunks(tx, image)
        first = next(pieces)  # a missing file is an error before the answer begins
        audit_view(tx, image, "file")
    ending = "dcm" if image.file_format is FileFormat.DICOM else image.file_format.value
    headers = download_headers(f"{image.id}.{ending}") | {"Content-Length": str(image.size)}
    return StreamingResponse(chain([first], pieces), media_type=_MEDIA[image.file_format], headers=headers)


def audit_view(tx: Transaction, image: StoredImage, what: str) -> None:
    whose = {"case_id": image.case_id, "patient_id": image.patient_id}
    tx.audit(Action.IMAGE_OPENED, **whose, object_id=image.id, what=what)


def _opened(ctx: RequestContext, decoder: ImageDecoder, image_id: str, what: str) -> StoredImage:
    """An image that the actor may see, with the word in the trail that they saw this of it."""
    with ctx.read() as tx:
        image = images.load_visible_image(tx, image_id)
    if not decoder.was_viewed_recently(ctx.actor, image.id, what):
        with ctx.write() as tx:
            audit_view(tx, image, what)
        decoder.record_view(ctx.actor, image.id, what)
    return image


def _picture(
    context: AppContext, image: StoredImage, kind: DerivedImageKind, label: str, known: str | None
) -> Response:
    with context.records.read() as tx:
        png = images.read_derived_image(tx, image, kind, label)
    tag = f'"{hashlib.sha256(png).hexdigest()[:32]}"'
    headers = {"ETag": tag, **_KEPT}
    if known == tag:
        return Response(status_code=304, headers=headers)
    return Response(png, headers=headers, media_type="image/png")


tags_pages = APIRouter(prefix="/images")


@tags_pages.get("/{image_id}/tags")
def tags(ctx: Reader, decoder: DecoderDep, image_id: Annotated[str, Path(max_length=26)]) -> HTMLResponse:
    """All of them, as the file has them; what it says of the patient, the person may see anyway."""
    with ctx.write() as tx:
        image = images.load_visible_image(tx, image_id)
        audit_view(tx, image, "tags")
    rows = decoder.tags(image)
    return ctx.render("studies/tags.html.jinja", rows=rows, cut=len(rows) >= MOST, most=MOST)


class RemovalSent(BaseModel):
    """Why an image is taken out."""

    reason: RemovalReason


class MoveSent(RemovalSent):
    """Where an image goes."""

    case_id: str = Field(max_length=26, description="Of the case that it belongs to.")
    sure: bool = Field(
        default=False, description="The patient of the image and of that case were compared, and it is right."
    )


@api.post("/{image_id}/removal", response_model=ImageShape)
def remove(
    ctx: Sender, decoder: DecoderDep, image_id: ImageId, sent: RemovalSent, once: IdempotentDep
) -> Response:
    """Take an image out of its case; the report of its study is made from those that are left."""
    return _done(ctx, decoder, once, lambda tx: image_removal.remove_image(tx, image_id, sent.reason))


@api.delete("/{image_id}/removal", response_model=ImageShape)
def restore(ctx: Sender, decoder: DecoderDep, image_id: ImageId, once: IdempotentDep) -> Response:
    """Put an image back; its copy in another case is removed there."""
    return _done(ctx, decoder, once, lambda tx: image_removal.restore_image(tx, image_id))


@api.post("/{image_id}/move", response_model=ImageShape)
def move(
    ctx: Sender, decoder: DecoderDep, image_id: ImageId, sent: MoveSent, once: IdempotentDep
) -> Response:
    """Move an image to another case; gives the image there."""
    wanted = image_id, sent.case_id, sent.reason
    return _done(ctx, decoder, once, lambda tx: image_removal.move_image(tx, *wanted, sure=sent.sure))


def _done(
    ctx: RequestContext,
    decoder: ImageDecoder,
    once: IdempotentRequest,
    act: Callable[[Transaction], StoredImage],
) -> Response:
    def work(tx: Transaction) -> ImageShape:
        return ImageShape.of(tx, act(tx), ctx.language)

    outcome = once.run(ctx.records, ctx.actor, work, status=200)
    decoder.work_available.set()
    return outcome.response()


pages = APIRouter()


@pages.get("/cases/{case_id}/images")
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


@pages.post("/cases/{case_id}/images/{image_id}/remove")
def take_out(
    ctx: Sender,
    decoder: DecoderDep,
    case_id: str,
    image_id: str,
    reason: Annotated[RemovalReason, Form()],
    number: Annotated[str, Form(max_length=20)] = "",
    sure: Annotated[bool, Form()] = False,
) -> Response:
    """Take an image out; with the number of another case it is moved there."""

    def act(tx: Transaction) -> None:
        if number.strip():
            target = cases.find_case_by_number(tx, number)
            image_removal.move_image(tx, image_id, target, reason, sure=sure)
        else:
            image_removal.remove_image(tx, image_id, reason)

    def refused(error: TetkikError) -> Response:
        return _page(ctx, case_id, error, unsure=image_id if number.strip() else None)

    shown = ctx.change(act, f"/cases/{case_id}/images", refused, (Conflict, Forbidden, NotFound))
    decoder.work_available.set()
    return shown


@pages.post("/cases/{case_id}/images/{image_id}/restore")
def put_back(ctx: Sender, decoder: DecoderDep, case_id: str, image_id: str) -> Response:
    shown = ctx.change(
        lambda tx: image_removal.restore_image(tx, image_id),
        f"/cases/{case_id}/images",
        lambda error: _page(ctx, case_id, error),
        (Conflict,),
    )
    decoder.work_available.set()
    return shown
