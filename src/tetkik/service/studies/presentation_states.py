"""Presentation states (GSPS) of an image: made of what is looked at; applied where they come as files."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Annotated
from uuid import uuid4

from fastapi import APIRouter, Query
from fastapi.responses import Response
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool

from tetkik.documents.picture import drawing_of
from tetkik.documents.presentation_state import GreyRange, StateMeta, to_presentation_state
from tetkik.errors import Conflict, InputError
from tetkik.imaging.presentation import ShownState
from tetkik.records.audit_chain import Action
from tetkik.records.cases import identity_comparison
from tetkik.records.database import Transaction
from tetkik.records.images import images, presentation_states, received_decisions
from tetkik.records.people import users
from tetkik.records.people.access import load_visible_case
from tetkik.records.reports import drafts, versions
from tetkik.records.reports.identity import identity_for
from tetkik.records.reports.measurements import measured_image
from tetkik.service.kit.access.authorization import RequestContext
from tetkik.service.kit.access.middleware import takes_files
from tetkik.service.kit.background.image_decoder import DecoderDep, ImageDecoder
from tetkik.service.kit.http.incoming_files import IncomingFile, incoming_file
from tetkik.service.kit.http.responses import Shape, download_headers
from tetkik.service.studies.images import (
    BINARY,
    FILE_BODY,
    ImageId,
    ImageShape,
    Reader,
    Sender,
    UploadShape,
    audit_view,
)
from tetkik.values.measurement import Measurement
from tetkik.values.presentation import Presentation
from tetkik.workflow.image_intake import admit, screen
from tetkik.workflow.reports import hospital_of


def keep_presentation_state(
    ctx: RequestContext, decoder: ImageDecoder, file: IncomingFile, case_id: str | None = None
) -> UploadShape:
    """Keep it; `UploadShape.image` is the image that it is about. Without a case its study finds one."""
    name = file.name or "file"
    screen(ctx.settings, file.content, name)
    state = decoder.state(file.content, name)
    with ctx.write() as tx:
        if case_id is None:
            sha256 = hashlib.sha256(file.content).hexdigest()
            case_id = received_decisions.find_destination(tx, state.identity, sha256).case_id
        uids = frozenset(one.uid for one in state.references)
        found = None if case_id is None else presentation_states.find_by_uid(tx, case_id, uids)
        if case_id is None or found is None:
            raise InputError(
                "This presentation state is about no image of the case; upload the image first, or choose "
                "its case."
            )
        case = load_visible_case(tx, case_id)
        if identity_comparison.compare_with_patient(tx, found.patient_id, state.identity):
            raise Conflict("This presentation state names another patient than the image; compare the two.")
        images.lock_uploads(tx)
        admit(tx, ctx.settings, len(file.content))
        fresh = presentation_states.add_state(tx, images.load_visible_image(tx, found.id), file.content)
        shape = ImageShape.of(tx, found, ctx.language)
    return UploadShape(image=shape, fresh=fresh, case_number=case.number, case_opened=False, differs=[])


api = APIRouter(prefix="/images/{image_id}", tags=["images"])
_Number = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
_Pair = Annotated[list[_Number], Field(min_length=2, max_length=2)]
Frame = Annotated[int | None, Query(ge=1, le=2**31 - 1, description="Of several, from 1.")]


class PresentationSent(BaseModel):
    """How an image is looked at."""

    frame: Annotated[int, Field(ge=1, lt=2**31)] | None = None
    centre: Annotated[float, Field(ge=-10, le=10, allow_inf_nan=False)] = Field(
        0.5, description="Of the window, in parts of the image's white."
    )
    width: Annotated[float, Field(gt=0, le=20, allow_inf_nan=False)] = 1.0
    inverted: bool = False
    turn: Annotated[int, Field(ge=0, le=270, multiple_of=90)] = Field(
        0, description="Degrees clockwise, after the image was mirrored."
    )
    mirrored: bool = False
    area: Annotated[list[_Pair], Field(min_length=2, max_length=2)] | None = Field(
        None, description="Upper left and lower right corner of what is shown: column and row in pixels."
    )
    report_id: Annotated[str, Field(max_length=26)] | None = Field(
        None, description="Whose measurements, arrows and texts are drawn; none without it."
    )

    def value(self) -> Presentation:
        area = None
        if self.area is not None:
            (left, right), (top, bottom) = (sorted(corner[axis] for corner in self.area) for axis in (0, 1))
            area = ((left, top), (right, bottom))
        return Presentation((self.centre, self.width), self.inverted, self.turn, self.mirrored, area)


class WordsShape(Shape):
    """A text over an image."""

    text: str
    at: list[float] = Field(description="Column and row in pixels.")


class PresentationShape(Shape):
    """A presentation state, as a viewer applies it."""

    uid: str = Field(description="SOP Instance UID.")
    label: str
    description: str
    creator: str
    created: str | None = Field(description="`YYYYMMDD`.")
    window: list[float] | None = Field(
        description="Centre and width in parts of the image's white; None leaves the window as it is."
    )
    inverted: bool
    turn: int = Field(description="Degrees clockwise, after the image was mirrored.")
    mirrored: bool
    area: list[list[float]] | None = Field(description="Two corners of what is shown, in pixels.")
    lines: list[list[list[float]]] = Field(description="Column and row of each point, in pixels.")
    words: list[WordsShape]
    left_out: int = Field(description="Drawings that are not shown: of other kinds, or out of bounds.")

    @classmethod
    def of(cls, state: ShownState) -> PresentationShape:
        shown, file = state.shown, state.file
        return cls(
            uid=file.uid,
            label=file.label,
            description=file.description,
            creator=file.creator,
            created=file.created,
            window=None if shown.window is None else list(shown.window),
            inverted=shown.inverted,
            turn=shown.turn,
            mirrored=shown.mirrored,
            area=None if shown.area is None else [list(corner) for corner in shown.area],
            lines=[[list(point) for point in line] for line in shown.lines],
            words=[WordsShape(text=one.text, at=list(one.at)) for one in shown.words],
            left_out=shown.left_out,
        )


@api.post(
    "/presentation-state",
    response_class=Response,
    responses={200: {"content": {"application/dicom": BINARY}}},
)
def make(ctx: Reader, decoder: DecoderDep, image_id: ImageId, sent: PresentationSent) -> Response:
    """What is looked at as a DICOM Grayscale Softcopy Presentation State; each is a new object."""
    with ctx.read() as tx:
        image = images.load_visible_image(tx, image_id)
        images.check_frame(image, sent.frame)
        about = measured_image(tx, image, sent.frame)
        drawn = _drawn(tx, sent.report_id, image_id, about.frame)
        identity = identity_for(tx, image.patient_id, images.load_metadata(tx, image).identity)
        creator = users.user_row(tx, ctx.actor.user_id).name if ctx.actor.user_id else ""
    shown = decoder.grey_range(image, about.frame or 1)
    if shown is None or not (about.instance_uid and about.series_uid and about.study_uid and about.sop_class):
        raise InputError(
            "A presentation state refers to a grey DICOM image; this file is none, or has no identifiers."
        )
    uid, series_uid = (f"2.25.{uuid4().int}" for _ in range(2))
    meta = StateMeta(uid, series_uid, datetime.now(UTC).astimezone(), creator, description="Tetkik")
    grey = GreyRange(shown.black, shown.white, shown.inverted) if shown.straight else None
    try:
        content = to_presentation_state(
            about,
            identity,
            hospital_of(ctx.settings),
            sent.value(),
            [drawing_of(one, ctx.language) for one in drawn],
            meta,
            grey,
        )
    except ValueError:
        raise InputError(
            "A presentation state refers to a grey DICOM image; this file is none, or has no identifiers."
        ) from None
    with ctx.write() as tx:
        tx.audit(
            Action.DOCUMENT_EXPORTED,
            case_id=image.case_id,
            patient_id=image.patient_id,
            object_id=image.id,
            format="gsps",
        )
    headers = download_headers(f"{image.id}.pr.dcm")
    return Response(content, headers=headers, media_type="application/dicom")


@api.get("/presentation-states", response_model=list[PresentationShape])
def states(
    ctx: Reader, decoder: DecoderDep, image_id: ImageId, frame: Frame = None
) -> list[PresentationShape]:
    """The presentation states that came about an image, as a viewer applies them to one frame of it."""
    with ctx.write() as tx:
        image = images.load_visible_image(tx, image_id)
        images.check_frame(image, frame)
        files = presentation_states.states_of_image(tx, image)
        uid = images.load_metadata(tx, image).identity.instance_uid
        if not files or uid is None:
            return []
        audit_view(tx, image, "presentation-states")
    found = decoder.states(image, files, uid, frame or image.middle)
    return [PresentationShape.of(one) for one in found]


@api.post("/presentation-states", status_code=201, response_model=UploadShape, openapi_extra=FILE_BODY)
@takes_files
async def keep(ctx: Sender, decoder: DecoderDep, image_id: ImageId) -> UploadShape:
    """Keep a presentation state about an image of the same case: `image_id` is any of them."""
    async with incoming_file(ctx.request) as file:
        return await run_in_threadpool(_kept, ctx, decoder, image_id, file)


def _kept(ctx: RequestContext, decoder: ImageDecoder, image_id: str, file: IncomingFile) -> UploadShape:
    with ctx.read() as tx:
        case_id = images.load_visible_image(tx, image_id).case_id
    return keep_presentation_state(ctx, decoder, file, case_id)


def _drawn(
    tx: Transaction, report_id: str | None, image_id: str, frame: int | None
) -> tuple[Measurement, ...]:
    """What a report has of an image: of its draft, else of its signed version."""
    if report_id is None:
        return ()
    try:
        found = drafts.draft_of(tx, report_id).content
    except Conflict:
        found = versions.version_of(tx, report_id, pictures=False).document.content
    return tuple(one for one in found.measurements if (one.image.id, one.image.frame) == (image_id, frame))
