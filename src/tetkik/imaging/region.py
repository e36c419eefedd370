"""The values of the pixels in a region of interest, as the file means them: what a mean is the mean of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRBigEndian

from tetkik.errors import InputError
from tetkik.imaging.dicom import is_dicom, parse_dicom
from tetkik.imaging.dicom_pixels import grey_of, read_frame, read_layout
from tetkik.imaging.read import one_file, read_bytes
from tetkik.imaging.tags import FrameTags, items, numbers, text
from tetkik.values import MeasurementKind, RegionStatistics
from tetkik.values.measurement import Point

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
