"""Images: upload, pixels for a viewer, heatmaps, preview, the file as it came."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query
from fastapi.responses import Response, StreamingResponse
from starlette.concurrency import run_in_threadpool

from tetkik.imaging.presentation import is_presentation_state
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.images import derived_images, images, runs
from tetkik.records.images.derived_images import DerivedImageKind
from tetkik.records.images.images import StoredImage
from tetkik.records.people.visibility import load_visible_case as see_case
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.access.body_limits import takes_files
from tetkik.service.kit.background.image_decoder import DecoderDep, ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.idempotency import IdempotencyKey
from tetkik.service.kit.http.incoming_files import incoming_file
from tetkik.service.kit.http.paging import Cursor, Limit, Page, decode_cursor, encode_cursor
from tetkik.service.kit.http.responses import download_headers
from tetkik.service.studies.presentation_upload import keep_presentation_state
from tetkik.service.studies.shapes import FindingsShape, ImageShape, UploadShape
from tetkik.service.studies.upload import Upload
from tetkik.values import DisplayPixels, FileFormat, Permission, Radiograph

router = APIRouter(prefix="/images", tags=["images"])
Reader = Annotated[RequestContext, allowed(Permission.IMAGE_READ)]
Sender = Annotated[RequestContext, allowed(Permission.IMAGE_UPLOAD)]
ImageId = Annotated[str, Path(max_length=26, description="Of the image.")]
Tag = Annotated[str | None, Header(alias="If-None-Match", max_length=200)]
CaseId = Annotated[
    str | None, Query(max_length=26, description="Of the case; without it a DICOM file finds or opens one.")
]
Ids = Annotated[
    str, Query(max_length=27 * 16, description="Of at most 16 images of one frame each, with commas between.")
]
Sure = Annotated[
    bool, Query(description="The patient of the file and of the case were compared, and it is right.")
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


@router.post("", status_code=201, response_model=UploadShape, openapi_extra=FILE_BODY)
@takes_files
async def upload(
    ctx: Sender,
    decoder: DecoderDep,
    case_id: CaseId = None,
    sure: Sure = False,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Upload one image: DICOM, PNG, JPEG or TIFF. The same file twice in a case is one image.

    A greyscale presentation state is kept beside the image that it is about.
    """
    async with incoming_file(ctx.request) as file:
        if is_presentation_state(file.content):
            kept = await run_in_threadpool(keep_presentation_state, ctx, decoder, file, case_id)
            return Response(kept.model_dump_json(), 201, media_type="application/json")
        upload = Upload(ctx.app, decoder, ctx.actor, file, case_id, sure=sure)
        outcome = await run_in_threadpool(upload.run, ctx.request, idempotency_key)
    return outcome.response()


@router.get("", response_model=Page[ImageShape])
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


@router.get(
    "/pixels",
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": BINARY}}},
)
def pixels_of_several(
    ctx: Reader,
    decoder: DecoderDep,
    ids: Ids,
) -> Response:
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


@router.get("/{image_id}", response_model=ImageShape)
def one(ctx: Reader, image_id: ImageId) -> ImageShape:
    """One image: its size and kind, and how far the model is with it."""
    with ctx.read() as tx:
        return ImageShape.of(tx, images.load_visible_image(tx, image_id), ctx.language)


@router.get(
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


@router.get(
    "/{image_id}/preview",
    response_class=Response,
    responses={200: {"content": {"image/png": BINARY}}, 304: {"description": "Unchanged"}},
)
def preview(ctx: Reader, decoder: DecoderDep, image_id: ImageId, if_none_match: Tag = None) -> Response:
    """The image as a small PNG."""
    image = _opened(ctx, decoder, image_id, "preview")
    return _picture(ctx.app, image, DerivedImageKind.PREVIEW, "", if_none_match)


@router.get(
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


@router.get("/{image_id}/findings", response_model=FindingsShape)
def findings(ctx: Reader, decoder: DecoderDep, image_id: ImageId) -> FindingsShape:
    """What the newest run says of the image. 404 before any, and where it failed."""
    image = _opened(ctx, decoder, image_id, "findings")
    with ctx.read() as tx:
        run = runs.load_latest_run(tx, image.id)
        return FindingsShape.of(
            runs.load_run(tx, run.id if run else ""), runs.load_result(tx, run.id if run else "")
        )


@router.get(
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
        png = derived_images.read_derived_image(tx, image, kind, label)
    tag = f'"{hashlib.sha256(png).hexdigest()[:32]}"'
    headers = {"ETag": tag, **_KEPT}
    if known == tag:
        return Response(status_code=304, headers=headers)
    return Response(png, headers=headers, media_type="image/png")
