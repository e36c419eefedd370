"""Colour becomes grey, and how much colour there was is measured."""

from __future__ import annotations

from typing import cast

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.uint8] | NDArray[np.uint16]
"""Of an image: (rows, columns) or (rows, columns, 3)."""

_RED, _GREEN, _BLUE = 299, 587, 114
"""Luma of ITU-R BT.601, in thousandths: that of JPEG and of DICOM's YBR_FULL (PS3.3 C.7.6.3.1.2)."""
_BAND = 1 << 20
"""Pixels at a time, so that the wider numbers in between stay in the cache."""


def contiguous(samples: Samples) -> Samples:
    return cast(Samples, np.ascontiguousarray(samples))


def looked_up(table: Samples, samples: Samples) -> Samples:
    return cast(Samples, np.take(table, samples))


def grey_of_rgb(rgb: Samples) -> tuple[Samples, float]:
    """(rows, columns, 3), uint8 or uint16, in grey by BT.601, and the colourfulness, 0 to 1.

    Grey is exactly the channel where the three are equal; colourfulness is the mean absolute difference of
    the three pairs of channels.
    """
    rows, columns, _ = rgb.shape
    grey = np.empty((rows, columns), rgb.dtype)
    deviation = 0
    step = max(1, _BAND // columns)
    for start in range(0, rows, step):
        red, green, blue = (rgb[start : start + step, :, channel].astype(np.int32) for channel in range(3))
        # The three absolute differences together are twice the span.
        span = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
        deviation += int(span.sum(dtype=np.int64))
        grey[start : start + step] = (_RED * red + _GREEN * green + _BLUE * blue + 500) // 1000
    return grey, 2 * deviation / (3 * grey.size * np.iinfo(rgb.dtype).max)


def rgb_of_ybr(ybr: Samples) -> Samples:
    """YBR_FULL, (rows, columns, 3), uint8 or uint16, as RGB (PS3.3 C.7.6.3.1.2)."""
    white = np.iinfo(ybr.dtype).max
    rgb = np.empty_like(ybr)
    step = max(1, _BAND // ybr.shape[1])
    for start in range(0, len(ybr), step):
        luma, blue, red = (ybr[start : start + step, :, channel].astype(np.float32) for channel in range(3))
        blue -= (white + 1) / 2
        red -= (white + 1) / 2
        channels = (luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue)
        for channel, values in enumerate(channels):
            rgb[start : start + step, :, channel] = np.clip(np.rint(values), 0, white)
    return rgb
