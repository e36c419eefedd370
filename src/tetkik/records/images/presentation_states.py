"""Presentation states that came as files: kept beside the image that they are about, sealed like it."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from io import BytesIO

from sqlalchemy import Select, select

from tetkik.errors import InputError
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
from tetkik.records.files import StoredFile
from tetkik.records.ids import new_id
from tetkik.records.images.images import StoredImage, list_images, load_metadata, store_file
from tetkik.records.schema import Blob

_KIND = "presentation"
MOST = 20
"""Of an image."""
_LABEL = 60


def add_state(tx: Transaction, image: StoredImage, content: bytes) -> bool:
    """Keep a file; gives whether it is new."""
    label = sha256(content).hexdigest()[:_LABEL]
    wanted = (Blob.image_id == image.id, Blob.kind == _KIND)
    if tx.count(Blob, *wanted, Blob.label == label):
        return False
    if tx.count(Blob, *wanted) >= MOST:
        raise InputError("An image has at most {most} presentation states.", most=MOST)
    stored = store_file(tx, image.patient_id, BytesIO(content))
    _add_row(tx, image, stored, label, tx.now)
    whose = {"case_id": image.case_id, "patient_id": image.patient_id}
    tx.audit(Action.IMAGE_UPLOADED, **whose, object_id=image.id, size=stored.size, format=_KIND)
    return True


def copy_states(tx: Transaction, image: StoredImage, there: StoredImage) -> None:
    """Let a copy of an image have its states, too, sealed under the key of its own patient."""
    known = set(tx.session.scalars(select(Blob.label).where(Blob.image_id == there.id, Blob.kind == _KIND)))
    key = tx.key(image.patient_id)
    for row in tx.session.scalars(_states_of(image)).all():
        if row.label not in known:
            stored = store_file(tx, there.patient_id, BytesIO(tx.files.get(key, row.file)))
            _add_row(tx, there, stored, row.label, row.created_at)


def states_of_image(tx: Transaction, image: StoredImage) -> tuple[bytes, ...]:
    """The files, in the order in which they came."""
    key = tx.key(image.patient_id)
    return tuple(tx.files.get(key, row.file) for row in tx.session.scalars(_states_of(image)))


def _states_of(image: StoredImage) -> Select[Blob]:
    return select(Blob).where(Blob.image_id == image.id, Blob.kind == _KIND).order_by(Blob.id)


def _add_row(tx: Transaction, image: StoredImage, file: StoredFile, label: str, at: datetime) -> None:
    blob = Blob(id=new_id(), patient_id=image.patient_id, image_id=image.id, kind=_KIND, label=label)
    blob.file, blob.size, blob.created_at, blob.created_by = file.name, file.size, at, tx.actor.user_id
    tx.session.add(blob)
    tx.session.flush()


def find_by_uid(tx: Transaction, case_id: str, uids: frozenset[str]) -> StoredImage | None:
    """The first image of a case with one of these SOP Instance UIDs."""
    for image in list_images(tx, case_id):
        if load_metadata(tx, image).identity.instance_uid in uids:
            return image
    return None
