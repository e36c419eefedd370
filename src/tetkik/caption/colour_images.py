"""A file becomes a picture in colour, safely: for the shards and for `caption predict` alike.

`tetkik.imaging` reads radiographs and makes them grey. What illustrates an article may be a colour Doppler or
a fused PET, so PNG, JPEG and TIFF keep their colours here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tetkik.errors import InputError
from tetkik.imaging.library_warnings import suppress_library_warnings
from tetkik.imaging.limits import check_bytes
from tetkik.imaging.raster import COLOUR_OF_JPEG, decode_raster, raster_format
from tetkik.imaging.read import read_bytes
from tetkik.language import Sentence

_GREYED = Sentence("The colours of this DICOM file are read as grey.")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A decoded picture in RGB, what was transparent in black, and nothing of what it says of its patient.

    `mode` is Pillow's name of how the file stores it; notes are what a reader must know.
    """

    image: Image.Image
    mode: str
    notes: tuple[Sentence, ...] = ()


def open_picture(data: bytes, file: str) -> Picture:
    """The picture in `data`: PNG, JPEG, TIFF or DICOM.

    A raster file of 8 bits keeps its colours, as Pillow decodes them. One of more bits, and every DICOM file,
    becomes what a screen would show of it (PS3.4 N.2.1), in grey: with its window, or the range that it uses.
    """
    if (kind := raster_format(data)) is None:
        read = read_bytes(data, file)
        greyed = (_GREYED,) if read.colour > COLOUR_OF_JPEG else ()
        mode = "L" if read.white <= 0xFF else "I;16"
        return Picture(_grey(read.pixels, read.white), mode, (*read.notes, *greyed))
    check_bytes(len(data), file)
    try:
        with suppress_library_warnings():
            decoded = decode_raster(data, kind, file)
    except MemoryError:
        raise InputError(
            "{file} needs more memory than there is; free some, or export it smaller.", file=file
        ) from None
    if decoded.white == 0xFF:
        return Picture(Image.fromarray(decoded.in_colour()), decoded.mode, decoded.notes)
    return Picture(_grey(decoded.pixels, decoded.white), decoded.mode, decoded.notes)


def _grey(pixels: NDArray[np.uint8] | NDArray[np.uint16], white: int) -> Image.Image:
    shades = np.rint(pixels.astype(np.float32) * (np.float32(0xFF) / np.float32(white)))
    return Image.fromarray(shades.astype(np.uint8)).convert("RGB")
