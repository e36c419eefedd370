"""Derived images: the preview and the heatmaps of an image. Sealed, like the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from io import BytesIO

from sqlalchemy import delete, select

from tetkik.errors import NotFound
from tetkik.records.database import Transaction
from tetkik.records.files import StoredFile
from tetkik.records.ids import new_id
from tetkik.records.images.images import StoredImage, store_file
from tetkik.records.schema import Blob


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
