"""An image as a report shows it: in the window that the radiologist looked through, as a PNG of 8 bits."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRBigEndian

from tetkik.errors import InputError
from tetkik.imaging.dicom import is_dicom, parse_dicom
from tetkik.imaging.dicom_pixels import grey_of, read_frame, read_layout
from tetkik.imaging.read import one_file, read_bytes
from tetkik.imaging.tags import FrameTags, items, numbers, text
from tetkik.values.measurement import MeasurementKind, Point, RegionStatistics
from tetkik.values.radiograph import Radiograph

# The values of the pixels in a region of interest, as the file means them: what a mean is the mean of.


_DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Region:
    """Which pixels of a file: `frame` counted from 1; `points` as a measurement of that kind has them."""

    kind: MeasurementKind
    points: tuple[Point, ...]
    frame: int = 1


def measure_region(request: tuple[bytes, str, Region]) -> RegionStatistics:
    """The statistics of a region of a file's content, with the name that an error gives the file.

    Of a grey DICOM file the stored values after the modality transformation (PS3.3, section C.11.1), whatever
    window is looked through; padding is no image. Of colour, and of other files, the grey that is shown.
    """
    content, name, region = request
    with one_file(name):
        values, hounsfield = _values(content, name, region.frame)
    top, left, mask = _mask(region, values.shape)
    found = values[top : top + mask.shape[0], left : left + mask.shape[1]][mask]
    found = found[np.isfinite(found)]
    if not found.size:
        raise InputError("No pixel of the image lies in this region; draw it larger.")
    figures = (found.mean(), found.std(), found.min(), found.max())
    mean, deviation, least, most = (round(float(one), _DECIMALS) for one in figures)
    return RegionStatistics(int(found.size), mean, deviation, least, most, hounsfield)


def _values(content: bytes, name: str, frame: int) -> tuple[NDArray[np.float64], bool]:
    """(rows, columns) with NaN for padding; and whether they are Hounsfield units."""
    if is_dicom(content):
        dataset, syntax = parse_dicom(content, name)
        layout = read_layout(dataset, syntax, name)
        if layout.samples == 1 and layout.photometric != "PALETTE COLOR":
            tags = FrameTags(dataset, frame - 1, big_endian=syntax == ExplicitVRBigEndian)
            read = read_frame(dataset, layout, frame - 1, name)
            grey = grey_of(tags, read.words, inverted=False)
            stored = read.words.stored()
            values = grey.modality(stored.astype(np.float64))
            if grey.padding is not None:
                values = np.where((grey.padding[0] <= stored) & (stored <= grey.padding[1]), np.nan, values)
            return values[read.samples], is_hounsfield(tags)
    return read_bytes(content, name, frame=frame).pixels.astype(np.float64), False


def is_hounsfield(tags: FrameTags) -> bool:
    """Whether the values after the rescale are Hounsfield units: of a CT, unless the file says otherwise."""
    if (text(tags.dataset, "Modality") or "").upper() != "CT" or items(tags.dataset, "ModalityLUTSequence"):
        return False
    holder = tags.holder("RescaleSlope", "PixelValueTransformationSequence")
    return bool(numbers(holder, "RescaleSlope")) and (text(holder, "RescaleType") or "HU").upper() == "HU"


def _mask(region: Region, shape: tuple[int, ...]) -> tuple[int, int, NDArray[np.bool_]]:
    """The first row and column of the pixels around a region, and which of them have their middle in it."""
    (one, two) = region.points
    (left, right), (top, bottom) = sorted((one[0], two[0])), sorted((one[1], two[1]))
    rows, columns = shape[:2]
    first_row, last_row = max(0, int(top)), min(rows, int(np.ceil(bottom)))
    first_column, last_column = max(0, int(left)), min(columns, int(np.ceil(right)))
    down = np.arange(first_row, max(first_row, last_row))[:, None] + 0.5
    across = np.arange(first_column, max(first_column, last_column))[None, :] + 0.5
    if region.kind is MeasurementKind.RECTANGLE:
        inside = (top <= down) & (down <= bottom) & (left <= across) & (across <= right)
    else:
        high, wide = max(bottom - top, 1e-9) / 2, max(right - left, 1e-9) / 2
        inside = ((down - (top + bottom) / 2) / high) ** 2 + ((across - (left + right) / 2) / wide) ** 2 <= 1
    return first_row, first_column, inside


_LONGEST = 1200
"""Pixels of the longer side: a hundred millimetres of paper at 300 to the inch."""


@dataclass(frozen=True, slots=True)
class ShownWindow:
    """What a viewer shows of an image, in parts of its white; the whole range by itself."""

    centre: float = 0.5
    width: float = 1.0
    inverted: bool = False


def key_picture(image: Radiograph, window: ShownWindow | None = None) -> bytes:
    """The image with square pixels, at most 1,200 on its longer side."""
    from PIL import Image

    window = window or ShownWindow()
    levels = np.arange(image.white + 1) / image.white
    shades = np.clip((levels - window.centre) / max(window.width, 1e-4) + 0.5, 0, 1)
    table = np.round((1 - shades if window.inverted else shades) * 255).astype(np.uint8)
    picture = Image.fromarray(table[image.pixels])
    row, column = image.spacing or (1.0, 1.0)
    width, height = image.columns * max(1.0, column / row), image.rows * max(1.0, row / column)
    scale = min(1.0, _LONGEST / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    packed = io.BytesIO()
    picture.save(packed, "PNG", compress_level=3)
    return packed.getvalue()
