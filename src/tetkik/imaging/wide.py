"""Grey of more than 16 bits (maps of doses, floating point) and such colour become words of 16."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.imaging.dicom_frame import WideFrame
from tetkik.imaging.greyscale import Grey, Values, Words, interest_of, modality_of
from tetkik.imaging.tags import FrameTags, numbers

WORDS = Words(16, 16, 15, signed=False)
_LEVELS = 65_534
"""Of a frame; the lowest word is for what is no image."""
_BAND = 1 << 20
"""Samples at a time, so that no second copy in float64 is needed."""
_MOST_TO_SEARCH = 1 << 26
"""Samples of a file whose whole range is looked for, so that every frame has the same one."""
_LARGEST = 1e30
"""Beyond it a number is no measurement, and would overflow on its way."""


def narrowed(frame: WideFrame, tags: FrameTags, *, inverted: bool) -> tuple[NDArray[np.uint16], Grey]:
    """(rows, columns), uint16: 0 is no image, and from 1 on words are even steps over the range of the file.

    Of a compressed file, or a very large one, over that of the frame. Integers within 65,534 of each other
    stay exact.
    """
    padding = _padding(tags, frame)
    flat = np.ascontiguousarray(frame.samples).ravel()
    whole = frame.every is not None and frame.every.size <= _MOST_TO_SEARCH
    low, high = _range(frame.every if whole and frame.every is not None else flat, frame, padding)
    step = (high - low) / _LEVELS
    if frame.samples.dtype.kind == "u" and high - low <= _LEVELS:
        step = 1.0
    step = step or 1.0
    words = np.empty(flat.shape, np.uint16)
    for start in range(0, flat.size, _BAND):
        levels = (_values(flat[start : start + _BAND], frame, padding) - low) / step
        words[start : start + _BAND] = np.nan_to_num(np.clip(np.rint(levels), 0, _LEVELS) + 1)
    own, rescale = modality_of(tags, frame.words)
    first = low - step
    interest, window = interest_of(tags, negative=low < 0)
    if rescale is not None:
        rescale = (rescale[0] * step, rescale[0] * first + rescale[1])
    grey = Grey(
        words=WORDS,
        modality=lambda values: own(first + step * values),
        interest=interest,
        inverted=inverted,
        padding=(0, 0),
        rescale=rescale,
        window=window,
        highest=round((high - low) / step) + 1,
    )
    return words.reshape(frame.samples.shape), grey


def narrowed_colour(frame: WideFrame) -> NDArray[np.uint16]:
    """(rows, columns, 3), uint16, over its whole range: the 16 bits from the highest that is stored."""
    words = frame.words
    shift = words.high + 1 - 16
    samples = frame.samples >> np.uint32(shift) if shift > 0 else frame.samples << np.uint32(-shift)
    return np.ascontiguousarray(samples.astype(np.uint16))


def _padding(tags: FrameTags, frame: WideFrame) -> tuple[float, float] | None:
    """The lowest and the highest stored value that is no image (PS3.3 C.7.5.1.1.2)."""
    prefix = {"u4": "", "f4": "Float", "f8": "DoubleFloat"}[frame.samples.dtype.str[1:]]
    first = numbers(tags.dataset, f"{prefix}PixelPaddingValue")
    last = numbers(tags.dataset, f"{prefix}PixelPaddingRangeLimit")
    if not first:
        return None
    ends = [first[0], (last or first)[0]]
    if not prefix:
        ends = [float(frame.words.stored_of(int(end))) for end in ends]
    return min(ends), max(ends)


def _values(samples: NDArray[Any], frame: WideFrame, padding: tuple[float, float] | None) -> Values:
    """The stored values, float64; not a number for what is no image."""
    is_float = samples.dtype.kind == "f"
    values: Values = (samples if is_float else frame.words.stored_in(samples)).astype(np.float64)
    if padding is not None:
        values[(padding[0] <= values) & (values <= padding[1])] = np.nan
    if is_float:
        values[~(np.abs(values) <= _LARGEST)] = np.nan
    return values


def _range(
    samples: NDArray[Any], frame: WideFrame, padding: tuple[float, float] | None
) -> tuple[float, float]:
    low, high = np.inf, -np.inf
    for start in range(0, samples.size, _BAND):
        values = _values(samples[start : start + _BAND], frame, padding)
        low = float(np.fmin.reduce(values, initial=low))
        high = float(np.fmax.reduce(values, initial=high))
    return (low, high) if low <= high else (0.0, 0.0)
