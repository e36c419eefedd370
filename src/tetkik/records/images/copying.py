"""Copies of images under another patient's key: the bytes as they came, with the presentation states.

`reencrypt_file` may come before the transaction that names the file, as with an upload: a crash between
leaves a file that nobody names, which the daily sweep removes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sqlalchemy import select

from tetkik.errors import NotFound
from tetkik.records.database import Transaction
from tetkik.records.files import StoredFile
from tetkik.records.ids import new_id_like
from tetkik.records.images import images, presentation_states
from tetkik.records.images.images import DerivedImageKind, StoredImage
from tetkik.records.schema import Case, Image, Study

_STAYS = ("created_at", "created_by", "removed_at", "removed_by", "removal_reason", "moved_to")


def reencrypt_file(tx: Transaction, image: StoredImage, patient_id: str) -> StoredFile:
    """An image's file on the disk, sealed under another patient's key; where it lies so already, no more."""
    sha256 = images.load_sha256(tx, image)
    name = tx.vault.file_name(patient_id, sha256)
    if tx.files.storage.touch(name):
        return StoredFile(name, image.size, sha256)
    with tx.files.plain(tx.key(image.patient_id), image.file) as path, path.open("rb") as content:
        return images.store_file(tx, patient_id, content)


def copy_images(tx: Transaction, case: Case, found: Sequence[StoredImage]) -> tuple[StoredImage, ...]:
    """These images as images of another patient's case, in their order.

    Whoever uploaded them and when stays, and so does what each file says of itself, and who removed it from
    its case and why. They count once in what the uploader may send in a day: the rows that they leave name
    nobody (`case_erasure.clear_moved_case`).
    """
    # Ids of one millisecond have no order of their own: sorted, they take that of the images.
    names = sorted(new_id_like(image.id) for image in found)
    return tuple(_carried(tx, case, image, name) for image, name in zip(found, names, strict=True))


def _carried(tx: Transaction, case: Case, image: StoredImage, image_id: str) -> StoredImage:
    before = tx.session.get_one(Image, image.id)
    file, described = reencrypt_file(tx, image, case.patient_id), images.load_metadata(tx, image)
    described = replace(described, confirmed=())  # that was said of another patient
    row = images.build_image_row(tx, case, file, described, image_id)
    for name in _STAYS:
        setattr(row, name, getattr(before, name))
    tx.session.add(row)
    tx.session.flush()
    study = tx.session.get_one(Study, row.study_id)
    study.created_at = min(study.created_at, before.created_at)
    there = images.load_image(tx, image_id)
    _carry_preview(tx, image, there)
    presentation_states.copy_states(tx, image, there)
    return there


def _carry_preview(tx: Transaction, image: StoredImage, there: StoredImage) -> None:
    """The image in small; without one, lists show none."""
    try:
        png = images.read_derived_image(tx, image, DerivedImageKind.PREVIEW)
    except NotFound:
        return
    images.replace_derived_images(
        tx, there, DerivedImageKind.PREVIEW, {"": images.store_derived_image(tx, there, png)}
    )


def find_case_with_file(tx: Transaction, case_ids: Sequence[str], sha256: str) -> str | None:
    """The newest of these cases that has a file, of any patient."""
    cases = tx.session.scalars(select(Case).where(Case.id.in_(case_ids)).order_by(Case.id.desc()))
    return next((case.id for case in cases if images.has_file(tx, case.id, case.patient_id, sha256)), None)
