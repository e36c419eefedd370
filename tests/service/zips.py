"""Zips for tests: sound ones, a patient's CD, and hostile ones."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from functools import cache

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from tests.records.pictured import film

Entry = tuple[str, bytes]


def zipped(entries: Iterable[Entry], packing: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip of these, in this order; a name may come twice."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", packing) as archive:
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name), content, packing)
    return packed.getvalue()


@cache
def directory() -> bytes:
    """A DICOMDIR."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    dataset.FileSetID = "CD"
    packed = io.BytesIO()
    dcmwrite(packed, dataset, enforce_file_format=True)
    return packed.getvalue()


def cd(*films: bytes) -> list[Entry]:
    """What lies on a patient's CD: images without endings, a directory, a viewer with icons, a leaflet."""
    images = [(f"DICOM/PA000001/ST000001/IM{number:06}", one) for number, one in enumerate(films)]
    return [
        ("DICOMDIR", directory()),
        ("README.TXT", b"Bu CD'de goruntuleriniz var.\r\n"),
        ("autorun.inf", b"[autorun]\r\n"),
        ("VIEWER/viewer.exe", b"MZ" + bytes(3000)),
        ("VIEWER/help/logo.png", b"\x89PNG\r\n\x1a\n" + bytes(200)),
        ("VIEWER/lib/codec.jar", zipped([("a.class", b"\xca\xfe\xba\xbe")])),
        *images,
    ]


def two_films() -> bytes:
    """A CD with two films of one patient."""
    return zipped(cd(film(0), film(0, side=128)))
