"""Images: a row for each, and its file in the store under a name made of its content."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from io import BytesIO
from typing import IO, TYPE_CHECKING

from sqlalchemy import ColumnElement, delete, func, select

from tetkik.errors import Conflict, InputError, NotFound, TooManyRequests
from tetkik.records.audit_chain import Action
from tetkik.records.cases.patients import ReservedPatient
from tetkik.records.cases.transfers import require_open
from tetkik.records.database import Transaction
from tetkik.records.files import StoredFile
from tetkik.records.ids import new_id
from tetkik.records.images.studies import find_or_create_study
from tetkik.records.people.access import load_visible_case as see_case
from tetkik.records.schema.cases import Blob, Case, Image, Patient
from tetkik.records.schema.people import User
from tetkik.records.serialization import from_bytes, to_bytes
from tetkik.records.vault import Key
from tetkik.values.common import ADDED
from tetkik.values.radiograph import FileFormat, Identity, ImageTags, SpacingPlane, View, middle_frame
from tetkik.values.states import RemovalReason

if TYPE_CHECKING:
    from tetkik.values.radiograph import Radiograph


# How much one person may upload in a day (OWASP ASVS 12.1.3); counted from the stored images.


_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class UploadQuota:
    """Of one person in 24 hours."""

    files: int
    size: int


def measure_usage(tx: Transaction) -> UploadQuota:
    """What the actor has uploaded in the last 24 hours, as images or beside them; a file counts once."""
    files, size = 0, 0
    for row in (Image, Blob):
        found = select(func.count(), func.coalesce(func.sum(row.size), 0)).where(
            row.created_by == tx.actor.user_id, row.created_at > tx.now - _DAY
        )
        count, bytes_ = tx.session.execute(found).one()
        files, size = files + count, size + int(bytes_)
    return UploadQuota(files, size)


def check_quota(tx: Transaction, most: UploadQuota, more: UploadQuota) -> None:
    """Refuse more than a person may upload in 24 hours."""
    if tx.actor.user_id is None:
        return
    now = measure_usage(tx)
    if now.files + more.files > most.files:
        raise TooManyRequests(
            "You have uploaded {files} files in 24 hours, as many as one person may; go on later, or ask "
            "for the setting upload_files_per_day to be raised.",
            files=now.files,
        )
    if now.size + more.size > most.size:
        raise TooManyRequests(
            "This file goes beyond the {megabytes} MB that one person may upload in 24 hours; go on later, "
            "or ask for the setting upload_bytes_per_day to be raised.",
            megabytes=most.size // 1_000_000,
        )


def lock_uploads(tx: Transaction) -> None:
    """Let nobody else count the actor's uploads until this transaction is over.

    SQLite has one writer in any case; on PostgreSQL two uploads at once would each not see the other.
    """
    if tx.actor.user_id is not None:
        tx.session.execute(select(User.id).where(User.id == tx.actor.user_id).with_for_update())


ERASED_FILE = "-"
"""Before the id of an image in place of its file's name: the file was erased."""
_LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class ImageMetadata:
    """What is kept of an image beside its file."""

    file_format: FileFormat
    rows: int
    columns: int
    spacing: tuple[float, float] | None = None
    """Millimetres between (rows, columns), where known."""
    view: View | None = None
    identity: Identity = field(default_factory=Identity)
    tags: ImageTags = field(default_factory=ImageTags)
    name: str = field(default="", repr=False)
    """That the sender gave the file; sealed, and never a path."""
    plane: SpacingPlane | None = None
    confirmed: tuple[str, ...] = field(default=(), metadata=ADDED)
    """What the file says of its patient otherwise than the record, and a person has confirmed."""

    @classmethod
    def of(cls, image: Radiograph, name: str = "") -> ImageMetadata:
        """What is kept of an image that was read."""
        size = (image.rows, image.columns, image.spacing)
        described = (image.view, image.identity, image.tags)
        return cls(image.file_format, *size, *described, name, image.plane)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """The row of an image: nothing in it names the patient."""

    id: str
    case_id: str
    study_id: str
    patient_id: str
    file: str
    size: int
    file_format: FileFormat
    rows: int
    columns: int
    frames: int
    spacing: tuple[float, float] | None
    view: View | None
    created_at: datetime
    removed_at: datetime | None = None
    """When a person took it out of its case; None of one that counts."""
    removal_reason: RemovalReason | None = None
    moved_to: str | None = None
    """The same image in the case that it was moved to."""

    @property
    def middle(self) -> int:
        """The frame that stands for it, counted from 1."""
        return middle_frame(self.frames)


@dataclass(frozen=True, slots=True)
class AddedImage:
    image: StoredImage
    fresh: bool
    """Whether it is new; otherwise the same file was in the case before."""


@dataclass(frozen=True, slots=True)
class _SealedMetadata:
    """What is sealed into the row."""

    described: ImageMetadata
    sha256: str


def store_file(
    tx: Transaction,
    patient_id: str,
    content: IO[bytes],
    *,
    sha256: str | None = None,
    reserved: ReservedPatient | None = None,
) -> StoredFile:
    """Bring a file to the disk, sealed under its patient's key, before any row names it.

    Best in a transaction that nobody waits for (see `still_stored`).
    """
    # `case_transfer.remove_leftover_files` comes before, or finds the row.
    _lock_against_removal(tx, patient_id)
    key = tx.key(patient_id) if reserved is None else Key(reserved.secret, tx.vault.cipher)
    return tx.files.put(key, patient_id, content, sha256)


def still_stored(tx: Transaction, patient_id: str, *files: StoredFile) -> bool:
    """Whether files from an earlier `store_file` are on the disk; they stay until this transaction ends."""
    _lock_against_removal(tx, patient_id)
    return all(tx.files.storage.touch(file.name) for file in files)


def _lock_against_removal(tx: Transaction, patient_id: str) -> None:
    wanted = select(Patient.id).where(Patient.id == patient_id)
    tx.session.execute(wanted.with_for_update(read=True, key_share=True)).all()


def add_image(
    tx: Transaction,
    case_id: str,
    file: StoredFile,
    described: ImageMetadata,
    *,
    confirmed: Sequence[str] = (),
) -> AddedImage:
    """Put an image into a case; the same file twice in a case is one image.

    `file` is from `store_file`, for the patient of that case; `confirmed` is what the file says of its
    patient otherwise than the record, and a person has confirmed.
    """
    case = see_case(tx, case_id)
    # Whoever moves or closes the case meanwhile comes before or after.
    tx.session.refresh(case, with_for_update=True)
    known = tx.session.scalar(select(Image).where(Image.case_id == case_id, Image.file == file.name))
    if known is not None and known.removed_at is not None:
        raise Conflict("This image was removed from the case; put it back on the page of its images.")
    if known is not None:
        return AddedImage(_value(known), fresh=False)
    require_open(tx, case)
    row = build_image_row(tx, case, file, replace(described, confirmed=tuple(confirmed)), new_id())
    tx.session.add(row)
    tx.session.flush()
    kept = {"format": described.file_format, "confirmed": ",".join(confirmed) or None}
    tx.audit_about(Action.IMAGE_UPLOADED, row, size=file.size, **kept)
    tx.announce("case", case_id)
    return AddedImage(_value(row), fresh=True)


def has_file(tx: Transaction, case_id: str, patient_id: str, sha256: str) -> bool:
    name = tx.vault.file_name(patient_id, sha256)
    return tx.session.scalar(select(Image.id).where(Image.case_id == case_id, Image.file == name)) is not None


def build_image_row(
    tx: Transaction, case: Case, file: StoredFile, described: ImageMetadata, image_id: str
) -> Image:
    """The row of an image in a case, and its study where there is none yet; the caller adds it."""
    kept = _SealedMetadata(replace(described, name=described.name[:_LONGEST_NAME]), file.sha256)
    spacing = described.spacing
    row = Image(
        id=image_id,
        study_id=find_or_create_study(tx, case.id, case.patient_id, described.identity, described.tags),
        case_id=case.id,
        patient_id=case.patient_id,
        file=file.name,
        size=file.size,
        file_format=described.file_format,
        rows=described.rows,
        columns=described.columns,
        frames=described.tags.frames,
        spacing=f"{spacing[0]:.7g},{spacing[1]:.7g}" if spacing else None,
        view=described.view,
        created_at=tx.now,
        created_by=tx.actor.user_id,
    )
    tx.seal_column(row, "tags", to_bytes(kept))
    return row


def load_image(tx: Transaction, image_id: str) -> StoredImage:
    """An image by its id, for the program itself; a person gets it from `load_visible_image`."""
    return _value(tx.find(Image, image_id, NotFound("There is no such image; look at its case.")))


def load_visible_image(tx: Transaction, image_id: str) -> StoredImage:
    """An image of a case that the actor may open."""
    image = load_image(tx, image_id)
    see_case(tx, image.case_id)
    return image


def check_frame(image: StoredImage, frame: int | None) -> None:
    """Refuse a frame that an image does not have; counted from 1, and None is any image's."""
    if frame is not None and not 1 <= frame <= image.frames:
        raise InputError(
            "The image has no frame {frame}; choose one from 1 to {frames}.", frame=frame, frames=image.frames
        )


def list_images(tx: Transaction, case_id: str, *, removed: bool = False) -> tuple[StoredImage, ...]:
    """The images of a case, in the order in which they came, or those that were removed from it.

    What was emptied is none.
    """
    return _listed(tx, Image.case_id == case_id, Image.removed_at.is_not(None) if removed else present())


def list_study_images(tx: Transaction, study_id: str) -> tuple[StoredImage, ...]:
    """The images of a study that count, in the order in which they came."""
    return _listed(tx, Image.study_id == study_id, present())


def present() -> ColumnElement[bool]:
    """That an image was not removed by a person."""
    return Image.removed_at.is_(None)


def _listed(tx: Transaction, *wanted: ColumnElement[bool]) -> tuple[StoredImage, ...]:
    rows = tx.session.scalars(
        select(Image).where(*wanted, Image.file.not_like(f"{ERASED_FILE}%")).order_by(Image.id)
    )
    return tuple(_value(row) for row in rows)


def load_metadata(tx: Transaction, image: StoredImage) -> ImageMetadata:
    """What the file said of itself."""
    return _kept(tx, image).described


def load_all_metadata(tx: Transaction, found: Sequence[StoredImage]) -> dict[str, ImageMetadata]:
    """What the files of many images said of themselves, by the id of the image; one query for all."""
    rows = tx.session.scalars(select(Image).where(Image.id.in_([image.id for image in found]))).all()
    opened = ((row.id, tx.open_column(row, "tags")) for row in rows)
    return {key: from_bytes(_SealedMetadata, content).described for key, content in opened if content}


def confirm_identity(tx: Transaction, image_id: str, traits: Sequence[str]) -> None:
    """Keep that an image is its record's patient's, though its file says these traits otherwise."""
    row = tx.session.get_one(Image, image_id)
    kept = _kept(tx, _value(row))
    confirmed = tuple(dict.fromkeys((*kept.described.confirmed, *traits)))
    tx.seal_column(
        row, "tags", to_bytes(replace(kept, described=replace(kept.described, confirmed=confirmed)))
    )
    tx.session.flush()
    tx.audit_about(Action.IDENTITY_CONFIRMED, row, confirmed=",".join(traits))


def load_sha256(tx: Transaction, image: StoredImage) -> str:
    """SHA-256 of the file as it came, hexadecimal."""
    return _kept(tx, image).sha256


def read_content(tx: Transaction, image: StoredImage) -> bytes:
    """The file as it came."""
    return tx.files.get(tx.key(image.patient_id), image.file)


def read_chunks(tx: Transaction, image: StoredImage) -> Iterator[bytes]:
    """The same, a mebibyte at a time; the transaction may be over before the last."""
    return tx.files.chunks(tx.key(image.patient_id), image.file)


def _kept(tx: Transaction, image: StoredImage) -> _SealedMetadata:
    content = tx.open_column(tx.session.get_one(Image, image.id), "tags")
    if content is None:
        raise NotFound("The patient of this record was erased; nothing of it can be read any more.")
    return from_bytes(_SealedMetadata, content)


def _value(row: Image) -> StoredImage:
    spacing = tuple(float(part) for part in row.spacing.split(",")) if row.spacing else None
    return row.to_value(
        StoredImage,
        file_format=FileFormat(row.file_format),
        spacing=spacing,
        view=View(row.view) if row.view else None,
    )


# Derived images: the preview and the heatmaps of an image. Sealed, like the image.


class DerivedImageKind(StrEnum):
    """What a picture is for. All are PNG."""

    PREVIEW = "preview"
    """Small, for lists."""
    HEAT = "heat"
    """Of one label: the heat alone, transparent where there is none, over the whole image."""


def store_derived_image(tx: Transaction, image: StoredImage, png: bytes) -> StoredFile:
    """Bring a picture to the disk, sealed, before any row names it."""
    return store_file(tx, image.patient_id, BytesIO(png))


def replace_derived_images(
    tx: Transaction, image: StoredImage, kind: DerivedImageKind, pictures: Mapping[str, StoredFile]
) -> None:
    """Let an image have these pictures of a kind, by label, and no others; a preview's label is empty."""
    tx.session.execute(delete(Blob).where(Blob.image_id == image.id, Blob.kind == kind))
    tx.session.add_all(
        Blob(
            id=new_id(),
            patient_id=image.patient_id,
            image_id=image.id,
            kind=kind,
            label=label,
            file=file.name,
            size=file.size,
            created_at=tx.now,
        )
        for label, file in pictures.items()
    )
    tx.session.flush()


def images_with_preview(tx: Transaction, image_ids: Sequence[str]) -> frozenset[str]:
    """Which of these images have a preview."""
    chosen = select(Blob.image_id).where(Blob.image_id.in_(image_ids), Blob.kind == DerivedImageKind.PREVIEW)
    return frozenset(tx.session.scalars(chosen))


def read_derived_image(tx: Transaction, image: StoredImage, kind: DerivedImageKind, label: str = "") -> bytes:
    """A picture, as PNG."""
    file = tx.session.scalar(
        select(Blob.file).where(Blob.image_id == image.id, Blob.kind == kind, Blob.label == label)
    )
    if file is None:
        raise NotFound("There is no such picture of this image; see whether a model has answered.")
    return tx.files.get(tx.key(image.patient_id), file)


def heatmap_labels(tx: Transaction, image_id: str) -> tuple[str, ...]:
    found = select(Blob.label).where(Blob.image_id == image_id, Blob.kind == DerivedImageKind.HEAT)
    return tuple(tx.session.scalars(found.order_by(Blob.label)))
