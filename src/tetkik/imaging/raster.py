"""PNG, JPEG and TIFF become a radiograph."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from tetkik.errors import InputError
from tetkik.imaging.codestream import MOST_SCANS
from tetkik.imaging.colour import Samples, grey_of_rgb
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
_TINGE = 0.002
"""Of colour: the least that a camera sees in a film. What an export holds of it is from JPEG."""
AnySamples = TypeVar("AnySamples", Samples, NDArray[np.uint8])


def raster_format(data: bytes) -> FileFormat | None:
    """Which raster format `data` is in, by its first bytes."""
    return next((kind for mark, kind in _MARKS.items() if data.startswith(mark)), None)


def read_raster(
    data: bytes, kind: FileFormat, sha256: str, file: str, frame: int | None = None
) -> Radiograph:
    """The radiograph in `data`.

    A file of 16 bits says nothing of how many it uses, and a detector of 12 bits saved in 16 is nearly black:
    the fewest of 8, 10, 12, 14 and 16 bits that hold the brightest pixel are taken. What is transparent is
    black.

    Args:
        data: the whole file.
        kind: its format.
        sha256: of it.
        file: its name, for errors.
        frame: the page of a TIFF, counted from 1; None takes the first.

    Raises:
        InputError: damaged, cut short, too large, or of a kind that cannot be read.
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
            decoded = _decoded(image, file)
            orientation, has_camera = _exif(image)
    except (InputError, MemoryError):
        raise
    except Image.DecompressionBombError:
        raise _too_large(file) from None
    except UnidentifiedImageError:
        raise InputError(
            "{file} is a {kind} file that is damaged or of a rare kind; export it again in 8 or 16 bits.",
            file=file,
            kind=kind.upper(),
        ) from None
    except Exception:  # Of a damaged file Pillow raises whatever its bytes lead to.
        raise damaged(file) from None
    pixels, white, notes = _upright(decoded.grey, orientation), decoded.white, decoded.notes
    film = None
    if kind is not FileFormat.TIFF and white == 0xFF and (has_camera or decoded.colour > _TINGE):
        film = straighten(_upright(decoded.in_colour(), orientation), has_camera)
    if film is not None:
        pixels, white, notes = film.pixels, 0xFF, (film.note,)
    return Radiograph(
        pixels=pixels,
        white=white,
        file_format=kind,
        sha256=sha256,
        colour=decoded.colour,
        notes=(*page_note, *notes),
        degraded=film is not None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    """A raster file as it is stored.

    Attributes:
        grey: (rows, columns), uint8 or uint16.
        white: the value of white.
        colour: how much there was.
        rgb: (rows, columns, 3), uint8, where the file has colour.
        notes: what is to be said.
    """

    grey: Samples
    white: int
    colour: float = 0.0
    rgb: NDArray[np.uint8] | None = None
    notes: tuple[Sentence, ...] = ()

    def in_colour(self) -> NDArray[np.uint8]:
        """(rows, columns, 3), uint8, of an image of 8 bits."""
        return np.stack([self.grey.astype(np.uint8)] * 3, axis=-1) if self.rgb is None else self.rgb


def _too_large(file: str) -> InputError:
    return InputError(
        "{file} says that it has more pixels than any limit allows; export it again.",
        file=file,
    )


def _page(data: bytes, kind: FileFormat, frame: int | None, file: str) -> tuple[int, tuple[Sentence, ...]]:
    """The page asked for, counted from 0, and what is to be said where there are several.

    What a JPEG or a PNG holds beside its picture is a preview, a map of depth or an animation.
    """
    asked = 1 if frame is None else frame
    if asked < 1 or (asked > 1 and not _has_page(data, kind, asked - 1)):
        raise InputError("{file} has no page {frame}; choose an earlier one.", file=file, frame=asked)
    # To count them all, a hostile file would have to be followed for long.
    if asked == 1 and not _has_page(data, kind, 1):
        return 0, ()
    return asked - 1, (Sentence("The file has several pages; this is page {frame}.", {"frame": asked}),)


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
    """Orientation, 1 to 8, and whether a camera is named.

    Upright and none where EXIF is not to be made out: that is no reason to refuse an image.
    """
    with suppress(Exception):
        exif = image.getexif()
        return int(exif.get(_ORIENTATION, 1)), bool(exif.get(_MAKE) or exif.get(_MODEL))
    return 1, False


def _upright(image: AnySamples, orientation: int) -> AnySamples:
    """The image as EXIF means it to be looked at."""
    upright = image.swapaxes(0, 1) if orientation in (5, 6, 7, 8) else image
    if orientation in (3, 4, 7, 8):
        upright = upright[::-1]
    if orientation in (2, 3, 6, 7):
        upright = upright[:, ::-1]
    return cast(AnySamples, np.ascontiguousarray(upright))


def _decoded(image: Image.Image, file: str) -> _Decoded:
    if image.mode in _WIDE:
        return _wide(image, file)
    if image.mode == "F":
        raise _unsupported(image, file)
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return _Decoded(np.asarray(image.convert("L")), 0xFF)
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        seen = image.convert("RGBA")
        colours = Image.new("RGB", image.size)
        colours.paste(seen, mask=seen.getchannel("A"))
    else:
        colours = image.convert("RGB")
    rgb = np.asarray(colours)
    grey, colour = grey_of_rgb(rgb)
    return _Decoded(grey, 0xFF, colour, rgb)


def _wide(image: Image.Image, file: str) -> _Decoded:
    """16 bits a pixel."""
    pixels = np.asarray(image)
    if pixels.dtype.itemsize > 2 and not 0 <= pixels.min() <= pixels.max() <= 0xFFFF:
        raise _unsupported(image, file)
    grey: NDArray[np.uint16] = pixels.astype(np.uint16)
    bits = next(depth for depth in _DEPTHS if int(grey.max()) < 1 << depth)
    white = (1 << bits) - 1
    # Pillow inverts up to 8 bits alone.
    if (getattr(image, "tag_v2", None) or {}).get(_PHOTOMETRIC) == 0:
        grey = np.uint16(white) - grey
    said = Sentence(
        "The file has room for 16 bits a pixel and uses {bits}; they are its range.", {"bits": bits}
    )
    return _Decoded(grey, white, notes=(said,) if bits < 16 else ())


def _unsupported(image: Image.Image, file: str) -> InputError:
    return InputError(
        "{file} has pixels of a kind that cannot be read ({mode}); export it in 8 or 16 bits.",
        file=file,
        mode=image.mode,
    )
