"""Colour becomes grey, by whichever way it was stored."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from pydicom.pixels.processing import convert_color_space
from pydicom.uid import JPEGBaseline8Bit, JPEGLossless

from tests.imaging.files import LOSSLESS, as_bytes, dataset, jpeg_lossless, picture, with_codestream
from tetkik.errors import InputError
from tetkik.imaging.read import read_bytes


def coloured(rows: int = 40, columns: int = 36) -> np.ndarray:
    channels = [picture(rows, columns, 8, seed).astype(np.uint8) for seed in range(3)]
    return np.stack(channels, axis=-1) // 2 + 40


def grey(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(float) @ [0.299, 0.587, 0.114]


def colourfulness(rgb: np.ndarray) -> float:
    red, green, blue = np.moveaxis(rgb.astype(float), -1, 0)
    return float(np.mean([abs(red - green), abs(green - blue), abs(red - blue)]) / np.iinfo(rgb.dtype).max)


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
def test_rgb_in_every_lossless_syntax(syntax):
    rgb = coloured()
    image = read_bytes(as_bytes(dataset(rgb), syntax), "x")
    assert image.white == 255 and np.abs(image.pixels - grey(rgb)).max() <= 0.501
    assert image.colour == pytest.approx(colourfulness(rgb), abs=1e-9)


def test_lossless_jpeg_in_colour():
    rgb = coloured()
    image = read_bytes(with_codestream(dataset(rgb), jpeg_lossless(rgb, 8), JPEGLossless), "x")
    assert np.abs(image.pixels - grey(rgb)).max() <= 0.501


def test_16_bits_of_colour():
    rgb = np.stack([picture(bits=16, seed=seed) for seed in range(3)], axis=-1)
    image = read_bytes(as_bytes(dataset(rgb)), "x")
    assert image.white == 65535 and np.abs(image.pixels - grey(rgb)).max() <= 0.501


def test_fewer_bits_of_colour_fill_the_range():
    rgb = np.array([[[0, 0, 0], [4095, 4095, 4095], [2048, 2048, 2048]]], np.uint16)
    assert read_bytes(as_bytes(dataset(rgb, 12)), "x").pixels.tolist() == [[0, 65535, 2048 * 65535 // 4095]]


def test_planes():
    rgb = coloured()
    made = dataset(rgb)
    made.PlanarConfiguration = 1
    made.PixelData = np.ascontiguousarray(np.moveaxis(rgb, -1, 0)).tobytes()
    assert np.array_equal(
        read_bytes(as_bytes(made), "x").pixels, read_bytes(as_bytes(dataset(rgb)), "x").pixels
    )


def test_ybr_full():
    ybr = convert_color_space(coloured(), "RGB", "YBR_FULL")
    image = read_bytes(as_bytes(dataset(ybr, PhotometricInterpretation="YBR_FULL")), "x")
    # Luma is the first of the three; both ways are rounded.
    assert np.abs(image.pixels.astype(int) - ybr[..., 0]).max() <= 1
    assert image.colour == pytest.approx(colourfulness(coloured()), abs=0.01)


def test_ybr_full_422():
    ybr = convert_color_space(coloured(), "RGB", "YBR_FULL")
    ybr[:, 1::2, 1:] = ybr[:, ::2, 1:]
    pairs = np.stack([ybr[:, ::2, 0], ybr[:, 1::2, 0], ybr[:, ::2, 1], ybr[:, ::2, 2]], axis=-1)
    halved = dataset(ybr, PhotometricInterpretation="YBR_FULL_422")
    halved.PixelData = pairs.tobytes()
    whole = dataset(ybr, PhotometricInterpretation="YBR_FULL")
    assert np.array_equal(read_bytes(as_bytes(halved), "x").pixels, read_bytes(as_bytes(whole), "x").pixels)


def jpeg(rgb: np.ndarray, **options: object) -> bytes:
    buffer = BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=98, subsampling=0, **options)
    return buffer.getvalue()


def without_marker(data: bytes) -> bytes:
    """A JPEG that does not say that it is JFIF."""
    length = int.from_bytes(data[4:6], "big")
    return data[:2] + data[4 + length :]


@pytest.mark.parametrize("marked", [True, False])
def test_jpeg_with_a_colour_transform(marked):
    rgb = coloured()
    coded = jpeg(rgb) if marked else without_marker(jpeg(rgb))
    made = dataset(rgb, PhotometricInterpretation="YBR_FULL_422")
    image = read_bytes(with_codestream(made, coded, JPEGBaseline8Bit), "x")
    assert np.abs(image.pixels - grey(rgb)).mean() < 1
    assert image.colour == pytest.approx(colourfulness(rgb), abs=0.02)


def test_jpeg_of_rgb_without_a_transform():
    rgb = coloured()
    coded = without_marker(jpeg(rgb, keep_rgb=True))
    # The components are called R, G and B in the frame and in the scan; here they get numbers.
    for called, numbered in (
        (b"\x03R\x11\0G\x11\0B\x11\0", b"\x03\1\x11\0\2\x11\0\3\x11\0"),
        (b"\x03R\0G\0B\0", b"\x03\1\0\2\0\3\0"),
    ):
        assert called in coded
        coded = coded.replace(called, numbered)
    image = read_bytes(with_codestream(dataset(rgb), coded, JPEGBaseline8Bit), "x")
    assert np.abs(image.pixels - grey(rgb)).mean() < 1.5


def test_jpeg_whose_components_are_called_rgb():
    rgb = coloured()
    coded = without_marker(jpeg(rgb, keep_rgb=True))
    for photometric in ("RGB", "YBR_FULL_422"):
        made = dataset(rgb, PhotometricInterpretation=photometric)
        image = read_bytes(with_codestream(made, coded, JPEGBaseline8Bit), "x")
        assert np.abs(image.pixels - grey(rgb)).mean() < 1.5


@pytest.mark.parametrize("bits", [8, 16])
def test_palette(bits):
    random = np.random.default_rng(0)
    entries = random.integers(0, 1 << bits, (256, 3))
    made = dataset(np.arange(256, dtype=np.uint8).reshape(16, 16), PhotometricInterpretation="PALETTE COLOR")
    for channel, name in enumerate(("Red", "Green", "Blue")):
        made.add_new(f"{name}PaletteColorLookupTableDescriptor", "US", [256, 0, bits])
        content = entries[:, channel].astype(f"<u{bits // 8}").tobytes()
        made.add_new(f"{name}PaletteColorLookupTableData", "OW", content)
    image = read_bytes(as_bytes(made), "x")
    assert image.white == (1 << bits) - 1
    assert np.abs(image.pixels.ravel() - grey(entries)).max() <= 0.501
    assert image.colour == pytest.approx(colourfulness(entries.astype(f"u{bits // 8}")), abs=1e-9)


def test_a_palette_without_its_tables():
    made = dataset(picture(bits=8).astype(np.uint8), PhotometricInterpretation="PALETTE COLOR")
    with pytest.raises(InputError, match="x is damaged"):
        read_bytes(as_bytes(made), "x")


def test_grey_in_colour_has_no_colour_and_keeps_its_values():
    pixels = picture(bits=8).astype(np.uint8)
    image = read_bytes(as_bytes(dataset(np.stack([pixels] * 3, axis=-1))), "x")
    assert image.colour == 0 and np.array_equal(image.pixels, pixels)
