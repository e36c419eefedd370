"""An image comes in: read, compared with the case's patient, sealed, kept, and left for a model to read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import partial
from io import BytesIO

from fastapi import Request
from pydantic import TypeAdapter

from tetkik.errors import Conflict, Forbidden, InputError
from tetkik.language import Language
from tetkik.records.audit_chain import Action
from tetkik.records.cases import cases, identity_comparison, patients, transfers
from tetkik.records.cases.identity_comparison import Difference
from tetkik.records.cases.patients import ReservedPatient
from tetkik.records.database import Transaction
from tetkik.records.files import StoredFile
from tetkik.records.images import derived_images, images, jobs, patient_matching, quota
from tetkik.records.images.derived_images import DerivedImageKind
from tetkik.records.images.images import ImageMetadata, StoredImage
from tetkik.records.images.jobs import JobKind
from tetkik.records.images.patient_matching import Destination
from tetkik.records.images.quota import UploadQuota
from tetkik.records.people.visibility import load_visible_case
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.idempotency import IdempotentRequest, Outcome
from tetkik.service.kit.http.incoming_files import IncomingFile
from tetkik.service.kit.http.malware_scanner import scan
from tetkik.service.kit.rendering.templates import language_of
from tetkik.service.studies.shapes import ImageShape, UploadShape
from tetkik.values import Actor, CaseState, Permission, Priority, Radiograph
from tetkik.workflow.images import preview_of


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
    _image: Radiograph | None = field(default=None, init=False, repr=False)
    _preview: bytes = field(default=b"", init=False, repr=False)
    _newcomer: ReservedPatient | None = field(default=None, init=False)
    _stored: tuple[str, StoredFile, StoredFile] | None = field(default=None, init=False)
    """Patient, file and preview as they lie on the disk."""

    def __post_init__(self) -> None:
        self.sha256 = hashlib.sha256(self.file.content).hexdigest()

    def run(self, request: Request, key: str | None) -> Outcome[UploadShape]:
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
            assert self._image is not None
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
        if scanner := self.context.settings.upload_scanner:
            scan(scanner, self.file.content, name)
        self._image = self.decoder.decode(self.file.content, name)
        self._preview = preview_of(self._image)
        with self.context.records.read(self.actor) as tx:
            home = self._home(tx)
            self._admit(tx, home)
            if home.patient_id is not None:
                self._compare(tx, home.patient_id)
            elif self.actor.may(Permission.CASE_CREATE):
                self._newcomer = ReservedPatient()
            if patient_id := home.patient_id or (self._newcomer and self._newcomer.id):
                self._stored = self._store(tx, patient_id)

    def keep(self, language: Language, tx: Transaction) -> UploadShape:
        """Keep it, with the work that it makes, in one transaction."""
        assert self._image is not None
        quota.lock_uploads(tx)
        home = self._home(tx)
        self._admit(tx, home)
        case_id = home.case_id or self._open(tx, home)
        case = load_visible_case(tx, case_id)
        differs = self._compare(tx, case.patient_id)
        kept = self._stored if self._stored and self._stored[0] == case.patient_id else None
        if kept is None or not images.still_stored(tx, case.patient_id, *kept[1:]):
            # The patient is another than a moment ago.
            self._stored = self._store(tx, case.patient_id)
        assert self._stored is not None
        _, file, preview = self._stored
        described = ImageMetadata.of(self._image, self.file.name)
        added = images.add_image(
            tx, case_id, file, described, confirmed=tuple(one.trait.value for one in differs)
        )
        if added.fresh:
            self._let_wait(tx, added.image, preview)
        return UploadShape(
            image=ImageShape.of(tx, added.image, language),
            fresh=added.fresh,
            case_number=case.number,
            case_opened=home.case_id is None,
            differs=list(differs),
        )

    def _store(self, tx: Transaction, patient_id: str) -> tuple[str, StoredFile, StoredFile]:
        newcomer = self._newcomer
        reserved = newcomer if newcomer is not None and newcomer.id == patient_id else None
        content, preview = BytesIO(self.file.content), BytesIO(self._preview)
        return (
            patient_id,
            images.store_file(tx, patient_id, content, sha256=self.sha256, reserved=reserved),
            images.store_file(tx, patient_id, preview, reserved=reserved),
        )

    def _admit(self, tx: Transaction, home: Destination) -> None:
        """A file that is there already costs nothing of what the actor may upload."""
        if (
            home.case_id
            and home.patient_id
            and images.has_file(tx, home.case_id, home.patient_id, self.sha256)
        ):
            return
        most = self.context.settings
        allowed = UploadQuota(most.upload_files_per_day, most.upload_bytes_per_day)
        quota.check_quota(tx, allowed, UploadQuota(1, len(self.file.content)))

    def _compare(self, tx: Transaction, patient_id: str) -> tuple[Difference, ...]:
        assert self._image is not None
        differs = identity_comparison.compare_with_patient(tx, patient_id, self._image.identity)
        if differs and not self.sure:
            raise OtherPatient(differs)
        return differs

    def _home(self, tx: Transaction) -> Destination:
        if self.case_id is not None:
            return Destination(load_visible_case(tx, self.case_id).patient_id, self.case_id)
        assert self._image is not None
        identity = self._image.identity
        filed = identity_comparison.person_from_identity(identity)
        if not (filed.number or filed.tckn):
            raise InputError(
                "{file} does not say whose image it is; choose the case first.",
                file=self.file.name or "image",
            )
        return patient_matching.find_destination(tx, identity, self.sha256)

    def _open(self, tx: Transaction, home: Destination) -> str:
        assert self._image is not None
        if not self.actor.may(Permission.CASE_CREATE):
            raise Forbidden(
                "Your role does not allow this ({permission}).", permission=Permission.CASE_CREATE
            )
        patient_id = home.patient_id or patients.create(
            tx, identity_comparison.person_from_identity(self._image.identity), self._newcomer
        )
        return cases.open_case(tx, patient_id)

    def _let_wait(self, tx: Transaction, image: StoredImage, preview: StoredFile) -> None:
        case = load_visible_case(tx, image.case_id)
        derived_images.replace_derived_images(tx, image, DerivedImageKind.PREVIEW, {"": preview})
        jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority(case.priority))
        if case.state is not CaseState.TO_READ:
            cases.set_state(tx, case.id, CaseState.PROCESSING)
