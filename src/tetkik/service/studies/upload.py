"""An image comes in: read, compared with the case's patient, sealed, kept, and left for a model to read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import TypeAdapter
from starlette.concurrency import run_in_threadpool

from tetkik.errors import Conflict, Forbidden, InputError
from tetkik.imaging.presentation import is_presentation_state
from tetkik.language import Language, Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, identity_comparison, patients, transfers
from tetkik.records.cases.patients import ReservedPatient
from tetkik.records.database import Transaction
from tetkik.records.images import images, jobs, received_decisions
from tetkik.records.images.jobs import JobKind
from tetkik.records.images.received_decisions import Destination
from tetkik.records.people.access import load_visible_case
from tetkik.records.worklist import case_contents, claims
from tetkik.service.cases import locked
from tetkik.service.kit.access.middleware import takes_files
from tetkik.service.kit.background.image_decoder import DecoderDep, ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.idempotency import IdempotencyKey, IdempotentRequest, RequestOutcome
from tetkik.service.kit.http.incoming_files import IncomingFile, incoming_file
from tetkik.service.kit.rendering.templates import NavigationEntry, language_of
from tetkik.service.reception import load_waiting
from tetkik.service.studies.images import FILE_BODY, ImageShape, Sender, UploadShape
from tetkik.service.studies.presentation_states import keep_presentation_state
from tetkik.values.access import Actor, Permission
from tetkik.values.radiograph import Difference, Radiograph
from tetkik.values.states import Priority
from tetkik.workflow.image_intake import IncomingImage, StoredFiles, admit, screen


class OtherPatient(Conflict):
    """The file says that it is of another patient than the case; where, only the person who asks learns."""

    def __init__(self, found: tuple[Difference, ...]) -> None:
        super().__init__(
            "This file says that it is of another patient than the case; compare the two, and upload it only "
            "if you are sure."
        )
        self.fields = [_TOLD.dump_python(one, mode="json") for one in found]


_TOLD = TypeAdapter(Difference)


@dataclass
class Upload:
    """One file on its way into the records: without a case, one is found or opened for it.

    `sure` is whether a person has compared the two patients.
    """

    context: AppContext
    decoder: ImageDecoder
    actor: Actor
    file: IncomingFile
    case_id: str | None = None
    sure: bool = field(default=False, kw_only=True)
    sha256: str = field(init=False)
    _incoming: IncomingImage | None = field(default=None, init=False, repr=False)
    _newcomer: ReservedPatient | None = field(default=None, init=False)
    _stored: StoredFiles | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        self.sha256 = hashlib.sha256(self.file.content).hexdigest()

    def run(self, request: Request, key: str | None) -> RequestOutcome[UploadShape]:
        """Keep the file, with the work that it makes, once for each key."""
        request_line = f"{request.method} {request.scope['path']}?{self.case_id}&{self.sure}\n{self.sha256}"
        once = IdempotentRequest(key, hashlib.sha256(request_line.encode()).digest())
        try:
            self.prepare()
            outcome = once.run(self.context.records, self.actor, partial(self.keep, language_of(request)))
        except OtherPatient:
            with self.context.records.write(self.actor) as tx:  # the sender saw what the record says
                home = self._home(tx)
                tx.audit(Action.CASE_OPENED, case_id=home.case_id, patient_id=home.patient_id, compared=True)
            raise
        if outcome.fresh is not None:
            self.decoder.cache_pixels(outcome.fresh.image.id, self._image)  # spares the worker the decoding
            self.decoder.work_available.set()
        return outcome

    def prepare(self) -> None:
        """Read the file, and bring it to the disk with its preview: no transaction waits for that."""
        with self.context.records.read(self.actor) as tx:
            if self.case_id is not None:
                load_visible_case(tx, self.case_id)  # before anything is made of the file
                transfers.require_not_moved(tx, self.case_id)
        # The name goes into an error that the sender sees, and no further.
        name = self.file.name or "image"
        screen(self.context.settings, self.file.content, name)
        image = self.decoder.decode(self.file.content, name)
        self._incoming = IncomingImage(self.file.content, image, self.file.name)
        _ = self._incoming.preview  # before anybody waits for a transaction
        with self.context.records.read(self.actor) as tx:
            home = self._home(tx)
            self._admit(tx, home)
            if home.patient_id is not None:
                self._compare(tx, home.patient_id)
            elif self.actor.may(Permission.CASE_CREATE):
                self._newcomer = ReservedPatient()
            if patient_id := home.patient_id or (self._newcomer and self._newcomer.id):
                self._stored = self._incoming.store(tx, patient_id, self._reserved(patient_id))

    def keep(self, language: Language, tx: Transaction) -> UploadShape:
        """Keep it, with the work that it makes, in one transaction."""
        assert self._incoming is not None
        images.lock_uploads(tx)
        home = self._home(tx)
        self._admit(tx, home)
        case_id = home.case_id or self._open(tx, home)
        case = load_visible_case(tx, case_id)
        differs = self._compare(tx, case.patient_id)
        added = self._incoming.keep(
            tx,
            case_id,
            self._stored,
            reserved=self._reserved(case.patient_id),
            confirmed=tuple(one.trait.value for one in differs),
        )
        return UploadShape(
            image=ImageShape.of(tx, added.image, language),
            fresh=added.fresh,
            case_number=case.number,
            case_opened=home.case_id is None,
            differs=list(differs),
        )

    @property
    def _image(self) -> Radiograph:
        assert self._incoming is not None
        return self._incoming.image

    def _reserved(self, patient_id: str) -> ReservedPatient | None:
        newcomer = self._newcomer
        return newcomer if newcomer is not None and newcomer.id == patient_id else None

    def _admit(self, tx: Transaction, home: Destination) -> None:
        """A file that is there already costs nothing of what the actor may upload."""
        if (
            home.case_id
            and home.patient_id
            and images.has_file(tx, home.case_id, home.patient_id, self.sha256)
        ):
            return
        admit(tx, self.context.settings, len(self.file.content))

    def _compare(self, tx: Transaction, patient_id: str) -> tuple[Difference, ...]:
        differs = identity_comparison.compare_with_patient(tx, patient_id, self._image.identity)
        if differs and not self.sure:
            raise OtherPatient(differs)
        return differs

    def _home(self, tx: Transaction) -> Destination:
        if self.case_id is not None:
            return Destination(load_visible_case(tx, self.case_id).patient_id, self.case_id)
        identity = self._image.identity
        filed = identity_comparison.person_from_identity(identity)
        if not (filed.number or filed.tckn):
            raise InputError(
                "{file} does not say whose image it is; choose the case first.",
                file=self.file.name or "image",
            )
        return received_decisions.find_destination(tx, identity, self.sha256)

    def _open(self, tx: Transaction, home: Destination) -> str:
        if not self.actor.may(Permission.CASE_CREATE):
            raise Forbidden(
                "Your role does not allow this ({permission}).", permission=Permission.CASE_CREATE
            )
        patient_id = home.patient_id or patients.create(
            tx, identity_comparison.person_from_identity(self._image.identity), self._newcomer
        )
        return cases.open_case(tx, patient_id)


api = APIRouter(prefix="/images", tags=["images"])
CaseId = Annotated[
    str | None, Query(max_length=26, description="Of the case; without it a DICOM file finds or opens one.")
]
Sure = Annotated[
    bool, Query(description="The patient of the file and of the case were compared, and it is right.")
]


@api.post("", status_code=201, response_model=UploadShape, openapi_extra=FILE_BODY)
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


pages = APIRouter()
NAVIGATION = (
    NavigationEntry("/upload", Permission.IMAGE_UPLOAD, "upload", Sentence("Upload"), "g u", position=20),
)

_WAITING = 12


@pages.get("/upload")
def upload_page(
    ctx: Sender, case_id: Annotated[str | None, Query(alias="case", max_length=26)] = None
) -> HTMLResponse:
    try:
        with ctx.write() as tx:
            shown: dict[str, Any] = {"seq": case_contents.newest_sequence(tx), "case": None}
            if case_id is not None:
                shown |= _panel(tx, case_id, audit=True)
            else:
                shown |= {"waiting": load_waiting(tx, _WAITING)}
                tx.audit(Action.CASES_LISTED, count=len(shown["waiting"]))
    except Forbidden:
        return locked(ctx, case_id or "")
    return ctx.render("studies/upload.html.jinja", **shown)


@pages.get("/upload/waiting")
def waiting(ctx: Sender) -> HTMLResponse:
    """The cases to choose from, after something happened; the audit entry of the page covers it."""
    with ctx.read() as tx:
        return ctx.render("studies/waiting.html.jinja", waiting=load_waiting(tx, _WAITING))


@pages.get("/upload/{case_id}/panel")
def panel(ctx: Sender, case_id: str) -> HTMLResponse:
    """The case beside the upload, after something happened to it; the audit entry of the page covers it."""
    with ctx.read() as tx:
        return ctx.render("studies/case_panel.html.jinja", **_panel(tx, case_id))


@pages.post("/upload/{image_id}/frame")
def read_frame(
    ctx: Sender, decoder: DecoderDep, image_id: str, frame: Annotated[int, Form(ge=1, le=2**31 - 1)]
) -> RedirectResponse:
    """Have the model read another frame of an image; a draft that a person has changed stays."""
    with ctx.write() as tx:
        image = images.load_visible_image(tx, image_id)
        case = load_visible_case(tx, image.case_id)
        jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority(case.priority), frame=frame)
        if ctx.actor.may(Permission.CLAIM):
            claims.claim_to_read(tx, case.id)
    decoder.work_available.set()
    return RedirectResponse(f"/read/{image.case_id}?image={image.id}", 303)


def _panel(tx: Transaction, case_id: str, *, audit: bool = False) -> dict[str, Any]:
    case = cases.load_case(tx, case_id, audit=audit)
    studies = case_contents.load_contents(tx, case.id).studies
    return {"case": case, "images": images.list_images(tx, case.id), "studies": studies}
