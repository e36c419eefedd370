"""Presentation states that came as files: kept beside the image that they are about, sealed like it."""

from __future__ import annotations

from hashlib import sha256
from io import BytesIO

from sqlalchemy import select

from tetkik.errors import InputError
from tetkik.records.audit_chain import Action
from tetkik.records.database import Transaction
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
    blob = Blob(id=new_id(), patient_id=image.patient_id, image_id=image.id, kind=_KIND, label=label)
    blob.file, blob.size, blob.created_at = stored.name, stored.size, tx.now
    tx.session.add(blob)
    tx.session.flush()
    whose = {"case_id": image.case_id, "patient_id": image.patient_id}
    tx.audit(Action.IMAGE_UPLOADED, **whose, object_id=image.id, size=stored.size, format=_KIND)
    return True


def states_of_image(tx: Transaction, image: StoredImage) -> tuple[bytes, ...]:
    """The files, in the order in which they came."""
    found = select(Blob.file).where(Blob.image_id == image.id, Blob.kind == _KIND).order_by(Blob.id)
    key = tx.key(image.patient_id)
    return tuple(tx.files.get(key, file) for file in tx.session.scalars(found))


def find_by_uid(tx: Transaction, case_id: str, uids: frozenset[str]) -> StoredImage | None:
    """The first image of a case with one of these SOP Instance UIDs."""
    for image in list_images(tx, case_id):
        if load_metadata(tx, image).identity.instance_uid in uids:
            return image
    return None
