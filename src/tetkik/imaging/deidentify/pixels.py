"""What can hide in pixel data: comments of a codestream, bits that no pixel uses, bytes past the last one."""

from __future__ import annotations

import re
import struct
from itertools import islice

import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, RLELossless

from tetkik.errors import InputError
from tetkik.imaging.decoders import EOI, J2K, jpeg_2000_segments, jpeg_segments
from tetkik.imaging.dicom_pixels import PIXELS, has_swapped_octets, swapped
from tetkik.imaging.tags import whole

# Elements of bytes (OB, OW, OF, …): pixels, tables of grey values and colour profiles, each as long as
# it says.
#
# A text can hide in any other, and behind the last value of these.


_PALETTES = {
    f"{name}PaletteColorLookupTableData": f"{name}PaletteColorLookupTableDescriptor"
    for name in ("Red", "Green", "Blue", "Alpha")
}
TABLES = frozenset({"LUTData", *_PALETTES})


def clean_binary(dataset: Dataset, nested: bool) -> None:
    """Take out of one level of `dataset`, in place, every element of bytes that is not known to be numbers.

    The pixels stand on top, and are seen to by `clean_pixels`.
    """
    for tag in list(dataset.keys()):
        try:
            keyword, vr = dataset[tag].keyword, dataset[tag].VR
        except Exception:  # noqa: S112 - what cannot be decoded is removed later, whatever pydicom raises
            continue
        if keyword in TABLES:
            _shorten_table(dataset, keyword)
        elif keyword == "ICCProfile":
            _replace_profile(dataset)
        elif keyword == "WaveformData":
            _shorten(dataset, keyword, _waveform_bytes(dataset))
        elif vr in ("OB", "OD", "OF", "OL", "OV", "OW", "UN") and (nested or keyword not in PIXELS):
            del dataset[tag]


def _shorten(dataset: Dataset, keyword: str, size: int | None) -> None:
    if size is None or not isinstance(dataset[keyword].value, bytes):
        del dataset[keyword]
    else:
        kept = dataset[keyword].value[:size]
        dataset[keyword].value = kept + b"\0" * (len(kept) % 2)


def _shorten_table(dataset: Dataset, keyword: str) -> None:
    """A table with the number of entries, and of bits, that its descriptor says (PS3.3, C.7.6.3.1.5)."""
    descriptor = dataset.get(_PALETTES.get(keyword, "LUTDescriptor"))
    if not isinstance(descriptor, (list, tuple)) and not hasattr(descriptor, "__len__"):
        del dataset[keyword]
        return
    entries, _, bits = (int(value) for value in descriptor)
    entries = entries or 1 << 16
    value = dataset[keyword].value
    if isinstance(value, bytes):
        # Eight bits may be packed two to a word, or stand in one each.
        wide = bits > 8 or len(value) >= 2 * entries
        _shorten(dataset, keyword, 2 * entries if wide else entries)
    elif len(value) > entries:
        dataset[keyword].value = list(value)[:entries]


def _waveform_bytes(dataset: Dataset) -> int | None:
    """PS3.3, C.10.9: channels, samples of each, and their bits."""
    stated = [
        whole(dataset, name)
        for name in ("NumberOfWaveformChannels", "NumberOfWaveformSamples", "WaveformBitsAllocated")
    ]
    if None in stated:
        return None
    channels, samples, bits = (number or 0 for number in stated)
    return channels * samples * bits // 8


# ICC.1:2022, 7.2 to 7.3 and 10: what makes a profile of three curves and a matrix, or of one curve.
_NUMBERS = frozenset({b"rXYZ", b"gXYZ", b"bXYZ", b"wtpt", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"chad"})
_PARAMETERS = {0: 1, 1: 3, 2: 4, 3: 5, 4: 7}
_D50 = bytes.fromhex("0000f6d6000100000000d32d")
_WORDS = {b"desc": "Colour", b"cprt": "None"}


def _replace_profile(dataset: Dataset) -> None:
    value = dataset["ICCProfile"].value
    profile = clean_profile(value) if isinstance(value, bytes) else None
    if profile is None:
        del dataset["ICCProfile"]
    else:
        dataset["ICCProfile"].value = profile


def clean_profile(profile: bytes) -> bytes | None:
    """An ICC profile with its curves and its matrix alone; None where its colours need more than these.

    Its description, maker, date and identifier go, and so does every byte that no table of tags names.
    """
    try:
        space, usage = profile[16:20], profile[12:16]
        if space not in (b"RGB ", b"GRAY") or usage not in (b"scnr", b"mntr", b"prtr", b"spac"):
            return None
        count = struct.unpack_from(">I", profile, 128)[0]
        tags = (struct.unpack_from(">4sII", profile, 132 + 12 * index) for index in range(min(count, 100)))
        kept = {name: _numbers(profile, start) for name, start, _ in tags if name in _NUMBERS}
    except (struct.error, KeyError):
        return None
    if not {b"rTRC", b"gTRC", b"bTRC", b"rXYZ", b"gXYZ", b"bXYZ"} <= kept.keys() and b"kTRC" not in kept:
        return None
    for name, words in _WORDS.items():
        text = words.encode("utf-16-be")
        kept[name] = struct.pack(">4sIII4sII", b"mluc", 0, 1, 12, b"enUS", len(text), 28) + text
    place, table, body = 132 + 12 * len(kept), b"", b""
    for name, content in kept.items():
        table += struct.pack(">4sII", name, place + len(body), len(content))
        body += content + b"\0" * (-len(content) % 4)
    size = place + len(body)
    head = struct.pack(">I4sI", size, b"\0" * 4, 0x04300000) + usage + space + b"XYZ " + b"\0" * 12 + b"acsp"
    head = head.ljust(68, b"\0") + _D50
    return head.ljust(128, b"\0") + struct.pack(">I", len(kept)) + table + body + b"\0" * (size % 2)


def _numbers(profile: bytes, start: int) -> bytes:
    """A tag's value, as long as its type makes it."""
    kind = profile[start : start + 4]
    if kind == b"curv":
        size = 12 + 2 * struct.unpack_from(">I", profile, start + 8)[0]
    elif kind == b"para":
        size = 12 + 4 * _PARAMETERS[struct.unpack_from(">H", profile, start + 8)[0]]
    else:
        size = {b"XYZ ": 20, b"sf32": 44}[kind]
    value = profile[start : start + size]
    if len(value) != size:
        raise KeyError(kind)
    return value[:4] + b"\0" * 4 + value[8:]


_NATIVE = frozenset(
    {"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"}
)
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_JPEG = re.compile(r"1\.2\.840\.10008\.1\.2\.4\.(5\d|6[0-6]|70|8[01]|9[0-3]|20[1-3])")


def clean_pixels(dataset: Dataset, syntax: UID, file: str) -> None:
    """Take what is no pixel out of the pixel data of `dataset`, in place; the image stays bit for bit."""
    for keyword, octets in (("FloatPixelData", 4), ("DoubleFloatPixelData", 8)):
        if keyword in dataset:
            dataset[keyword].value = bytes(dataset[keyword].value)[: _samples(dataset) * octets]
    if "PixelData" not in dataset:
        return
    if syntax in _NATIVE:
        _clean_native(dataset, syntax)
        return
    if _has_hidden_overlay(dataset):
        raise InputError(
            "{file} has an overlay in the bits of compressed pixels, which cannot be taken out; "
            "leave it out.",
            file=file,
        )
    if syntax != RLELossless and not _JPEG.fullmatch(syntax):
        raise InputError(
            "{file} holds its images in a way that cannot be looked through for identifiers ({kind}); leave "
            "it out.",
            file=file,
            kind=syntax.name,
        )
    frames = whole(dataset, "NumberOfFrames") or 1
    size = int(dataset.Rows) * int(dataset.Columns)
    streams = [
        clean_rle(stream, size) if syntax == RLELossless else clean_codestream(stream)
        for stream in islice(generate_frames(dataset.PixelData, number_of_frames=frames), frames)
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


def _samples(dataset: Dataset) -> int:
    """Of all frames."""
    frames, samples = whole(dataset, "NumberOfFrames") or 1, whole(dataset, "SamplesPerPixel") or 1
    return int(dataset.Rows) * int(dataset.Columns) * samples * frames


def clean_rle(frame: bytes, size: int) -> bytes:
    """A frame of RLE segments, each of `size` bytes unpacked, without what lies between and behind them
    (PS3.5, G).

    Raises:
        ValueError: a segment that ends early.
    """
    count, *starts = struct.unpack_from("<16I", frame)
    if not 1 <= count <= 15 or any(start < 64 for start in starts[:count]):
        raise ValueError("no RLE frame")
    segments = [_clean_segment(frame, start, size) for start in starts[:count]]
    places = [64 + sum(map(len, segments[:index])) for index in range(count)]
    return struct.pack("<16I", count, *places, *(0 for _ in range(15 - count))) + b"".join(segments)


def _clean_segment(frame: bytes, place: int, size: int) -> bytes:
    """PackBits up to the last of `size` bytes; what the last packet has beyond it goes, and steps of
    nothing."""
    out = bytearray()
    while size > 0:
        head = frame[place] if place < len(frame) else 128
        if head == 128:
            if place >= len(frame):
                raise ValueError("a segment that ends early")
            place += 1
            continue
        length = min(size, head + 1 if head < 128 else 257 - head)
        content = frame[place + 1 : place + 1 + (length if head < 128 else 1)]
        if len(content) < (length if head < 128 else 1):
            raise ValueError("a segment that ends early")
        # A run of one is written as the byte itself: 257 - 1 is no length.
        is_run = head > 128 and length > 1
        out.append(257 - length if is_run else length - 1)
        out += content
        place += 2 + head if head < 128 else 2
        size -= length
    return bytes(out) + b"\0" * (len(out) % 2)


def _clean_native(dataset: Dataset, syntax: UID) -> None:
    allocated = whole(dataset, "BitsAllocated") or 0
    stored = whole(dataset, "BitsStored") or allocated
    high = whole(dataset, "HighBit") or stored - 1
    bits = _samples(dataset) * allocated
    if dataset.get("PhotometricInterpretation") in ("YBR_FULL_422", "YBR_PARTIAL_422"):
        bits = bits * 2 // 3
    size = -(-bits // 8)
    is_swapped = allocated == 8 and has_swapped_octets(dataset, syntax)
    data = swapped(bytes(dataset.PixelData))[:size] if is_swapped else bytes(dataset.PixelData)[:size]
    if allocated in (8, 16, 32) and stored < allocated:
        kind = np.dtype(f"{'>' if syntax == _BIG_ENDIAN else '<'}u{allocated // 8}")
        words = np.frombuffer(data, kind, len(data) // kind.itemsize)
        mask = ((1 << stored) - 1) << (high - stored + 1)
        if int(dataset.get("PixelRepresentation") or 0):
            # The sign stands in every bit above, as it must where they are not used.
            sign = (words >> high) & 1
            above = ((1 << allocated) - 1) & ~((1 << (high + 1)) - 1)
            words = (words & mask) | (sign * above).astype(words.dtype)
        else:
            words = words & np.array(mask, words.dtype)
        data = words.astype(kind).tobytes()
    data += b"\0" * (len(data) % 2)
    dataset.PixelData = swapped(data) if is_swapped else data


def clean_codestream(stream: bytes) -> bytes:
    """A JPEG, JPEG-LS or JPEG 2000 codestream without comments, EXIF and what follows its end.

    Raises:
        ValueError: it is none of them.
        struct.error: it ends early.
    """
    if stream[:2] == b"\xff\xd8":
        return _clean_jpeg(stream)
    start = stream.find(J2K)
    if start < 0:
        raise ValueError("no codestream")
    return _clean_jpeg_2000(stream[start:])


def _clean_jpeg(stream: bytes) -> bytes:
    """ISO/IEC 10918-1, B.1.1: segments of applications and comments go, but what tells of colours."""
    out = [b"\xff\xd8"]
    for marker, start, end, coded_end in jpeg_segments(stream):
        if marker != EOI:
            content = _kept_content(marker, stream[start:end])
            if content is not None:
                out.append(struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content)
            out.append(stream[end:coded_end])
    return b"".join([*out, b"\xff\xd9"])


_OF_THE_IMAGE = frozenset({*range(0xC0, 0xD0), 0xDA, 0xDB, 0xDC, 0xDD, 0xF7, 0xF8})
"""Frames, tables, scans and intervals (ISO/IEC 10918-1, table B.1; 14495-1, C.2)."""


def _kept_content(marker: int, content: bytes) -> bytes | None:
    if marker == 0xE0 and content.startswith(b"JFIF\0"):
        return content[:12].ljust(12, b"\0") + b"\0\0"  # without its thumbnail
    if marker == 0xEE and content.startswith(b"Adobe"):
        return content[:12].ljust(12, b"\0")
    if marker == 0xE8 and content.startswith(b"mrfx"):
        return content[:5].ljust(5, b"\0")
    return content if marker in _OF_THE_IMAGE else None


def _clean_jpeg_2000(stream: bytes) -> bytes:
    """ISO/IEC 15444-1, A.9.2: the text of each comment becomes zeros, so that no length changes."""
    data = bytearray(stream)
    last = -1
    for marker, start, end in jpeg_2000_segments(stream):
        if marker == 0x64:
            data[start:end] = bytes(end - start)
        elif marker == EOI:
            last = start
    if last < 0:
        last = data.rfind(b"\xff\xd9")  # not in a comment: those are zeros by now
    return bytes(data if last < 0 else data[: last + 2])
