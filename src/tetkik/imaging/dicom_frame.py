"""One frame of the pixel data of a DICOM file, found and decoded after its dimensions were checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import UID, ExplicitVRBigEndian, RLELossless

from tetkik.errors import InputError
from tetkik.imaging.codestream import (
    Codec,
    Codestream,
    CodestreamError,
    UnknownCodestreamError,
    parse_codestream,
)
from tetkik.imaging.colour import Samples, contiguous
from tetkik.imaging.decoders import decode, decode_rle, states_rgb
from tetkik.imaging.greyscale import Words
from tetkik.imaging.limits import BoundedBytes, check_pixels, cut_short, damaged
from tetkik.imaging.tags import name_of_uid, text, value, whole

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
    words: Words
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
    words: Words
    is_ybr: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class WideFrame:
    """One decoded frame of more than 16 bits: uint32, float32 or float64, as the file has them.

    (rows, columns) or, of integers alone, (rows, columns, 3). `every` are the samples of all frames, (n,),
    where they lie uncompressed.
    """

    samples: NDArray[Any]
    words: Words
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
        words=Words(max(8, allocated), stored, high, signed),
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


def _words_of(stream: Codestream, layout: PixelLayout) -> Words:
    """Where the stored values are in the decoder's words.

    A codestream of as many bits as are stored holds just them, whatever High Bit was before. One of more bits
    holds the words as they were allocated.
    """
    size = 8 if stream.bits <= 8 else 16
    if stream.bits > layout.words.bits:
        high = min(layout.words.high, size - 1)
        return Words(size, layout.words.bits, high, layout.words.signed)
    return Words(size, stream.bits, stream.bits - 1, layout.words.signed)


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
