"""Stored values become shades of grey: what a radiologist's screen would show, as one table.

The steps are those of PS3.4 N.2.1: modality transformation (rescale or table), values of interest (VOI table
or window), photometric interpretation. They are done to a table of the 65,536 words at most, and the pixels
are looked up once. **The window is applied for the network too:** the public sets that models are taught on
are 8-bit exports that had theirs applied, and it is what the radiologist saw when the label was given. Where
a file has none, the range that its pixels use is mapped, without the thousandth at either end. Presentation
LUT Shape is not looked at: where it is right it repeats the photometric interpretation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from tetkik.imaging.tags import FrameTags, items, numbers, text, value, whole

Values = NDArray[np.float64]
Transformation = Callable[[Values], Values]

_TAIL = 0.001
"""Of the pixels, at either end of the range of an image without a window."""
_TIE = 1e-6
"""Shades that are a half but for the error of float64 are rounded one way, so that MONOCHROME1 and
MONOCHROME2 agree."""


@dataclass(frozen=True, slots=True)
class Words:
    """How a word of 8, 16 or 32 bits of the pixel data holds a stored value (PS3.5 8.1.1)."""

    size: int
    bits: int
    high: int
    signed: bool

    def stored(self) -> NDArray[np.int64]:
        """(2**size,), int64: the stored value in every possible word, of 8 or 16 bits."""
        return self.stored_in(np.arange(1 << self.size))

    def stored_in(self, words: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """The stored value in each word; bits outside of it are left out."""
        stored = (words.astype(np.int64) >> (self.high + 1 - self.bits)) & ((1 << self.bits) - 1)
        if not self.signed:
            return stored
        return np.where(stored >> (self.bits - 1), stored - (1 << self.bits), stored)

    def stored_of(self, number: int) -> int:
        """The stored value that a data element means, whichever sign its representation gave it."""
        number &= (1 << self.bits) - 1
        return number - (1 << self.bits) if self.signed and number >> (self.bits - 1) else number


@dataclass(frozen=True, slots=True)
class Grey:
    """How the words of one frame become shades; `interest` is None without window and VOI table.

    `padding` are the lowest and the highest stored value that is no image, `rescale` slope and intercept
    where the modality transformation is linear, `window` the centre and width where `interest` is a window,
    `highest` the highest word where words were made here.
    """

    words: Words
    modality: Transformation
    interest: Transformation | None
    inverted: bool
    padding: tuple[int, int] | None = None
    rescale: tuple[float, float] | None = None
    window: tuple[float, float] | None = None
    highest: int | None = None

    def is_padding(self, stored: NDArray[np.int64]) -> NDArray[np.bool_]:
        if self.padding is None:
            return np.zeros(stored.shape, bool)
        return (self.padding[0] <= stored) & (stored <= self.padding[1])

    def first_window(self, samples: NDArray[np.uint8] | NDArray[np.uint16]) -> tuple[float, float]:
        """Centre and width after the modality transformation: of the file, else of the range that is used."""
        if self.window is not None:
            return self.window
        stored = self.words.stored()
        counts = np.bincount(samples.ravel(), minlength=len(stored))
        counts[self.is_padding(stored)] = 0
        low, high = used_range(self.modality(stored.astype(np.float64)), counts)
        return (low + high) / 2, high - low

    def shades(self, samples: NDArray[np.uint8] | NDArray[np.uint16], white: int) -> NDArray[np.uint16]:
        """The shade, 0 to `white`, of every word; padding is black and has no part in the range."""
        stored = self.words.stored()
        modal = self.modality(stored.astype(np.float64))
        is_padding = self.is_padding(stored)
        if self.interest is not None:
            bright = self.interest(modal)
        else:
            counts = np.bincount(samples.ravel(), minlength=len(stored))
            counts[is_padding] = 0
            low, high = used_range(modal, counts)
            bright = (modal - low) / max(high - low, 1e-9)
        bright = np.nan_to_num(np.clip(bright, 0, 1))
        if self.inverted:
            bright = 1 - bright
        shades = np.ceil(bright * white - 0.5 - _TIE)
        shades[is_padding] = 0
        return np.clip(shades, 0, white).astype(np.uint16)


def used_range(values: Values, counts: NDArray[np.intp]) -> tuple[float, float]:
    """The lowest and highest of `values`, (n,), used, without a thousandth of the pixels at either end."""
    used = np.flatnonzero(counts)
    if not len(used):
        return 0.0, 0.0
    order = used[np.argsort(values[used], kind="stable")]
    below = np.cumsum(counts[order])
    tail = _TAIL * below[-1]
    low = values[order[np.searchsorted(below, tail, side="right")]]
    # The mirror image of it, so that an inverted picture has the same range.
    above = np.cumsum(counts[order[::-1]])
    high = values[order[::-1][np.searchsorted(above, tail, side="right")]]
    if low < high:
        return float(low), float(high)
    return float(values[order[0]]), float(values[order[-1]])


def grey_of(tags: FrameTags, words: Words, *, inverted: bool) -> Grey:
    """What the file says of the greys of one frame of 8 or 16 bits."""
    modality, rescale = modality_of(tags, words)
    negative = bool(modality(words.stored().astype(np.float64)).min() < 0)
    interest, window = interest_of(tags, negative)
    return Grey(words, modality, interest, inverted, _padding(tags.dataset, words), rescale, window)


def _padding(dataset: Dataset, words: Words) -> tuple[int, int] | None:
    first = whole(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = whole(dataset, "PixelPaddingRangeLimit")
    ends = [words.stored_of(end) for end in (first, first if last is None else last)]
    return min(ends), max(ends)


def modality_of(tags: FrameTags, words: Words) -> tuple[Transformation, tuple[float, float] | None]:
    """From stored values to those of the modality, and slope and intercept where no table does it."""
    for item in items(tags.dataset, "ModalityLUTSequence")[:1]:
        if (table := _table(item, words.signed, tags.big_endian)) is not None:
            return table.entries_of, None
    holder = tags.holder("RescaleSlope", "PixelValueTransformationSequence")
    slopes, intercepts = numbers(holder, "RescaleSlope"), numbers(holder, "RescaleIntercept")
    # Of a map of doses (PS3.3 C.8.8.3); it has no intercept.
    slopes = slopes or numbers(tags.dataset, "DoseGridScaling")
    slope = slopes[0] if slopes and slopes[0] else 1.0
    intercept = intercepts[0] if intercepts else 0.0
    return lambda values: values * slope + intercept, (slope, intercept)


def interest_of(tags: FrameTags, negative: bool) -> tuple[Transformation | None, tuple[float, float] | None]:
    """The first VOI table, else the first window (PS3.3 C.11.2) with its centre and width."""
    for item in items(tags.dataset, "VOILUTSequence")[:1]:
        if (table := _table(item, negative, tags.big_endian)) is not None:
            return table.shares_of, None
    holder = tags.holder("WindowCenter", "FrameVOILUTSequence")
    centres, widths = numbers(holder, "WindowCenter"), numbers(holder, "WindowWidth")
    if not centres or not widths:
        return None, None
    window = _window(centres[0], widths[0], (text(holder, "VOILUTFunction") or "LINEAR").upper())
    return window, None if window is None else (centres[0], widths[0])


def _window(centre: float, width: float, function: str) -> Transformation | None:
    """PS3.3 C.11.2.1.2 and C.11.2.1.3; a width that cannot be is no window."""
    if function == "SIGMOID" and width > 0:
        return lambda values: 1 / (1 + np.exp(np.clip(-4 * (values - centre) / width, -700, 700)))
    if function == "LINEAR_EXACT" and width > 0:
        return lambda values: (values - centre) / width + 0.5
    if width > 1:
        return lambda values: (values - (centre - 0.5)) / (width - 1) + 0.5
    if width == 1:
        return lambda values: (values > centre - 0.5).astype(np.float64)
    return None


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """A lookup table of a file: `first` is the value of its first entry."""

    first: int
    entries: Values

    def entries_of(self, values: Values) -> Values:
        """The entry for each value; those outside get the first or the last."""
        places = np.clip(np.floor(values) - self.first, 0, len(self.entries) - 1)
        entries: Values = self.entries[places.astype(np.intp)]
        return entries

    def shares_of(self, values: Values) -> Values:
        """The same over the range of the entries.

        Files that declare 16 bits and use 12 are common, so the bits are those that the entries need.
        """
        bits = max(8, int(self.entries.max()).bit_length())
        return self.entries_of(values) / ((1 << bits) - 1)


def _table(item: Dataset, negative: bool, big_endian: bool) -> _Table | None:
    """LUT Descriptor (0028,3002) and LUT Data (0028,3006); None where they do not fit each other.

    Args:
        negative: whether the values that go in may be negative: the first of them is written in 16 bits with
            or without a sign.
        big_endian: whether the file is.
    """
    descriptor = numbers(item, "LUTDescriptor")
    data = value(item, "LUTData")
    if len(descriptor) != 3 or data is None:
        return None
    # 0 stands for 65,536.
    count = int(descriptor[0]) & 0xFFFF or 1 << 16
    first = int(descriptor[1]) & 0xFFFF
    if negative and first > 0x7FFF:
        first -= 1 << 16
    if isinstance(data, bytes):
        kind = "u1" if len(data) < 2 * count else ">u2" if big_endian else "<u2"
        entries = np.frombuffer(data[: len(data) // 2 * 2], kind)
    else:
        entries = np.atleast_1d(np.asarray(data, np.int64)) & 0xFFFF
    if len(entries) < count:
        return None
    return _Table(first, entries[:count].astype(np.float64))
