"""DICOM files of several frames for tests; each frame tells its number by its grey values."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pydicom
from pydicom import dcmwrite
from pydicom.encaps import encapsulate
from pydicom.uid import RLELossless

from tests.records.pictured import film


@cache
def frames(count: int, *, side: int = 64) -> bytes:
    """Frames without compression; the one with number n is a ramp that ends n above its beginning."""
    dataset = pydicom.dcmread(io.BytesIO(film(0)))
    ramp = np.linspace(0, 200, side * side).astype(np.uint16).reshape(side, side)
    pixels = np.stack([ramp * number for number in range(1, count + 1)])
    dataset.Rows = dataset.Columns = side
    dataset.NumberOfFrames = count
    dataset.PixelData = pixels.tobytes()
    return _written(dataset)


@cache
def one_sound_frame(count: int, sound: int) -> bytes:
    """Compressed frames of which only the one with this number can be decoded."""
    dataset = pydicom.dcmread(io.BytesIO(frames(1)))
    dataset.compress(RLELossless, encoding_plugin="pydicom")
    (whole,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    pieces = [whole if number == sound else b"\xff" * 64 for number in range(1, count + 1)]
    dataset.NumberOfFrames = count
    dataset.PixelData = encapsulate(pieces)
    return _written(dataset)


def _written(dataset: pydicom.Dataset) -> bytes:
    packed = io.BytesIO()
    dcmwrite(packed, dataset)
    return packed.getvalue()
