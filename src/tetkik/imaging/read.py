"""The one way in: a file, of whatever kind and name, becomes a radiograph or one error in a sentence.

What kind it is, its content says; names and their endings are not looked at.
"""

from __future__ import annotations

import codecs
import hashlib
import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from tetkik.errors import InputError, TetkikError, file_fault
from tetkik.imaging.limits import check_bytes, read_file, suppress_library_warnings
from tetkik.settings import settings
from tetkik.values.radiograph import Radiograph

# What a file is, as far as its first bytes tell; nothing is decoded.


_DIRECTORY = b"1.2.840.10008.1.3.10\x02\x00"
"""Media Storage Directory Storage as the SOP class, and the group of the element behind it."""
_ARCHIVES = (b"PK\x03\x04", b"PK\x05\x06", b"Rar!", b"7z\xbc\xaf\x27\x1c", b"\x1f\x8b", b"\xfd7zXZ", b"BZh")
_PROGRAMS = (
    b"MZ",
    b"\x7fELF",
    *(bytes.fromhex(mark) for mark in ("feedface", "feedfacf", "cefaedfe", "cffaedfe", "cafebabe")),
)


class ImageKind(StrEnum):
    DICOM = "dicom"
    PICTURE = "picture"
    """PNG, JPEG or TIFF."""
    ARCHIVE = "archive"
    PROGRAM = "program"
    """Of Windows (PE), Linux (ELF) or macOS (Mach-O)."""
    OTHER = "other"
    """Anything else; the DICOMDIR of a CD (PS3.10 8.6), which lists its files and has no image, as well."""


def kind_of(head: bytes) -> ImageKind:
    """What begins like this, the first kibibyte of a file or all of it."""
    # Pillow and pydicom are loaded when an image is looked at, and not when this module is.
    from tetkik.imaging.dicom import is_dicom, is_marked
    from tetkik.imaging.raster import raster_format

    if is_marked(head):
        return ImageKind.OTHER if _DIRECTORY in head else ImageKind.DICOM
    if raster_format(head) is not None:
        return ImageKind.PICTURE
    if head.startswith(_ARCHIVES):
        return ImageKind.ARCHIVE
    if head.startswith(_PROGRAMS):
        return ImageKind.PROGRAM
    return ImageKind.DICOM if is_dicom(head) else ImageKind.OTHER


_LATE = (
    *("numpy.fft", "numpy.ma", "pydicom.filewriter", "pydicom.overlays"),
    *("PIL.ImageCms", "PIL.ImageColor", "PIL.ImagePalette", "PIL.MpoImagePlugin", "PIL.TiffImagePlugin"),
)
"""What libraries import only where a file asks for it."""


def read_image(path: Path | str, *, frame: int | None = None) -> Radiograph:
    """The image in the file at `path`: DICOM, PNG, JPEG or TIFF.

    Args:
        frame: which of several frames or pages, counted from 1; None takes the middle frame of a DICOM file
            and the first page of a TIFF.

    Raises:
        InputError: there is no such file, it is no image, it is damaged or hostile, or it is of a kind that
            cannot be read; the sentence names the file.
    """
    return read_bytes(read_file(Path(path)), str(path), frame=frame)


def read_bytes(data: bytes, name: str, *, frame: int | None = None) -> Radiograph:
    """The image in `data`, the content of a file; frame and errors as for `read_image`."""
    if not data:
        raise InputError("{file} is empty; fetch or export it again.", file=name)
    check_bytes(len(data), name)
    # Pillow and pydicom are loaded when an image is read, and not when this module is.
    from tetkik.imaging.dicom import is_dicom, is_marked, read_dicom
    from tetkik.imaging.raster import raster_format, read_raster

    sha256 = hashlib.sha256(data).hexdigest()
    try:
        with suppress_library_warnings():
            # A preamble may be any other format's head (PS3.10 7.1), so DICOM's mark decides before theirs.
            if not is_marked(data) and (kind := raster_format(data)) is not None:
                image = read_raster(data, kind, sha256, name, frame)
            elif is_dicom(data):
                image = read_dicom(data, sha256, name, frame)
            else:
                raise InputError(
                    "{file} is neither DICOM nor PNG, JPEG or TIFF; export the image as one of them.",
                    file=name,
                )
    except MemoryError:
        raise InputError(
            "{file} needs more memory than there is; free some, or export it smaller.", file=name
        ) from None
    return image


def load_readers() -> None:
    """Load now what reading needs, to the last module: before files can be opened no more."""
    from PIL import Image
    from pydicom.charset import python_encoding

    from tetkik.imaging.decoders import load_decoders
    from tetkik.imaging.dicom import read_dicom  # noqa: F401
    from tetkik.imaging.raster import read_raster  # noqa: F401

    for module in _LATE:
        importlib.import_module(module)
    for encoding in {*python_encoding.values(), "utf-16", "utf-16-le", "utf-16-be", "cp1252"}:
        codecs.lookup(encoding)
    Image.preinit()
    load_decoders()
    settings()
    str(InputError("{file} is empty; fetch or export it again.", file=1))


@contextmanager
def one_file(name: str) -> Iterator[None]:
    """Whatever a hostile or broken file makes a decoder do here costs it alone, as an `InputError`."""
    try:
        yield
    except TetkikError:
        raise
    except OSError as error:
        error.filename = error.filename or name
        raise file_fault(error) from None
    except MemoryError:
        raise InputError(
            "{file} needs more memory than there is; leave it out, or convert it to a smaller image.",
            file=name,
        ) from None
    except Exception as fault:
        raise InputError(
            "{file} could not be read ({fault}); look at it in another viewer, "
            "and convert it if it opens there.",
            file=name,
            fault=type(fault).__name__,
        ) from fault
