"""Bombs, lies and rubbish: an error that names the file, in bounded time and memory.

Files that are changed at random: `tests/fuzzing`.
"""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openjpeg.utils import encode_array
from pydicom import Dataset
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLossless,
    JPEGLSLossless,
    RLELossless,
)

from tests.imaging.files import (
    as_bytes,
    codestream_of,
    dataset,
    deflated,
    picture,
    raster,
    sound_files,
    with_codestream,
)
from tests.imaging.isolated import Outcome, read_isolated
from tetkik.errors import InputError
from tetkik.imaging import limits
from tetkik.imaging.decoders import CodestreamError, parse_codestream
from tetkik.imaging.read import read_bytes

MEGABYTE = 1 << 20


def plain() -> bytes:
    return as_bytes(dataset(picture(), 12))


def apart(data: bytes, **limits: int) -> Outcome:
    return read_isolated([data], **limits)[0]


def refused(data: bytes, words: str, **limits: int) -> None:
    """It is refused in a sentence that names it, within a few of its own sizes of memory."""
    outcome = apart(data, **limits)
    assert "FILE" in outcome.said and words in outcome.said, outcome
    assert outcome.memory < 100 * MEGABYTE + 8 * len(data), outcome


def test_the_sound_files_are_sound():
    files = list(sound_files().values())
    assert [outcome.said for outcome in read_isolated(files)] == [""] * len(files)


# Bombs


def test_a_deflate_bomb():
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = packer.compress(bytes(100 * MEGABYTE)) + packer.flush()
    refused(deflated(bomb), "more than 2000000 bytes", max_image_bytes=2_000_000)


def test_a_deflated_file_that_ends_early():
    whole = as_bytes(dataset(picture(), 12), ExplicitVRLittleEndian)
    body = whole[whole.index(b"\x08\0\x16\0UI") :]
    # Every octet of the image comes through, but in one of the two the last block is not closed.
    sound, early = (deflated(packed(body, end)) for end in (zlib.Z_FINISH, zlib.Z_SYNC_FLUSH))
    assert read_bytes(sound, "FILE").rows == 40
    with pytest.raises(InputError, match="FILE ends before its image does"):
        read_bytes(early, "FILE")


def packed(content: bytes, end: int) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush(end)


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@pytest.mark.parametrize(
    ("side", "words"), [(12_000, "12000 × 12000 pixels"), (60_000, "more pixels than any limit")]
)
def test_a_png_bomb(side, words):
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(MEGABYTE)))
    refused(png + chunk(b"IEND", b""), words)


def tiff(width: int, height: int, **tags: int) -> bytes:
    known = {"tile_width": 322, "tile_length": 323}
    entries = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 100}
    if tags:
        del entries[273], entries[278], entries[279]
        entries |= {known[name]: value for name, value in tags.items()} | {324: 8, 325: 100}
    packed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    directory = struct.pack("<H", len(entries)) + packed + b"\0\0\0\0"
    return b"II*\0" + struct.pack("<I", 8 + 100) + bytes(100) + directory


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff(12_000, 12_000), "12000 × 12000 pixels"),
        (tiff(100_000, 100_000), "more pixels than any limit"),
        (tiff(16, 16, tile_width=50_000, tile_length=50_000), "50000 × 50000 pixels"),
    ],
)
def test_a_tiff_bomb(data, words):
    refused(data, words)


def test_a_tiff_whose_pages_go_in_a_circle():
    page = bytearray(tiff(10, 10))
    page[-4:] = struct.pack("<I", 108)
    assert apart(bytes(page)).said == ""


@pytest.mark.parametrize("frame", [2, 10**9])
def test_a_page_beyond_a_circle(frame):
    page = bytearray(tiff(10, 10))
    page[-4:] = struct.pack("<I", 108)
    with pytest.raises(InputError, match="x has no page"):
        read_bytes(bytes(page), "x", frame=frame)


@pytest.mark.parametrize("rows", [65_535, 12_000])
def test_absurd_rows_and_columns(rows):
    made = dataset(picture(), 12)
    made.Rows = made.Columns = rows
    refused(as_bytes(made), f"{rows} × {rows} pixels")


def test_the_limit_of_pixels_is_a_setting():
    refused(plain(), "36 × 40 pixels, more than the limit of 1439", max_image_pixels=1439)
    assert apart(plain(), max_image_pixels=1440).said == ""


def with_frames(data: bytes, count: int) -> bytes:
    """A file of three frames that says that it has others."""
    said = b"IS\x02\x003 "
    assert data.count(said) == 1
    return data.replace(said, b"IS" + struct.pack("<H", 14) + str(count).encode().ljust(14))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless])
@pytest.mark.parametrize("frames", [100, 2**31 - 1, 10**12])
def test_frames_that_are_not_there(syntax, frames):
    data = as_bytes(dataset(np.stack([picture()] * 3), 12), syntax)
    refused(with_frames(data, frames), "FILE")


def test_a_file_whose_last_frame_is_not_there():
    """The middle one is, but a file that is cut short is not to be trusted."""
    data = as_bytes(dataset(np.stack([picture()] * 3), 12))
    refused(with_frames(data, 4), "ends before its image does")


def test_very_many_fragments(monkeypatch):
    monkeypatch.setattr(limits, "MOST_READS", 20_000)
    codestream = codestream_of(as_bytes(dataset(picture(), 12), JPEGLSLossless))
    data = with_codestream(dataset(picture(), 12), codestream, JPEGLSLossless)
    start = data.index(b"\xfe\xff\0\xe0") + 8
    with pytest.raises(InputError, match="x "):
        read_bytes(data[:start] + b"\xfe\xff\0\xe0\0\0\0\0" * 100_000 + data[start:], "x")


def test_a_flood_of_elements(monkeypatch):
    monkeypatch.setattr(limits, "MOST_READS", 20_000)
    data = as_bytes(dataset(picture(), 12), ImplicitVRLittleEndian)
    element = struct.pack("<HHI", 0x0009, 0x1001, 0)
    start = data.index(struct.pack("<HH", 0x0028, 0x0002))
    with pytest.raises(InputError, match="x is damaged"):
        read_bytes(data[:start] + element * 100_000 + data[start:], "x")


@pytest.mark.parametrize("depth", [50, 3_000, 100_000])
@pytest.mark.parametrize("closed", [True, False])
def test_nested_sequences(depth, closed):
    data = as_bytes(dataset(picture(), 12), ImplicitVRLittleEndian)
    opened = struct.pack("<HHI", 0x0008, 0x1140, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    ended = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    start = data.index(struct.pack("<HH", 0x0028, 0x0002))
    outcome = apart(data[:start] + opened * depth + (ended * depth if closed else b"") + data[start:])
    assert outcome.memory < 200 * MEGABYTE
    assert bool(outcome.said) == (depth > 50 or not closed)


def test_sequences_within_lengths():
    """Each says its own length; only what is asked for is opened."""
    inner = Dataset()
    for _ in range(60):
        outer = Dataset()
        outer.VOILUTSequence = [inner]
        inner = outer
    made = dataset(picture(), 12)
    made.VOILUTSequence = inner.VOILUTSequence
    made.ViewCodeSequence = inner.VOILUTSequence
    assert apart(as_bytes(made)).said == ""


@pytest.mark.parametrize("length", [0xFFFFFFF0, 0x7FFFFFFF, 2_000_000])
def test_a_length_beyond_the_end(length):
    data = plain()
    place = data.index(struct.pack("<HH", 0x7FE0, 0x0010)) + 8
    longer = data[:place] + struct.pack("<I", length) + data[place + 4 :]
    # What is there is all of the image, so that only the length is wrong.
    assert apart(longer).said == ""
    refused(longer[:-100], "ends before its image does")


# Codestreams that say other things than the file


def j2k(pixels: np.ndarray | None = None) -> bytearray:
    return bytearray(encode_array(picture() if pixels is None else pixels, bits_stored=12))


def compressed(codestream: bytes | bytearray, syntax: UID = JPEG2000Lossless, **tags: object) -> bytes:
    return with_codestream(dataset(picture(), 12, **tags), bytes(codestream), syntax)


def test_jpeg_2000_of_other_dimensions():
    stream = j2k()
    struct.pack_into(">II", stream, 8, 60_000, 60_000)
    struct.pack_into(">II", stream, 24, 60_000, 60_000)
    refused(compressed(stream), "its image data says 60000 × 60000")


@pytest.mark.parametrize(("marker", "syntax"), [(b"\xff\xf7", JPEGLSLossless), (b"\xff\xc3", JPEGLossless)])
def test_jpeg_of_other_dimensions(marker, syntax):
    stream = bytearray(codestream_of(as_bytes(dataset(picture(), 12), syntax)))
    struct.pack_into(">HH", stream, stream.index(marker) + 5, 60_000, 60_000)
    refused(compressed(stream, syntax), "its image data says 60000 × 60000")


@pytest.mark.attack
@pytest.mark.parametrize("transform", [2, 3, 255])
def test_a_lossless_jpeg_of_a_colour_transform_that_there_is_not(transform):
    """GDCM ended the process over it."""
    data = sound_files()[f"colour {JPEGLossless.name}"]
    place = data.index(b"Adobe") + 11
    assert apart(data[:place] + b"\1" + data[place + 1 :]).said == ""
    refused(data[:place] + bytes([transform]) + data[place + 1 :], "FILE")


def test_baseline_jpeg_of_other_dimensions():
    pixels = picture(bits=8).astype(np.uint8)
    stream = bytearray(raster(pixels, "JPEG"))
    struct.pack_into(">HH", stream, stream.index(b"\xff\xc0") + 5, 60_000, 60_000)
    refused(
        with_codestream(dataset(pixels), bytes(stream), JPEGBaseline8Bit), "its image data says 60000 × 60000"
    )


def test_jpeg_2000_of_tiny_tiles():
    stream = j2k(picture(300, 300))
    struct.pack_into(">II", stream, 24, 1, 1)
    made = dataset(picture(300, 300), 12)
    refused(with_codestream(made, bytes(stream), JPEG2000Lossless), "cannot be decoded")


def test_jpeg_2000_of_tiny_precincts():
    stream = j2k(picture(64, 64))
    struct.pack_into(">II", stream, 8, 9_000, 9_000)
    struct.pack_into(">II", stream, 24, 9_000, 9_000)
    style = stream.index(b"\xff\x52")
    levels = stream[style + 9]
    stream[style + 4] |= 1
    length = struct.unpack_from(">H", stream, style + 2)[0]
    stream[style + 2 + length : style + 2 + length] = bytes(levels + 1)
    struct.pack_into(">H", stream, style + 2, length + levels + 1)
    made = dataset(picture(64, 64), 12)
    made.Rows = made.Columns = 9_000
    refused(with_codestream(made, bytes(stream), JPEG2000Lossless), "cannot be decoded")


def test_a_progressive_jpeg_of_very_many_scans():
    pixels = np.zeros((64, 64), np.uint8)
    stream = raster(pixels, "JPEG", progressive=True)
    scan = stream.rindex(b"\xff\xda")
    many = stream[:scan] + stream[scan:-2] * 300 + stream[-2:]
    refused(many, "FILE is damaged")
    refused(with_codestream(dataset(pixels), many, JPEGBaseline8Bit), "cannot be decoded")


def test_rle_that_unpacks_to_more_than_the_image():
    header = np.zeros(16, "<u4")
    header[:3] = 2, 64, 64 + 4 * MEGABYTE
    runs = b"\x81\0" * (2 * MEGABYTE)
    outcome = apart(compressed(header.tobytes() + runs * 2, RLELossless))
    assert outcome.said == "" and outcome.memory < 100 * MEGABYTE


@pytest.mark.parametrize("starts", [(2, 64, 10**9), (2, 0, 64), (2, 200, 100), (3, 64, 65, 66), (0,)])
def test_rle_whose_segments_cannot_be(starts):
    header = np.zeros(16, "<u4")
    header[: len(starts)] = starts
    refused(compressed(header.tobytes() + bytes(1000), RLELossless), "cannot be decoded")


# Ends that come early


@pytest.mark.parametrize("name", sound_files())
def test_every_file_cut_short(name):
    """Cut anywhere before its last bytes it is refused; nothing is filled up."""
    data = sound_files()[name]
    places = sorted({0, 1, 4, 131, 132, *np.linspace(8, len(data) - 40, 25, dtype=int).tolist()})
    outcomes = read_isolated([data[:place] for place in places])
    for place, outcome in zip(places, outcomes, strict=True):
        assert outcome.said, f"{name} was read after {place} of {len(data)} bytes"


def test_a_file_without_its_pixels_ends_early():
    made = dataset(picture(), 12, ImageComments="a comment")
    del made.PixelData
    data = as_bytes(made)
    with pytest.raises(InputError, match="x describes an image and holds no pixels"):
        read_bytes(data, "x")
    with pytest.raises(InputError, match="x ends before its image does"):
        read_bytes(data[:-1], "x")


def test_an_unknown_kind_of_element_at_the_end_of_a_file_without_pixels():
    made = dataset(picture(), 12)
    del made.PixelData
    with pytest.raises(InputError, match=r"^x "):
        read_bytes(as_bytes(made) + b"\x33\x75\x10\x10L\x04\0\0", "x")


@pytest.mark.attack
def test_an_empty_identifier_of_an_unknown_kind():
    """pydicom converts an element without a value as soon as anybody asks for it, and knew no such kind."""
    data = as_bytes(dataset(picture(), 12, PatientID=""))
    empty = b"\x10\0\x20\0LO\0\0"
    assert data.count(empty) == 1
    assert read_bytes(data.replace(empty, b"\x10\0\x20\0L\xff\0\0"), "x").identity.patient_id is None


# Rubbish


@settings(max_examples=80, deadline=None)
@given(
    st.binary(max_size=400), st.sampled_from([b"", b"\0" * 128 + b"DICM", b"\x08\0\x05\0CS", b"\x08\0\x08\0"])
)
def test_rubbish_is_an_input_error(rubbish, head):
    with pytest.raises(InputError, match=r"^x"):
        read_bytes(head + rubbish, "x")


@settings(max_examples=80, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"\xff\xd8", b"\xff\xd8\xff\xc0", b"\xff\xd8\xff\xf7\0\x0b", b"\xff\x4f\xff\x51\0\x29"]),
)
def test_rubbish_is_no_codestream(rubbish, head):
    with pytest.raises(CodestreamError):
        parse_codestream(head + rubbish)
