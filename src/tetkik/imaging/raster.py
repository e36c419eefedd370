"""PNG, JPEG and TIFF become a radiograph."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tetkik.errors import InputError
from tetkik.imaging.decoders import MOST_SCANS, Samples, contiguous, grey_of_rgb
from tetkik.imaging.limits import check_pixels, damaged
from tetkik.imaging.photo import straighten
from tetkik.language import Sentence
from tetkik.values import FileFormat, Radiograph

_MARKS = {
    b"\x89PNG\r\n\x1a\n": FileFormat.PNG,
    b"\xff\xd8\xff": FileFormat.JPEG,
    b"II*\0": FileFormat.TIFF,
    b"MM\0*": FileFormat.TIFF,
    b"II+\0": FileFormat.TIFF,
    b"MM\0+": FileFormat.TIFF,
}
_PHOTOMETRIC, _TILE_WIDTH, _TILE_LENGTH, _MAKE, _MODEL, _ORIENTATION = 262, 322, 323, 271, 272, 274
_WIDE = ("I", "I;16", "I;16L", "I;16B", "I;16N")
_DEPTHS = (8, 10, 12, 14, 16)
COLOUR_OF_JPEG = 0.002
"""The least colour that a camera sees in a film. What less of it an export holds is from JPEG."""


def raster_format(data: bytes) -> FileFormat | None:
    """Which raster format `data` is in, by its first bytes."""
    return next((kind for mark, kind in _MARKS.items() if data.startswith(mark)), None)


def read_raster(
    data: bytes, kind: FileFormat, sha256: str, file: str, frame: int | None = None
) -> Radiograph:
    """The radiograph in `data`: the page of that number of a TIFF, from 1, or the first."""
    decoded = decode_raster(data, kind, file, frame)
    white, notes = decoded.white, decoded.notes
    pixels, colour = (decoded.pixels, 0.0) if decoded.pixels.ndim == 2 else grey_of_rgb(decoded.pixels)
    film = None
    if kind is not FileFormat.TIFF and white == 0xFF and (decoded.has_camera or colour > COLOUR_OF_JPEG):
        film = straighten(decoded.in_colour(), decoded.has_camera)
    if film is not None:
        pixels, white, notes = film.pixels, 0xFF, (film.note,)
    return Radiograph(
        pixels=pixels,
        white=white,
        file_format=kind,
        sha256=sha256,
        colour=colour,
        notes=notes,
        degraded=film is not None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A raster file as it is stored, turned as it is meant to be looked at.

    Grey is (rows, columns), uint8 or uint16, and colour (rows, columns, 3), uint8; `mode` is Pillow's.
    """

    pixels: Samples
    white: int
    notes: tuple[Sentence, ...] = ()
    has_camera: bool = False
    mode: str = ""

    def in_colour(self) -> NDArray[np.uint8]:
        """(rows, columns, 3), uint8, of an image of 8 bits."""
        pixels = self.pixels.astype(np.uint8, copy=False)
        return np.stack([pixels] * 3, axis=-1) if pixels.ndim == 2 else pixels


def decode_raster(data: bytes, kind: FileFormat, file: str, frame: int | None = None) -> Decoded:
    """The pixels in `data`, of the page as for `read_raster`; what is transparent is black.

    A file of 16 bits says nothing of how many it uses, and a detector of 12 bits saved in 16 is nearly black:
    the fewest of 8, 10, 12, 14 and 16 bits that hold the brightest pixel are taken.
    """
    if kind is FileFormat.JPEG and data.count(b"\xff\xda") > MOST_SCANS:
        # Each scan of a progressive JPEG goes over the whole image, and may be a few bytes long.
        raise damaged(file)
    try:
        page, page_note = _page(data, kind, frame, file)
        with Image.open(BytesIO(data), formats=(kind.upper(),)) as image:
            image.seek(page)
            check_pixels(image.height, image.width, file)
            _check_tiles(image, file)
            # As TIFF is loaded Pillow turns it already, and takes the tag away.
            image.load()
            decoded, mode = _decoded(image, file), image.mode
            orientation, has_camera = _exif(image)
    except (InputError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise InputError(
            "{file} says that it has more pixels than any limit allows; export it again.", file=file
        ) from None
    except UnidentifiedImageError:
        raise InputError(
            "{file} is a {kind} file that is damaged or of a rare kind; export it again in 8 or 16 bits.",
            file=file,
            kind=kind.upper(),
        ) from None
    except Exception:  # Of a damaged file Pillow raises whatever its bytes lead to.
        raise damaged(file) from None
    return replace(
        decoded,
        pixels=_upright(decoded.pixels, orientation),
        notes=(*page_note, *decoded.notes),
        has_camera=has_camera,
        mode=mode,
    )


def _page(data: bytes, kind: FileFormat, frame: int | None, file: str) -> tuple[int, tuple[Sentence, ...]]:
    """The page asked for, counted from 0, and what is to be said where there are several.

    What a JPEG or a PNG holds beside its picture is a preview, a map of depth or an animation.
    """
    number = 1 if frame is None else frame
    if number < 1 or (number > 1 and not _has_page(data, kind, number - 1)):
        raise InputError("{file} has no page {frame}; choose an earlier one.", file=file, frame=number)
    # To count them all, a hostile file would have to be followed for long.
    if number == 1 and not _has_page(data, kind, 1):
        return 0, ()
    return number - 1, (Sentence("The file has several pages; this is page {frame}.", {"frame": number}),)


def _has_page(data: bytes, kind: FileFormat, index: int) -> bool:
    """Tried on an image of its own: Pillow counts a page that it did not find, and then finds another."""
    if kind is not FileFormat.TIFF:
        return False
    with Image.open(BytesIO(data), formats=(kind.upper(),)) as image:
        try:
            image.seek(index)
        except EOFError:
            return False
    return True


def _check_tiles(image: Image.Image, file: str) -> None:
    """A tile larger than the image is a memory bomb that the image's size does not show."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None and _TILE_WIDTH in tags and _TILE_LENGTH in tags:
        check_pixels(int(tags[_TILE_LENGTH]), int(tags[_TILE_WIDTH]), file)


def _exif(image: Image.Image) -> tuple[int, bool]:
    """Orientation, 1 to 8, and whether a camera is named; upright and none where EXIF cannot be read."""
    with suppress(Exception):
        exif = image.getexif()
        return int(exif.get(_ORIENTATION, 1)), bool(exif.get(_MAKE) or exif.get(_MODEL))
    return 1, False


def _upright(image: Samples, orientation: int) -> Samples:
    upright = image.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else image
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    return contiguous(upright)


def _decoded(image: Image.Image, file: str) -> Decoded:
    if image.mode in _WIDE:
        return _wide(image, file)
    if image.mode == "F":
        raise _unsupported(image, file)
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return Decoded(np.asarray(image.convert("L")), 0xFF)
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        seen = image.convert("RGBA")
        colours = Image.new("RGB", image.size)
        colours.paste(seen, mask=seen.getchannel("A"))
    else:
        colours = image.convert("RGB")
    return Decoded(np.asarray(colours), 0xFF)


def _wide(image: Image.Image, file: str) -> Decoded:
    found = wide_pixels(image)
    if found is None:
        raise _unsupported(image, file)
    grey, bits = found
    note = Sentence(
        "The file has room for 16 bits a pixel and uses {bits}; they are its range.", {"bits": bits}
    )
    return Decoded(grey, (1 << bits) - 1, notes=(note,) if bits < 16 else ())


def wide_pixels(image: Image.Image) -> tuple[NDArray[np.uint16], int] | None:
    """The pixels of an image of more than 8 bits, 0 for black, and the bits that they take; None where 16 do
    not hold them.
    """
    pixels = np.asarray(image)
    if pixels.dtype.itemsize > 2 and not 0 <= pixels.min() <= pixels.max() <= 0xFFFF:
        return None
    grey: NDArray[np.uint16] = pixels.astype(np.uint16)
    bits = next(depth for depth in _DEPTHS if int(grey.max()) < 1 << depth)
    # Pillow inverts up to 8 bits alone.
    if (getattr(image, "tag_v2", None) or {}).get(_PHOTOMETRIC) == 0:
        grey = np.uint16((1 << bits) - 1) - grey
    return grey, bits


def _unsupported(image: Image.Image, file: str) -> InputError:
    return InputError(
        "{file} has pixels of a kind that cannot be read ({mode}); export it in 8 or 16 bits.",
        file=file,
        mode=image.mode,
    )
