"""A codestream becomes samples, by the decoder that is sound for its kind.

The codestream decides (`codestream.Codec`), whatever the transfer syntax says: files that say one lossless
JPEG and hold another are common. Every one has passed `parse_codestream`, and its dimensions are those of the
file: without that mutated JPEG-LS and lossless JPEG streams bring the native decoders down.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import cache
from io import BytesIO
from itertools import pairwise
from types import ModuleType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

# Colour becomes grey, and how much colour there was is measured.


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


# What a compressed image says of itself, read before any decoder sees it.
#
# A decoder takes its dimensions from the codestream, so one that says 60,000 x 60,000 makes it reserve
# gigabytes whatever the file around it says. The headers are short, so they are read here in full: JPEG
# (ISO/IEC 10918-1, Annex B), JPEG-LS (ISO/IEC 14495-1, Annex C) and JPEG 2000 (ISO/IEC 15444-1, Annex A).


_SOI, EOI, _SOS, _DHT, _APP14 = 0xD8, 0xD9, 0xDA, 0xC4, 0xEE
_SOF_JPEG_LS = 0xF7
_TRANSFORMS = (None, 0, 1)
"""Of Adobe's marker, for three samples (ISO/IEC 10918-6): RGB, YCbCr. Over others GDCM ends the process."""
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD8)})
# The next marker after entropy-coded data, in which 0xFF is followed by 0x00 or by a restart marker; in
# JPEG-LS by a byte below 0x80.
_NEXT_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)
_NEXT_MARKER_LS = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]", re.DOTALL)
J2K = b"\xff\x4f\xff\x51"
_COD, _COC, _SOT, _SOD = 0x52, 0x53, 0x90, 0x93
MOST_SCANS = 200
"""A progressive JPEG has a dozen; thousands of empty ones keep a decoder busy for hours."""
MOST_TILES = 65_535
MOST_BLOCKS = 4_000_000
"""Precincts and code-blocks of a JPEG 2000: each costs a decoder some hundred bytes, so that the smallest
ones, 1 x 1 and 4 x 4 pixels, are a memory bomb. The usual ones leave 25,000 in 100 million pixels."""


class Codec(Enum):
    """How a codestream is compressed, as it says itself and not as the file around it does."""

    JPEG = auto()
    """Baseline, extended or progressive, 8 bits."""
    JPEG_12 = auto()
    """Extended, 12 bits."""
    JPEG_LOSSLESS = auto()
    """Process 14, predictive."""
    JPEG_LS = auto()
    JPEG_2000 = auto()
    """Also High Throughput (HTJ2K)."""


class CodestreamError(ValueError):
    """A header that is damaged, contradicts itself, or asks for the unreasonable."""


class UnknownCodestreamError(CodestreamError):
    """Sound perhaps, but of a kind that no decoder here knows."""


@dataclass(frozen=True, slots=True)
class Codestream:
    """The header of a codestream, in pixels; a JPEG in CMYK has 4 samples.

    `signed` is of JPEG 2000 alone and `component_ids` of JPEG, where `RGB` means no colour transform and a
    JFIF marker YCbCr. `ended`: the end marker was met; JPEG 2000's decoder sees to it itself.
    """

    codec: Codec
    rows: int
    columns: int
    samples: int
    bits: int
    signed: bool = False
    component_ids: tuple[int, ...] = ()
    adobe_transform: int | None = None
    jfif: bool = False
    ended: bool = True


def parse_codestream(data: bytes) -> Codestream:
    """The header of the codestream in `data`, after every check that needs no decoding.

    Raises:
        CodestreamError: damaged or unreasonable.
        UnknownCodestreamError: no JPEG of a known kind.
    """
    try:
        if data[:2] == b"\xff\xd8":
            return _parse_jpeg(data)
        # Some files wrap the codestream in the boxes of JP2, which DICOM does not allow (PS3.5 A.4.4).
        if data[:4] == J2K or data[4:8] == b"jP  ":
            return _parse_jpeg_2000(data)
    except (struct.error, IndexError):
        raise CodestreamError("the header ends early") from None
    raise UnknownCodestreamError("no JPEG")


def _parse_jpeg(data: bytes) -> Codestream:
    found: Codestream | None = None
    adobe, jfif, ended, scans = None, False, False, 0
    for marker, start, end, _ in jpeg_segments(data):
        segment = data[start:end]
        if marker in (0xC0, 0xC1, 0xC2, 0xC3, _SOF_JPEG_LS):
            if found is not None:
                raise CodestreamError("two frames")
            found = _frame_header(marker, segment)
        elif 0xC0 <= marker <= 0xCF and marker not in (_DHT, 0xC8):
            raise UnknownCodestreamError(f"JPEG process {marker:#x}")
        elif marker == _DHT:
            _check_huffman(segment)
        elif marker == _APP14 and segment[:5] == b"Adobe" and len(segment) >= 12:
            adobe = segment[11]
        elif marker == 0xE0 and segment[:4] == b"JFIF":
            jfif = True
        elif marker == EOI:
            ended = True
        elif marker == _SOS:
            scans += 1
            if found is None or scans > MOST_SCANS:
                raise CodestreamError("a scan without a frame, or too many scans")
            _check_scan(found, segment)
    if found is None or not scans:
        raise CodestreamError("no image")
    if found.codec is not Codec.JPEG and found.samples == 3 and adobe not in _TRANSFORMS:
        raise UnknownCodestreamError("a colour transform of four samples, or of nobody")
    return replace(found, adobe_transform=adobe, jfif=jfif, ended=ended)


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Of each segment the marker, where its content begins and ends, and where coded data behind it ends.

    Raises:
        CodestreamError: a marker that cannot be, or a segment that ends early.
    """
    place, after_scan = 2, _NEXT_MARKER
    while True:
        if place >= len(data):
            return  # A missing end marker alone is no reason to refuse.
        if data[place] != 0xFF:
            raise CodestreamError("no marker where one must be")
        while place < len(data) and data[place] == 0xFF:
            place += 1
        if place >= len(data):
            return
        marker = data[place]
        place += 1
        if marker == EOI:
            yield marker, place, place, place
            return
        if marker in _STANDALONE:
            continue
        if marker < 0xC0 or marker == _SOI:
            raise CodestreamError("an impossible marker")
        (length,) = struct.unpack_from(">H", data, place)
        start, place = place + 2, place + length
        if length < 2 or place > len(data):
            raise CodestreamError("a segment that ends early")
        end = place
        if marker == _SOF_JPEG_LS:
            after_scan = _NEXT_MARKER_LS
        if marker == _SOS:
            following = after_scan.search(data, place)
            place = following.start() if following else len(data)
        yield marker, start, end, place


def _frame_header(marker: int, segment: bytes) -> Codestream:
    bits, rows, columns, samples = struct.unpack_from(">BHHB", segment)
    if not rows or not columns or samples not in (1, 3, 4) or len(segment) != 6 + 3 * samples:
        raise CodestreamError("an impossible frame header")
    factors = segment[7::3]
    if not all(1 <= factor >> 4 <= 4 and 1 <= factor & 15 <= 4 for factor in factors):
        raise CodestreamError("impossible sampling factors")
    if marker == _SOF_JPEG_LS:
        codec, possible = Codec.JPEG_LS, range(2, 17)
    elif marker == 0xC3:
        codec, possible = Codec.JPEG_LOSSLESS, range(2, 17)
    elif bits == 12 and marker == 0xC1:
        codec, possible = Codec.JPEG_12, range(12, 13)
    else:
        codec, possible = Codec.JPEG, range(8, 9)
    if bits not in possible:
        raise UnknownCodestreamError(f"{bits} bits in a JPEG of process {marker:#x}")
    if codec is not Codec.JPEG and (samples == 4 or set(factors) != {0x11}):
        raise UnknownCodestreamError("subsampled components without loss")
    return Codestream(codec, rows, columns, samples, bits, component_ids=tuple(segment[6::3]))


def _check_huffman(segment: bytes) -> None:
    """Refuse code lengths that no code can have: a decoder's table would overflow."""
    place = 0
    while place < len(segment):
        counts = segment[place + 1 : place + 17]
        if segment[place] & 0xEC or len(counts) != 16:
            raise CodestreamError("an impossible Huffman table")
        # Kraft: together the codes may not take more than there is.
        taken = sum(count << (16 - length) for length, count in enumerate(counts, 1))
        place += 17 + sum(counts)
        if taken > 1 << 16 or sum(counts) > 256 or place > len(segment):
            raise CodestreamError("an impossible Huffman table")


def _check_scan(frame: Codestream, segment: bytes) -> None:
    count = segment[0]
    if not 1 <= count <= frame.samples or len(segment) != 4 + 2 * count:
        raise CodestreamError("an impossible scan header")
    chosen = segment[1 : 1 + 2 * count : 2]
    if len(set(chosen)) != count or not set(chosen) <= set(frame.component_ids):
        raise CodestreamError("a scan of components that are not there")
    if frame.codec is Codec.JPEG_LOSSLESS:
        predictor, end, shift = segment[-3:]
        if not 1 <= predictor <= 7 or end or shift >> 4 or shift & 15 >= frame.bits:
            raise CodestreamError("an impossible predictor")


def _parse_jpeg_2000(data: bytes) -> Codestream:
    start = data.find(J2K)
    if start < 0:
        raise CodestreamError("no codestream in the JP2 boxes")
    length, _, x1, y1, x0, y0, tile_x, tile_y, off_x, off_y, samples = struct.unpack_from(
        ">HH8IH", data, start + 4
    )
    if samples not in (1, 3, 4) or length != 38 + 3 * samples:
        raise CodestreamError("an impossible number of components")
    if not (x0 < x1 and y0 < y1 and tile_x and tile_y and off_x <= x0 and off_y <= y0):
        raise CodestreamError("an impossible grid")
    if off_x + tile_x <= x0 or off_y + tile_y <= y0:
        raise CodestreamError("an impossible first tile")
    tiles = -(-(x1 - off_x) // tile_x) * -(-(y1 - off_y) // tile_y)
    if tiles > MOST_TILES:
        raise CodestreamError("too many tiles")
    depths, steps = set(), set()
    for component in range(samples):
        depth, step_x, step_y = data[start + 42 + 3 * component : start + 45 + 3 * component]
        depths.add(depth)
        steps.add((step_x, step_y))
    if len(depths) != 1 or steps != {(1, 1)}:
        raise UnknownCodestreamError("components of different depth or size")
    (depth,) = depths
    bits = (depth & 0x7F) + 1
    if bits > 16:
        raise UnknownCodestreamError(f"{bits} bits in a JPEG 2000")
    stream = Codestream(Codec.JPEG_2000, y1 - y0, x1 - x0, samples, bits, bool(depth & 0x80))
    tile = (min(tile_x, x1 - off_x), min(tile_y, y1 - off_y))
    for style in _coding_styles(data, start + 2, samples):
        if _blocks(style, tile) * tiles * samples > MOST_BLOCKS:
            raise CodestreamError("too many precincts or code-blocks")
    return stream


@dataclass(frozen=True, slots=True)
class _CodingStyle:
    """SPcod (15444-1 A.6.1): the exponents of the sides of code-blocks and, a resolution, of precincts."""

    levels: int
    block: tuple[int, int]
    precincts: tuple[tuple[int, int], ...]


def jpeg_2000_segments(data: bytes, place: int = 2) -> Iterator[tuple[int, int, int]]:
    """Of each segment of a header, and of the end, the marker and where its content begins and ends.

    Raises:
        CodestreamError: no marker where one must be, or a segment that ends early.
    """
    tile_part = end = 0
    while place + 2 <= len(data):
        marker = data[place + 1]
        if data[place] == 0xFF and marker == EOI:
            yield marker, place, place
            return
        if place + 4 > len(data):
            return  # padding, or nothing that is whole
        if data[place] != 0xFF:
            raise CodestreamError("no marker where one must be")
        if marker == _SOD:
            # A length of 0 means: to the end of the data.
            if tile_part == 0 or end <= place:
                return
            place = end
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        if length < 2:
            raise CodestreamError("a segment that ends early")
        if marker == _SOT:
            (tile_part,) = struct.unpack_from(">I", data, place + 6)
            end = place + tile_part
        yield marker, place + 4, place + 2 + length
        place += 2 + length


def _coding_styles(data: bytes, place: int, samples: int) -> Iterator[_CodingStyle]:
    """Every coding style, of the main header and of the tile-parts, for all components or for one."""
    for marker, start, end in jpeg_2000_segments(data, place):
        if marker == _COD:
            yield _coding_style(data[start + 5 : end], bool(data[start] & 1))
        elif marker == _COC:
            own = data[start + (1 if samples < 257 else 2) : end]
            yield _coding_style(own[1:], bool(own[0] & 1))


def _coding_style(content: bytes, own_precincts: bool) -> _CodingStyle:
    levels, width, height = content[:3]
    if levels > 32 or width > 8 or height > 8 or width + height > 8:
        raise CodestreamError("impossible code-blocks")
    sizes = content[5 : 6 + levels] if own_precincts else b"\xff" * (levels + 1)
    if len(sizes) != levels + 1:
        raise CodestreamError("precincts are missing")
    return _CodingStyle(levels, (width + 2, height + 2), tuple((size & 15, size >> 4) for size in sizes))


def _blocks(style: _CodingStyle, tile: tuple[int, int]) -> int:
    """How many precincts and code-blocks one component of one tile has, of all resolutions."""
    count = 0
    for resolution, precinct in enumerate(style.precincts):
        sides = [-(-side // (1 << (style.levels - resolution))) for side in tile]
        count += math.prod(-(-side // (1 << size)) for side, size in zip(sides, precinct, strict=True))
        blocks = [min(size, limit) for size, limit in zip(style.block, precinct, strict=True)]
        count += math.prod(-(-side // (1 << size)) for side, size in zip(sides, blocks, strict=True))
    return count


_END = b"\xff\xd9"
_RGB_IDS = (tuple(b"RGB"), tuple(b"rgb"))


def decode(data: bytes, stream: Codestream, *, is_rgb: bool) -> Samples:
    """The samples of one frame: (rows, columns) or (rows, columns, 3), uint8 or uint16.

    Signed samples are two's complement. A JPEG of 8 bits with a colour transform is RGB; else components are
    as they were coded. `is_rgb` is what the file says of them; what the codestream itself states wins.

    Raises:
        CodestreamError: cut short, or damaged as far as the decoder can tell.
        Exception: whatever else a decoder raises at damaged data.
    """
    match stream.codec:
        case Codec.JPEG:
            samples = _pillow(data, stream, is_rgb=is_rgb)
        case Codec.JPEG_LS:
            samples = _charls(data, stream)
        case Codec.JPEG_2000:
            samples = _openjpeg(data)
        case Codec.JPEG_LOSSLESS | Codec.JPEG_12:
            samples = _gdcm(data, stream)
    shape = (stream.rows, stream.columns) if stream.samples == 1 else (stream.rows, stream.columns, -1)
    return samples.reshape(shape)


def states_rgb(stream: Codestream) -> bool:
    """Whether the codestream itself says that its components are RGB."""
    return stream.component_ids in _RGB_IDS or stream.adobe_transform == 0


def _pillow(data: bytes, stream: Codestream, *, is_rgb: bool) -> Samples:
    from PIL import Image

    with Image.open(BytesIO(data), formats=("JPEG",)) as image:
        marked = states_rgb(stream) or stream.adobe_transform is not None or stream.jfif
        if is_rgb and stream.samples == 3 and not marked:
            # Without a marker libjpeg supposes YCbCr; asked for YCbCr it leaves the components alone.
            image.draft("YCbCr", image.size)
        return np.asarray(image)


def _openjpeg(data: bytes) -> Samples:
    import openjpeg

    samples = openjpeg.decode(data)
    unsigned: Samples = samples.view(f"u{samples.dtype.itemsize}")
    return unsigned


def _charls(data: bytes, stream: Codestream) -> Samples:
    import jpeg_ls

    # Without an end marker CharLS reads on past a truncated stream, for minutes.
    buffer, facts = jpeg_ls.decode_buffer(data + _END)
    samples: Samples = np.frombuffer(buffer, "<u1" if stream.bits <= 8 else "<u2")
    if stream.samples > 1 and facts["interleave_mode"] == 0:
        planes = samples.reshape(stream.samples, stream.rows, stream.columns)
        return contiguous(planes.transpose(1, 2, 0))
    return samples


def load_decoders() -> None:
    """Load the native libraries now, and not with the first file that needs one."""
    import jpeg_ls  # noqa: F401
    import openjpeg  # noqa: F401

    _silent_gdcm()


@cache
def _silent_gdcm() -> ModuleType:
    import gdcm

    # Else it writes about every damaged file to standard error, past Python.
    for trace in (gdcm.Trace.WarningOff, gdcm.Trace.ErrorOff, gdcm.Trace.DebugOff):
        trace()
    module: ModuleType = gdcm
    return module


def _gdcm(data: bytes, stream: Codestream) -> Samples:
    if not stream.ended:
        # libjpeg would fill up what is missing.
        raise CodestreamError("cut short")
    gdcm = _silent_gdcm()
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(data)
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((stream.columns, stream.rows, 1))
    image.SetDataElement(element)
    colours, syntaxes = gdcm.PhotometricInterpretation, gdcm.TransferSyntax
    image.SetPhotometricInterpretation(colours(colours.RGB if stream.samples > 1 else colours.MONOCHROME2))
    if stream.samples > 1:
        image.SetPlanarConfiguration(0)
    lossless = stream.codec is Codec.JPEG_LOSSLESS
    syntax = syntaxes.JPEGLosslessProcess14 if lossless else syntaxes.JPEGExtendedProcess2_4
    image.SetTransferSyntax(syntaxes(syntax))
    # By this size GDCM chooses among three codecs, and the wrong one complains on standard error.
    size = next(size for size in (8, 12, 16) if stream.bits <= size)
    image.SetPixelFormat(gdcm.PixelFormat(stream.samples, size, size, size - 1, 0))
    # The wrapper gives `char *` as text.
    buffer = image.GetBuffer().encode("utf-8", "surrogateescape")
    return np.frombuffer(buffer, "<u1" if size == 8 else "<u2")


def decode_rle(data: bytes, rows: int, columns: int, samples: int, size: int) -> NDArray[Any]:
    """One frame of RLE Lossless (PS3.5 Annex G): a segment of PackBits for each of `size` bytes of a sample.

    Pillow unpacks a segment as one line of an image, so that runs across the ends of rows, which the standard
    forbids and some encoders write, are no matter, and no more is unpacked than belongs there.

    Raises:
        CodestreamError: the segments are not those of such an image, or one ends early.
    """
    from PIL import Image

    count = samples * size
    header = np.frombuffer(data[:64], "<u4")
    if len(header) != 16 or header[0] != count:
        raise CodestreamError("not as many segments as bytes a pixel")
    starts = [*(int(start) for start in header[1 : 1 + count]), len(data)]
    if starts[0] < 64 or any(start > end for start, end in pairwise(starts)):
        raise CodestreamError("segments out of order")
    octets = np.empty((rows * columns, count), np.uint8)
    for place, (start, end) in enumerate(pairwise(starts)):
        try:
            line = Image.frombytes("L", (rows * columns, 1), data[start:end], "packbits", "L")
        except ValueError:
            raise CodestreamError("cut short") from None
        # The most significant byte of a sample comes first.
        sample, byte = divmod(place, size)
        octets[:, sample * size + size - 1 - byte] = np.asarray(line)[0]
    shape = (rows, columns) if samples == 1 else (rows, columns, samples)
    return octets.view(f"<u{size}").astype(f"u{size}", copy=False).reshape(shape)
