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
from pydicom.encaps import get_frame
from pydicom.uid import UID, ExplicitVRBigEndian, RLELossless

from tetkik.errors import InputError
from tetkik.imaging.decoders import (
    Codec,
    Codestream,
    CodestreamError,
    Samples,
    UnknownCodestreamError,
    contiguous,
    decode,
    decode_rle,
    parse_codestream,
    states_rgb,
)
from tetkik.imaging.limits import BoundedBytes, check_pixels, cut_short, damaged
from tetkik.imaging.tags import FrameTags, items, name_of_uid, numbers, text, value, whole

Values = NDArray[np.float64]
Transformation = Callable[[Values], Values]

_TAIL = 0.001
"""Of the pixels, at either end of the range of an image without a window."""
_TIE = 1e-6
"""Shades that are a half but for the error of float64 are rounded one way, so that MONOCHROME1 and
MONOCHROME2 agree."""


@dataclass(frozen=True, slots=True)
class PixelWord:
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

    words: PixelWord
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


def grey_of(tags: FrameTags, words: PixelWord, *, inverted: bool) -> Grey:
    """What the file says of the greys of one frame of 8 or 16 bits."""
    modality, rescale = modality_of(tags, words)
    negative = bool(modality(words.stored().astype(np.float64)).min() < 0)
    interest, window = interest_of(tags, negative)
    return Grey(words, modality, interest, inverted, _padding(tags.dataset, words), rescale, window)


def _padding(dataset: Dataset, words: PixelWord) -> tuple[int, int] | None:
    first = whole(dataset, "PixelPaddingValue")
    if first is None:
        return None
    last = whole(dataset, "PixelPaddingRangeLimit")
    ends = [words.stored_of(end) for end in (first, first if last is None else last)]
    return min(ends), max(ends)


def modality_of(tags: FrameTags, words: PixelWord) -> tuple[Transformation, tuple[float, float] | None]:
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


# One frame of the pixel data of a DICOM file, found and decoded after its dimensions were checked.


_GREY = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_KEYWORDS = {"PixelData": "u", "FloatPixelData": "f", "DoubleFloatPixelData": "f"}
"""Of the element with the pixels (PS3.3 C.7.6.3, C.7.6.24, C.7.6.25), the kind of its numbers."""
PIXELS = tuple(_KEYWORDS)
_MOST_BYTES = 6
"""A pixel, as RGB of 16 bits has; of larger ones an image may have so many fewer."""


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """The Image Pixel module (PS3.3 C.7.6.3) as the file states it, checked; sizes in pixels and bits."""

    rows: int
    columns: int
    samples: int
    allocated: int
    words: PixelWord
    photometric: str
    planar: bool
    frames: int
    syntax: UID
    keyword: str = "PixelData"

    @property
    def pixels(self) -> int:
        return self.rows * self.columns

    @property
    def is_float(self) -> bool:
        return _KEYWORDS[self.keyword] == "f"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a sample, in the file's byte order."""
        order = ">" if self.syntax == ExplicitVRBigEndian else "<"
        return np.dtype(f"{order}{_KEYWORDS[self.keyword]}{-(-self.allocated // 8)}")

    @property
    def is_subsampled(self) -> bool:
        """Whether two pixels share their colour, uncompressed."""
        return self.photometric == "YBR_FULL_422" and self.samples == 3


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One decoded frame: words as the file has them, (rows, columns) or (rows, columns, 3)."""

    samples: Samples
    words: PixelWord
    is_ybr: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class WideFrame:
    """One decoded frame of more than 16 bits: uint32, float32 or float64, as the file has them.

    (rows, columns) or, of integers alone, (rows, columns, 3). `every` are the samples of all frames, (n,),
    where they lie uncompressed.
    """

    samples: NDArray[Any]
    words: PixelWord
    is_ybr: bool = False
    every: NDArray[Any] | None = None


def pixels_of(dataset: Dataset) -> str | None:
    """Which element holds the pixels; None where none does."""
    return next((keyword for keyword in PIXELS if keyword in dataset), None)


def read_layout(dataset: Dataset, syntax: UID, file: str) -> PixelLayout:
    """What the file says of its pixels."""
    rows, columns = _needed(dataset, "Rows", file), _needed(dataset, "Columns", file)
    keyword = pixels_of(dataset) or "PixelData"
    is_float = _KEYWORDS[keyword] == "f"
    # Of floating point the element says how many bits there are.
    allocated = _needed(dataset, "BitsAllocated", file) if not is_float else 32 if keyword[0] == "F" else 64
    samples = whole(dataset, "SamplesPerPixel") or 1
    photometric = (text(dataset, "PhotometricInterpretation") or "").upper()
    if not photometric:
        photometric = "MONOCHROME2" if samples == 1 else "RGB"
    check_pixels(rows, columns, file, max(1.0, samples * allocated / 8 / _MOST_BYTES))
    if syntax.type != "Transfer Syntax":
        raise _unknown_syntax(syntax, file)
    stored = (0 if is_float else whole(dataset, "BitsStored") or 0) or allocated
    readable = allocated == 64 if keyword[0] == "D" else allocated in (1, 8, 16, 32)
    if not readable or samples not in (1, 3) or (samples == 3 and (allocated == 1 or is_float)):
        raise InputError(
            "{file} has {samples} samples of {bits} bits a pixel, and only one or three of 8 to 32 bits "
            "can be read; export it as such.",
            file=file,
            samples=samples,
            bits=allocated,
        )
    if not 1 <= stored <= allocated or (samples == 1) != (photometric in _GREY):
        raise damaged(file)
    high = whole(dataset, "HighBit")
    if high is None or not stored - 1 <= high < allocated:
        high = stored - 1
    signed = whole(dataset, "PixelRepresentation") == 1 and allocated > 1
    return PixelLayout(
        rows=rows,
        columns=columns,
        samples=samples,
        allocated=allocated,
        words=PixelWord(max(8, allocated), stored, high, signed),
        photometric=photometric,
        planar=whole(dataset, "PlanarConfiguration") == 1,
        frames=max(1, whole(dataset, "NumberOfFrames") or 1),
        syntax=syntax,
        keyword=keyword,
    )


def _needed(dataset: Dataset, keyword: str, file: str) -> int:
    found = whole(dataset, keyword)
    if found is None or not 1 <= found <= 0xFFFF:
        raise InputError(
            "{file} does not say its {attribute}, without which its image cannot be read; export it again.",
            file=file,
            attribute=keyword,
        )
    return found


def _unknown_syntax(syntax: UID, file: str) -> InputError:
    return InputError(
        "{file} is compressed in a way that cannot be read here ({syntax}); export it uncompressed or as "
        "JPEG 2000.",
        file=file,
        syntax=name_of_uid(syntax),
    )


def read_frame(dataset: Dataset, layout: PixelLayout, index: int, file: str) -> Frame | WideFrame:
    """The frame at `index`, counted from 0."""
    data = value(dataset, layout.keyword)
    if not isinstance(data, bytes):
        raise damaged(file)
    try:
        if not layout.syntax.is_encapsulated:
            if layout.allocated == 8 and has_swapped_octets(dataset, layout.syntax):
                data = swapped(data)
            return _native(data, layout, index, file)
        # An encapsulated file that says that it has millions of frames has as many fragments, or fails here.
        table = value(dataset, "ExtendedOffsetTable"), value(dataset, "ExtendedOffsetTableLengths")
        content = get_frame(
            BoundedBytes(data),
            index,
            number_of_frames=layout.frames,
            extended_offsets=table if all(isinstance(part, bytes) for part in table) else None,
        )
        if layout.syntax == RLELossless:
            size = -(-layout.allocated // 8)
            samples = decode_rle(content, layout.rows, layout.columns, layout.samples, size)
            is_ybr = layout.photometric.startswith("YBR_FULL")
            if size > 2:
                return WideFrame(samples, layout.words, is_ybr)
            return Frame(samples, layout.words, is_ybr)
        return _compressed(content, layout, file)
    except (InputError, MemoryError):
        raise
    except UnknownCodestreamError:
        raise _unknown_syntax(layout.syntax, file) from None
    except Exception:  # Decoders raise whatever a damaged stream leads them to.
        raise InputError(
            "{file} holds an image that cannot be decoded, as it is damaged or cut short; fetch or export it "
            "again.",
            file=file,
        ) from None


def has_swapped_octets(dataset: Dataset, syntax: UID) -> bool:
    """Whether 8-bit samples lie in words (OW) of a big-endian file, the second of two first (PS3.5 A.3)."""
    return syntax == ExplicitVRBigEndian and dataset["PixelData"].VR == "OW"


def swapped(data: bytes) -> bytes:
    """Octets in pairs the other way round; an odd one at the end stays."""
    words = np.frombuffer(data, "<u2", len(data) // 2).byteswap()
    return words.tobytes() + data[len(data) // 2 * 2 :]


def _compressed(content: bytes, layout: PixelLayout, file: str) -> Frame:
    stream = parse_codestream(content)
    _check_dimensions(stream, layout, file)
    says_rgb = layout.photometric == "RGB"
    samples = decode(content, stream, is_rgb=says_rgb)
    # The decoder of 8-bit JPEG makes RGB of it; what else says YBR_FULL still is, or states RGB itself.
    decoded = stream.codec is Codec.JPEG or states_rgb(stream)
    is_ybr = layout.photometric.startswith("YBR_FULL") and not decoded
    return Frame(samples, _words_of(stream, layout), is_ybr)


def _check_dimensions(stream: Codestream, layout: PixelLayout, file: str) -> None:
    if (stream.rows, stream.columns) != (layout.rows, layout.columns):
        raise InputError(
            "{file} says that it has {columns} × {rows} pixels, and its image data says {other_columns} × "
            "{other_rows}; it is damaged, export it again.",
            file=file,
            columns=layout.columns,
            rows=layout.rows,
            other_columns=stream.columns,
            other_rows=stream.rows,
        )
    if stream.samples != layout.samples or stream.bits > max(8, layout.allocated):
        raise CodestreamError("other samples than the file says")


def _words_of(stream: Codestream, layout: PixelLayout) -> PixelWord:
    """Where the stored values are in the decoder's words.

    A codestream of as many bits as are stored holds just them, whatever High Bit was before. One of more bits
    holds the words as they were allocated.
    """
    size = 8 if stream.bits <= 8 else 16
    if stream.bits > layout.words.bits:
        high = min(layout.words.high, size - 1)
        return PixelWord(size, layout.words.bits, high, layout.words.signed)
    return PixelWord(size, stream.bits, stream.bits - 1, layout.words.signed)


def _native(data: bytes, layout: PixelLayout, index: int, file: str) -> Frame | WideFrame:
    """A frame without compression (PS3.5 8.1, 8.2)."""
    sampled = 2 if layout.is_subsampled else layout.samples
    # Of every frame, though one is read: a file that is cut short is not to be trusted.
    if len(data) < -(-layout.frames * layout.pixels * sampled * layout.allocated // 8):
        raise cut_short(file)
    if layout.allocated == 1:
        return Frame(_bits(data, layout, index), layout.words)
    count, kind = layout.pixels * sampled, layout.dtype
    every = np.frombuffer(data, kind, layout.frames * count)
    flat = every[index * count : (index + 1) * count].astype(kind.newbyteorder("="), copy=False)
    is_ybr = layout.photometric.startswith("YBR_FULL")
    if layout.allocated > 16:
        return _wide(flat, every, layout, is_ybr)
    if layout.samples == 1:
        return Frame(flat.reshape(layout.rows, layout.columns), layout.words)
    if layout.is_subsampled:
        return Frame(_full_colour(flat, layout), layout.words, is_ybr)
    if layout.planar:
        planes = flat.reshape(3, layout.rows, layout.columns)
        return Frame(contiguous(planes.transpose(1, 2, 0)), layout.words, is_ybr)
    return Frame(flat.reshape(layout.rows, layout.columns, 3), layout.words, is_ybr)


def _wide(flat: NDArray[Any], every: NDArray[Any], layout: PixelLayout, is_ybr: bool) -> WideFrame:
    size = (layout.rows, layout.columns)
    if layout.samples == 1:
        return WideFrame(flat.reshape(size), layout.words, every=every)
    if layout.is_subsampled:
        raise CodestreamError("subsampled colours of 32 bits")
    if layout.planar:
        return WideFrame(flat.reshape(3, *size).transpose(1, 2, 0), layout.words, is_ybr)
    return WideFrame(flat.reshape(*size, 3), layout.words, is_ybr)


def _bits(data: bytes, layout: PixelLayout, index: int) -> NDArray[np.uint8]:
    """One bit a pixel, the lowest first; frames follow each other without a gap (PS3.5 8.1.1)."""
    start = index * layout.pixels
    octets = np.frombuffer(data, np.uint8)[start // 8 : -(-(start + layout.pixels) // 8)]
    flat = np.unpackbits(octets, bitorder="little")[start % 8 :][: layout.pixels]
    return flat.reshape(layout.rows, layout.columns)


def _full_colour(flat: Samples, layout: PixelLayout) -> Samples:
    """YBR_FULL_422: two lumas, then the blue and the red difference that they share."""
    if layout.columns % 2:
        raise CodestreamError("an odd number of columns in pairs")
    pairs = flat.reshape(layout.rows, layout.columns // 2, 4)
    full = np.empty((layout.rows, layout.columns // 2, 2, 3), flat.dtype)
    full[..., 0] = pairs[..., :2]
    full[..., 1] = pairs[..., 2:3]
    full[..., 2] = pairs[..., 3:4]
    return full.reshape(layout.rows, layout.columns, 3)


# Grey of more than 16 bits (maps of doses, floating point) and such colour become words of 16.


WORDS = PixelWord(16, 16, 15, signed=False)
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
    padding = _padding_of_wide(tags, frame)
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


def _padding_of_wide(tags: FrameTags, frame: WideFrame) -> tuple[float, float] | None:
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
