"""What can hide in pixel data: comments of a codestream, bits that no pixel uses, bytes past the last one."""

from __future__ import annotations

import re
import struct

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, RLELossless

from tetkik.errors import InputError

_NATIVE = frozenset(
    {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
)
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_JPEG = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.(5\d|6[0-6]|70|8[01]|9[0-3]|20[1-3])")
_J2K = b"\xff\x4f\xff\x51"
_AFTER_SCAN = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]", re.DOTALL)
_SCAN_OF_JPEG = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]", re.DOTALL)


def clean_pixels(dataset: Dataset, syntax: UID, file: str) -> None:
    """Take what is no pixel out of the pixel data of `dataset`, in place; the image stays bit for bit.

    Raises:
        InputError: a kind of pixel data that cannot be looked through (video), or an overlay in the high bits
            of compressed pixels.
    """
    if "PixelData" not in dataset:
        return
    if syntax in _NATIVE:
        _clean_native(dataset, big_endian=syntax == _BIG_ENDIAN)
        return
    if _has_hidden_overlay(dataset):
        raise InputError(
            "{file} has an overlay in the bits of compressed pixels, which cannot be taken out; "
            "leave it out.",
            file=file,
        )
    if syntax == RLELossless:
        return
    if not _JPEG.fullmatch(syntax):
        raise InputError(
            "{file} holds its images in a way that cannot be looked through for identifiers ({kind}); leave "
            "it out.",
            file=file,
            kind=syntax.name,
        )
    frames = int(dataset.get("NumberOfFrames") or 1)
    streams = [
        clean_codestream(stream) for stream in generate_frames(dataset.PixelData, number_of_frames=frames)
    ]
    dataset.PixelData = encapsulate(streams)
    for keyword in ("ExtendedOffsetTable", "ExtendedOffsetTableLengths"):
        if keyword in dataset:
            del dataset[keyword]


def _has_hidden_overlay(dataset: Dataset) -> bool:
    """Whether an overlay lies in unused bits of the pixels (retired; PS3.3 2004, C.9.2)."""
    return any(
        (group, 0x0100) in dataset and int(dataset[group, 0x0100].value or 1) > 1
        for group in range(0x6000, 0x6020, 2)
    )


def _clean_native(dataset: Dataset, *, big_endian: bool) -> None:
    allocated, stored = int(dataset.BitsAllocated), int(dataset.get("BitsStored") or dataset.BitsAllocated)
    high = int(dataset.get("HighBit") or stored - 1)
    samples = int(dataset.get("SamplesPerPixel") or 1)
    bits = (
        int(dataset.Rows)
        * int(dataset.Columns)
        * samples
        * allocated
        * int(dataset.get("NumberOfFrames") or 1)
    )
    if dataset.get("PhotometricInterpretation") in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        bits = bits * 2 // 3
    size = -(-bits // 8)
    data = bytes(dataset.PixelData)[:size]
    if allocated in (8, 16, 32) and stored < allocated:
        order = ">" if big_endian else "<"
        words = np.frombuffer(
            data[: len(data) // (allocated // 8) * (allocated // 8)], f"{order}u{allocated // 8}"
        )
        mask = ((1 << stored) - 1) << (high - stored + 1)
        if int(dataset.get("PixelRepresentation") or 0):
            # The sign stands in every bit above, as it must where they are not used.
            sign = (words >> high) & 1
            words = (words & mask) | (sign * (((1 << allocated) - 1) & ~((1 << (high + 1)) - 1))).astype(
                words.dtype
            )
        else:
            words = words & np.array(mask, words.dtype)
        data = words.astype(f"{order}u{allocated // 8}").tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)


def clean_codestream(stream: bytes) -> bytes:
    """A JPEG, JPEG-LS or JPEG 2000 codestream without comments, EXIF and what follows its end.

    Raises:
        ValueError: it is none of them.
        struct.error: it ends early.
    """
    if stream[:2] == b"\xff\xd8":
        return _clean_jpeg(stream)
    start = 0 if stream.startswith(_J2K) else stream.find(_J2K)
    if start < 0:
        raise ValueError("no codestream")
    return _clean_jpeg_2000(stream[start:])


def _clean_jpeg(stream: bytes) -> bytes:
    """ISO/IEC 10918-1, B.1.1: segments of applications and comments go, but what tells of colours."""
    out, place, after_scan = [b"\xff\xd8"], 2, _SCAN_OF_JPEG
    while place < len(stream):
        while stream[place] == 0xFF and stream[place + 1] == 0xFF:
            place += 1
        marker = stream[place + 1]
        if stream[place] != 0xFF:
            raise ValueError("no marker")
        if marker == 0xD9:
            break
        (length,) = struct.unpack_from(">H", stream, place + 2)
        segment = stream[place : place + 2 + length]
        out.append(_kept_segment(marker, segment))
        place += 2 + length
        if marker == 0xF7:
            after_scan = _AFTER_SCAN
        if marker == 0xDA:
            following = after_scan.search(stream, place)
            end = following.start() if following else len(stream)
            out.append(stream[place:end])
            place = end
    return b"".join([*out, b"\xff\xd9"])


def _kept_segment(marker: int, segment: bytes) -> bytes:
    content = segment[4:]
    if marker == 0xE0 and content.startswith(b"JFIF\0"):
        return b"\xff\xe0\x00\x10" + content[:12].ljust(12, b"\0") + b"\0\0"  # without its thumbnail
    if marker == 0xEE and content.startswith(b"Adobe"):
        return b"\xff\xee\x00\x0e" + content[:12].ljust(12, b"\0")
    if marker == 0xE8 and content.startswith(b"mrfx"):
        return b"\xff\xe8\x00\x07" + content[:5].ljust(5, b"\0")
    return b"" if 0xE0 <= marker <= 0xEF or marker == 0xFE else segment


def _clean_jpeg_2000(stream: bytes) -> bytes:
    """ISO/IEC 15444-1, A.9.2: the text of each comment becomes zeros, so that no length changes."""
    data = bytearray(stream)
    place, end = 2, len(data)
    while place + 4 <= len(data):
        marker, length = struct.unpack_from(">HH", data, place)
        if marker == 0xFFD9:
            end = place + 2
            break
        if marker == 0xFF90:
            (tile_part,) = struct.unpack_from(">I", data, place + 6)
            tile_end = place + tile_part if tile_part else data.rfind(b"\xff\xd9")
            place += 2 + length
            while (marker := struct.unpack_from(">H", data, place)[0]) != 0xFF93:
                (length,) = struct.unpack_from(">H", data, place + 2)
                _blank_comment(data, place, marker, length)
                place += 2 + length
            place = max(tile_end, place + 2)
            continue
        _blank_comment(data, place, marker, length)
        place += 2 + length
    else:
        end = data.rfind(b"\xff\xd9") + 2 if b"\xff\xd9" in data else len(data)
    return bytes(data[:end])


def _blank_comment(data: bytearray, place: int, marker: int, length: int) -> None:
    if marker == 0xFF64:
        data[place + 4 : place + 2 + length] = bytes(length - 2)
