"""The same picture in every transfer syntax is the same radiograph."""

from __future__ import annotations

from io import BytesIO

import jpeg_ls
import numpy as np
import pytest
from openjpeg.utils import encode_array
from PIL import Image
from pydicom import dcmread
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from tests.imaging.files import (
    LOSSLESS,
    as_bytes,
    codestream_of,
    dataset,
    jpeg_12_of_blocks,
    jpeg_lossless,
    picture,
    with_codestream,
)
from tetkik.errors import InputError
from tetkik.imaging.read import read_bytes

DEPTHS = {
    "8": (8, "u1"),
    "12": (12, "u2"),
    "16": (16, "u2"),
    "12 signed": (12, "i2"),
    "16 signed": (16, "i2"),
}
WHOLE = {"WindowCenter": 2048, "WindowWidth": 4096, "VOILUTFunction": "LINEAR_EXACT"}
"""The window that shows 12 bits as they are."""


def pixels_of(depth: str) -> np.ndarray:
    bits, kind = DEPTHS[depth]
    levels = picture(bits=bits).astype(np.int64)
    return (levels - (1 << (bits - 1)) if kind == "i2" else levels).astype(kind)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_every_lossless_syntax_gives_the_same_pixels(syntax, depth):
    pixels = pixels_of(depth)
    image = read_bytes(as_bytes(dataset(pixels, DEPTHS[depth][0]), syntax), "x")
    # No window: the range that is used, so the shades are the stored values but for their scale.
    low, high = np.percentile(pixels, [0.1, 99.9], method="inverted_cdf").astype(float)
    expected = np.clip((pixels - low) / (high - low), 0, 1) * image.white
    assert image.white == (255 if depth == "8" else 65535)
    assert np.abs(image.pixels - expected).max() <= image.white / (high - low) + 1
    plain = read_bytes(as_bytes(dataset(pixels, DEPTHS[depth][0]), ExplicitVRLittleEndian), "x")
    assert np.array_equal(image.pixels, plain.pixels)


@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("bits", [2, 8, 9, 10, 12, 14, 16])
def test_lossless_jpeg_of_any_depth(bits, predictor, capfd):
    pixels = picture(bits=bits)
    made = dataset(pixels.astype(np.uint8) if bits <= 8 else pixels, bits)
    plain = read_bytes(as_bytes(made), "x")
    image = read_bytes(with_codestream(made, jpeg_lossless(pixels, bits, predictor), JPEGLossless), "x")
    assert np.array_equal(image.pixels, plain.pixels)
    assert capfd.readouterr() == ("", "")


def test_extended_jpeg_of_12_bits(capfd):
    levels = np.random.default_rng(0).integers(0, 4096, (5, 4))
    made = dataset(np.zeros((40, 32), np.uint16), 12, **WHOLE)
    image = read_bytes(with_codestream(made, jpeg_12_of_blocks(levels), JPEGExtended12Bit), "x")
    expected = np.kron(levels, np.ones((8, 8))) / 4096 * 65535
    assert np.abs(image.pixels - expected).max() <= 0.5 + 1e-3
    assert capfd.readouterr() == ("", "")


def test_baseline_jpeg_within_its_loss():
    pixels = picture(bits=8).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    made = dataset(pixels, WindowCenter=128, WindowWidth=256)
    image = read_bytes(with_codestream(made, buffer.getvalue(), JPEGBaseline8Bit), "x")
    assert np.abs(image.pixels.astype(int) - pixels).max() < 20
    assert np.abs(image.pixels.astype(int) - pixels).mean() < 3


def test_near_lossless_jpeg_ls_within_its_loss():
    pixels = picture()
    codestream = bytes(jpeg_ls.encode_array(pixels, lossy_error=3))
    image = read_bytes(with_codestream(dataset(pixels, 12, **WHOLE), codestream, JPEGLSNearLossless), "x")
    assert 0 < np.abs(image.pixels / 65535 * 4096 - pixels).max() <= 3.1


def test_lossy_jpeg_2000_within_its_loss():
    pixels = picture()
    codestream = encode_array(pixels, bits_stored=12, compression_ratios=[3])
    image = read_bytes(with_codestream(dataset(pixels, 12, **WHOLE), codestream, JPEG2000), "x")
    assert 0 < np.abs(image.pixels / 65535 * 4096 - pixels).mean() < 40


@pytest.mark.parametrize("syntax", [HTJ2KLossless, HTJ2K], ids=lambda syntax: syntax.name)
def test_high_throughput_jpeg_2000(syntax):
    """A flat image has empty code-blocks, the same in both kinds; its headers are of the new one."""
    flat = np.full((40, 36), 2048, np.uint16)
    codestream = bytearray(encode_array(flat, bits_stored=12))
    style = codestream.index(b"\xff\x52") + 12
    codestream[style] |= 0x40
    codestream[6] |= 0x40
    size = 2 + 2 + int.from_bytes(codestream[4:6], "big")
    codestream[size:size] = b"\xff\x50\x00\x08\x00\x02\x00\x00\x00\x00"
    image = read_bytes(with_codestream(dataset(flat, 12, **WHOLE), bytes(codestream), syntax), "x")
    assert np.abs(image.pixels / 65535 * 4096 - 2048).max() < 0.1


def test_the_codestream_says_what_it_is_and_not_the_file():
    pixels = picture()
    plain = read_bytes(as_bytes(dataset(pixels, 12)), "x").pixels
    codestream = codestream_of(as_bytes(dataset(pixels, 12), JPEGLSLossless))
    for syntax in (JPEG2000Lossless, JPEGLossless, JPEGBaseline8Bit):
        assert np.array_equal(
            read_bytes(with_codestream(dataset(pixels, 12), codestream, syntax), "x").pixels, plain
        )


def test_a_codestream_in_boxes():
    pixels = picture()
    boxed = encode_array(pixels, bits_stored=12, codec_format=1)
    image = read_bytes(with_codestream(dataset(pixels, 12), boxed, JPEG2000Lossless), "x")
    assert np.array_equal(image.pixels, read_bytes(as_bytes(dataset(pixels, 12)), "x").pixels)


def test_runs_of_rle_across_the_ends_of_rows():
    """The standard forbids them, and some encoders write them."""
    flat = np.zeros((6, 50), np.uint8)
    flat[3:] = 200
    header = np.zeros(16, "<u4")
    header[:2] = 1, 64
    runs = bytes([257 - 128, 0, 257 - 22, 0, 257 - 128, 200, 257 - 22, 200])
    made = dataset(flat)
    image = read_bytes(with_codestream(made, header.tobytes() + runs, RLELossless), "x")
    assert np.array_equal(image.pixels, np.where(flat, 255, 0))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, RLELossless, JPEG2000Lossless, JPEGLSLossless])
def test_a_frame_of_many(syntax):
    frames = np.stack([picture(seed=seed) for seed in range(5)])
    data = as_bytes(dataset(frames, 12), syntax)
    for asked, expected in ((1, 0), (5, 4), (None, 2)):
        image = read_bytes(data, "x", frame=asked)
        single = read_bytes(as_bytes(dataset(frames[expected], 12)), "x")
        assert np.array_equal(image.pixels, single.pixels)
        assert [note.values for note in image.notes] == [{"frames": 5, "frame": expected + 1}]
        assert image.tags.frames == 5
    for impossible in (0, 6, -1):
        with pytest.raises(InputError, match="x has no frame"):
            read_bytes(data, "x", frame=impossible)


def test_a_single_frame_says_nothing_of_frames():
    assert read_bytes(as_bytes(dataset(picture(), 12)), "x", frame=1).notes == ()


def test_one_bit_a_pixel():
    frames = np.random.default_rng(0).integers(0, 2, (3, 5, 7), np.uint8)
    made = dataset(frames)
    made.BitsAllocated, made.BitsStored, made.HighBit = 1, 1, 0
    made.PixelData = np.packbits(frames.ravel(), bitorder="little").tobytes() + b"\0"
    image = read_bytes(as_bytes(made), "x", frame=2)
    assert np.array_equal(image.pixels, frames[1] * 255)


def test_a_syntax_that_is_not_read_is_named():
    made = dataset(picture(), 12)
    data = as_bytes(made, JPEG2000Lossless)
    mpeg = data.replace(b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.10")
    with pytest.raises(InputError, match="compressed in a way that cannot be read here"):
        read_bytes(mpeg, "x")


def test_the_file_that_pydicom_would_read_alike():
    """Stored values, against pydicom's own reading, through a window that hides nothing."""
    pixels = pixels_of("16 signed")
    data = as_bytes(dataset(pixels, 16, WindowCenter=0, WindowWidth=65536, VOILUTFunction="LINEAR_EXACT"))
    theirs = dcmread(BytesIO(data)).pixel_array
    assert np.abs(read_bytes(data, "x").pixels.astype(int) - 32768 - theirs).max() <= 1
