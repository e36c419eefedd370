"""An image comes in, by an upload or from another system: sealed, kept, and left for a model to read."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO

from tetkik.records.cases import cases
from tetkik.records.cases.patients import ReservedPatient
from tetkik.records.database import Transaction
from tetkik.records.files import StoredFile
from tetkik.records.images import images, jobs
from tetkik.records.images.images import AddedImage, DerivedImageKind, ImageMetadata, UploadQuota
from tetkik.records.images.jobs import JobKind
from tetkik.records.people.access import load_visible_case
from tetkik.settings import Settings
from tetkik.values import CaseState, Priority, Radiograph
from tetkik.workflow.images import preview_of
from tetkik.workflow.malware_scanner import scan

NO_MODEL = "none"
"""Instead of a model: a person reads the image without one."""


def screen(settings: Settings, content: bytes, name: str) -> None:
    """Have a file looked at before anything is made of it, where the hospital has a scanner."""
    if settings.upload_scanner:
        scan(settings.upload_scanner, content, name)


def admit(tx: Transaction, settings: Settings, size: int) -> None:
    """Refuse a file that goes beyond what a person may bring in a day, whatever it is kept as.

    In a transaction that keeps it, after `images.lock_uploads`.
    """
    most = UploadQuota(settings.upload_files_per_day, settings.upload_bytes_per_day)
    images.check_quota(tx, most, UploadQuota(1, size))


@dataclass(frozen=True, slots=True)
class StoredFiles:
    """A file and its preview as they lie on the disk, sealed under a patient's key."""

    patient_id: str
    file: StoredFile
    preview: StoredFile

    def still_there(self, tx: Transaction) -> bool:
        return images.still_stored(tx, self.patient_id, self.file, self.preview)


@dataclass(frozen=True)
class IncomingImage:
    """A file that was decoded; its identity and tags are those that the records keep."""

    content: bytes = field(repr=False)
    image: Radiograph = field(repr=False)
    name: str = field(default="", repr=False)
    """That the sender gave the file."""

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @cached_property
    def preview(self) -> bytes:
        return preview_of(self.image)

    def store(self, tx: Transaction, patient_id: str, reserved: ReservedPatient | None = None) -> StoredFiles:
        """Bring it to the disk with its preview; best in a transaction that nobody waits for."""
        content, preview = BytesIO(self.content), BytesIO(self.preview)
        return StoredFiles(
            patient_id,
            images.store_file(tx, patient_id, content, sha256=self.sha256, reserved=reserved),
            images.store_file(tx, patient_id, preview, reserved=reserved),
        )

    def keep(
        self,
        tx: Transaction,
        case_id: str,
        stored: StoredFiles | None = None,
        *,
        reserved: ReservedPatient | None = None,
        confirmed: tuple[str, ...] = (),
        model: str | None = None,
    ) -> AddedImage:
        """Put it into a case, with the work that it makes; the same file twice in a case is one image.

        Args:
            stored: from an earlier `store`; made anew where it is of another patient, or gone.
            confirmed: what the file says of its patient otherwise than the record, as a person confirmed.
            model: that reads it; None is that of the settings.
        """
        case = load_visible_case(tx, case_id)
        if stored is None or stored.patient_id != case.patient_id or not stored.still_there(tx):
            stored = self.store(tx, case.patient_id, reserved)
        described = ImageMetadata.of(self.image, self.name)
        added = images.add_image(tx, case_id, stored.file, described, confirmed=confirmed)
        if added.fresh:
            kind = DerivedImageKind.PREVIEW
            images.replace_derived_images(tx, added.image, kind, {"": stored.preview})
            if model != NO_MODEL:
                jobs.add_job(tx, JobKind.READ_IMAGE, added.image, Priority(case.priority), model)
            if case.state is not CaseState.TO_READ:
                cases.set_state(tx, case.id, CaseState.TO_READ if model == NO_MODEL else CaseState.PROCESSING)
        return added
