"""What a file is, as far as its first bytes tell; nothing is decoded."""

from __future__ import annotations

from enum import StrEnum

_DIRECTORY = b"1.2.840.10008.1.3.10\x02\x00"
"""Media Storage Directory Storage as the SOP class, and the group of the element behind it."""
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"\xfd7zXZ", b"BZh")
_PROGRAMS = (
    b"MZ",
    b"\x7fELF",
    *(bytes.fromhex(mark) for mark in ("feedface", "feedfacf", "cefaedfe", "cffaedfe", "cafebabe")),
)


class Kind(StrEnum):
    DICOM = "dicom"
    PICTURE = "picture"
    """PNG, JPEG or TIFF."""
    ARCHIVE = "archive"
    PROGRAM = "program"
    """Of Windows (PE), Linux (ELF) or macOS (Mach-O)."""
    OTHER = "other"
    """Anything else; the DICOMDIR of a CD (PS3.10 8.6), which lists its files and has no image, as well."""


def kind_of(head: bytes) -> Kind:
    """What begins like this, the first kibibyte of a file or all of it."""
    # Pillow and pydicom are loaded when an image is looked at, and not when this module is.
    from tetkik.imaging.dicom import is_dicom, is_marked
    from tetkik.imaging.raster import raster_format

    if is_marked(head):
        return Kind.OTHER if _DIRECTORY in head else Kind.DICOM
    if raster_format(head) is not None:
        return Kind.PICTURE
    if head.startswith(_ARCHIVES):
        return Kind.ARCHIVE
    if head.startswith(_PROGRAMS):
        return Kind.PROGRAM
    return Kind.DICOM if is_dicom(head) else Kind.OTHER
