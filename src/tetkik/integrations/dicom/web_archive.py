"""Earlier studies of an archive that is asked by DICOMweb: found by QIDO-RS, fetched by WADO-RS (PS3.18)."""

from __future__ import annotations

import re
import time
from io import BytesIO

from pydicom.filereader import read_dataset

from tetkik.imaging.tags import text
from tetkik.integrations.configuration import Configuration, Peer
from tetkik.integrations.dicom.offer import STORAGE_CLASSES, STORAGE_SYNTAXES
from tetkik.integrations.dicom.query import STUDY_KEYS, FoundStudy, found_studies
from tetkik.integrations.dicom.spool import Origin, Spool, now
from tetkik.integrations.dicomweb import DicomwebError, fetch, find, unreadable
from tetkik.settings import Settings

_UID = re.compile(r"(?=.{1,64}\Z)[0-9]+(\.[0-9]+)*")
"""No part of it is `..`, which would lead out of the study."""
_MOST_STUDIES, _MOST_OBJECTS = 1000, 20_000
_LONGEST_META = 64 << 10
_PIECE = 1 << 20


def find_studies(
    systems: Configuration, peer: Peer, patient_id: str, settings: Settings
) -> tuple[FoundStudy, ...]:
    """As `query.find_studies`.

    Raises:
        DicomwebError: it does not answer.
    """
    query = {"PatientID": patient_id, "includefield": ",".join(STUDY_KEYS), "limit": str(_MOST_STUDIES)}
    return found_studies(find(systems, peer, "studies", query, settings), peer)


def fetch_study(
    systems: Configuration, peer: Peer, study_uid: str, settings: Settings, spool: Spool, until: float
) -> int:
    """Bring the objects of a study into the spool, one after the other; gives how many.

    Raises:
        DicomwebError: it does not answer, or gives something else, or not all by then (`time.monotonic`).
        NoRoom, OSError: the disk is full.
    """
    study = f"studies/{_checked(study_uid, peer)}"
    objects = find(systems, peer, f"{study}/instances", {"limit": str(_MOST_OBJECTS)}, settings)
    for one in objects:
        series, uid = (_checked(text(one, name), peer) for name in ("SeriesInstanceUID", "SOPInstanceUID"))
        if time.monotonic() > until:
            raise DicomwebError(
                "{name} gives a study by DICOMweb too slowly; look at its log.", name=peer.name
            )
        place = f"{study}/series/{series}/instances/{uid}"
        for content in fetch(systems, peer, place, spool.longest_object, settings):
            _keep(spool, peer, content)
    return len(objects)


def _checked(uid: str | None, peer: Peer) -> str:
    """A UID (PS3.5, section 9.1), which is to be a part of an address."""
    if uid is None or not _UID.fullmatch(uid):
        raise unreadable(peer)
    return uid


def _keep(spool: Spool, peer: Peer, content: bytes) -> None:
    """Put a file (PS3.10) into the spool by its file meta information; the importer reads the rest of it."""
    if content[128:140] != b"DICM\x02\0\0\0UL\x04\0":
        raise unreadable(peer)
    end = 144 + int.from_bytes(content[140:144], "little")
    try:
        meta = read_dataset(BytesIO(content[144 : min(end, _LONGEST_META)]), False, True)
        kind, uid, syntax = (
            str(meta[name].value)
            for name in ("MediaStorageSOPClassUID", "MediaStorageSOPInstanceUID", "TransferSyntaxUID")
        )
    except Exception:  # pydicom raises whatever hostile bytes lead to
        raise unreadable(peer) from None
    if kind not in STORAGE_CLASSES or syntax not in STORAGE_SYNTAXES:
        raise unreadable(peer)
    coming = spool.receive(Origin(peer.name, peer.ae_title or "", kind, _checked(uid, peer), syntax, now()))
    try:
        for at in range(end, len(content), _PIECE):
            coming.write(content[at : at + _PIECE])
        coming.keep()
    except ValueError:
        raise unreadable(peer) from None
    finally:
        coming.discard()
