"""PNG, JPEG and TIFF of every kind that hospitals and data sets hold."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from tests.imaging.files import picture
from tetkik.errors import InputError
from tetkik.imaging.read import read_bytes
from tetkik.values import FileFormat


def written(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def grey() -> np.ndarray:
    return picture(bits=8).astype(np.uint8)


@pytest.fixture(scope="module")
def colour() -> np.ndarray:
    return np.stack([picture(bits=8, seed=seed).astype(np.uint8) for seed in range(3)], axis=-1)


def luma(rgb: np.ndarray) -> np.ndarray:
    return rgb.astype(float) @ [0.299, 0.587, 0.114]


@pytest.mark.parametrize(
    ("kind", "options"), [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})]
)
def test_grey_of_8_bits_is_as_it_is(kind, options, grey):
    image = read_bytes(written(Image.fromarray(grey), kind, **options), "x")
    assert np.array_equal(image.pixels, grey) and image.white == 255
    assert image.file_format is FileFormat[kind]
    assert (image.colour, image.notes, image.degraded, image.spacing) == (0, (), False, None)
    assert image.tags.modality is None and image.identity.patient_id is None


def test_grey_jpeg(grey):
    image = read_bytes(written(Image.fromarray(grey), "JPEG", quality=98), "x")
    assert np.abs(image.pixels.astype(int) - grey).mean() < 1 and image.file_format is FileFormat.JPEG


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_16_bits_of_which_some_are_used(kind, bits):
    pixels = picture(bits=bits)
    pixels[0, 0] = (1 << bits) - 1
    image = read_bytes(written(Image.fromarray(pixels), kind), "x")
    assert np.array_equal(image.pixels, pixels) and image.white == (1 << bits) - 1
    assert [note.values for note in image.notes] == ([] if bits == 16 else [{"bits": bits}])


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
@pytest.mark.parametrize("bits", [1, 8, 16])
def test_tiff_in_which_zero_is_white(bits, compression):
    pixels = picture(bits=min(bits, 16))
    pixels[0, :2] = 0, (1 << bits) - 1
    mode = {1: np.bool_, 8: np.uint8, 16: np.uint16}[bits]
    options = {"compression": compression} if compression else {}
    data = bytearray(written(Image.fromarray(pixels.astype(mode)), "TIFF", **options))
    # Photometric Interpretation (262), one short: Pillow itself would invert what it writes.
    entry = struct.pack("<HHI", 262, 3, 1)
    data[data.index(entry) + 8] = 0
    image = read_bytes(bytes(data), "x")
    assert np.array_equal(image.pixels, image.white - pixels * (255 if bits == 1 else 1))


def test_tiff_of_either_byte_order():
    pixels = picture(bits=16)
    swapped = Image.frombytes("I;16B", (36, 40), pixels.byteswap().tobytes())
    data = written(swapped, "TIFF")
    assert data[:2] == b"MM"
    assert np.array_equal(read_bytes(data, "x").pixels, pixels)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_one_bit_a_pixel(kind, grey):
    black_and_white = grey > 100
    image = read_bytes(written(Image.fromarray(black_and_white), kind), "x")
    assert np.array_equal(image.pixels, black_and_white * 255)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_colour(kind, colour):
    image = read_bytes(written(Image.fromarray(colour), kind), "x")
    assert np.abs(image.pixels - luma(colour)).max() <= 0.501
    red, green, blue = np.moveaxis(colour.astype(float), -1, 0)
    apart = np.mean([abs(red - green), abs(green - blue), abs(red - blue)]) / 255
    assert image.colour == pytest.approx(apart, abs=1e-9)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_grey_saved_in_colour(kind, grey):
    image = read_bytes(written(Image.fromarray(grey).convert("RGB"), kind), "x")
    assert np.array_equal(image.pixels, grey) and image.colour == 0


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_is_black(mode, grey):
    alpha = np.zeros_like(grey)
    alpha[:, :10], alpha[:, 10:20] = 255, 128
    see_through = Image.fromarray(grey).convert(mode)
    see_through.putalpha(Image.fromarray(alpha))
    image = read_bytes(written(see_through, "PNG"), "x")
    assert np.array_equal(image.pixels[:, :10], grey[:, :10])
    assert np.abs(image.pixels[:, 10:20] - grey[:, 10:20] * (128 / 255)).max() <= 1
    assert not image.pixels[:, 20:].any()


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_palette(kind, grey, colour):
    in_grey = Image.fromarray(grey).convert("P")
    assert np.array_equal(read_bytes(written(in_grey, kind), "x").pixels, grey)
    quantised = Image.fromarray(colour).quantize(64)
    image = read_bytes(written(quantised, kind), "x")
    assert np.abs(image.pixels - luma(np.asarray(quantised.convert("RGB")))).max() <= 0.501
    assert image.colour > 0.01


def test_a_palette_with_a_transparent_entry(grey):
    indexed = Image.fromarray(np.asarray(grey > 100, np.uint8))
    indexed.putpalette([200, 200, 200, 100, 100, 100])
    image = read_bytes(written(indexed, "PNG", transparency=0), "x")
    assert np.array_equal(image.pixels, np.where(grey > 100, 100, 0))


def test_cmyk_jpeg():
    rgb = np.kron(np.random.default_rng(0).integers(60, 200, (5, 4, 3)), np.ones((16, 16, 1))).astype(
        np.uint8
    )
    image = read_bytes(written(Image.fromarray(rgb).convert("CMYK"), "JPEG", quality=98), "x")
    assert np.abs(image.pixels - luma(rgb)).mean() < 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(orientation, kind):
    stored = np.zeros((32, 48), np.uint8)
    stored[:8, :8], stored[:8, 40:] = 250, 120
    exif = Image.Exif()
    exif[274] = orientation
    upright = {
        1: stored,
        2: np.fliplr(stored),
        3: np.rot90(stored, 2),
        4: np.flipud(stored),
        5: stored.T,
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).T,
        8: np.rot90(stored),
    }[orientation]
    image = read_bytes(written(Image.fromarray(stored), kind, exif=exif), "x")
    assert image.pixels.shape == upright.shape
    assert np.abs(image.pixels.astype(int) - upright).mean() < 1


def test_broken_exif_is_no_reason(grey):
    data = written(Image.fromarray(grey), "JPEG", exif=b"Exif\0\0" + b"\xff" * 40)
    assert read_bytes(data, "x").rows == 40


def test_pages(grey):
    pages = [Image.fromarray(np.full((4, 4), shade, np.uint8)) for shade in (10, 20, 30)]
    data = written(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    for asked, shade in ((None, 10), (1, 10), (3, 30)):
        image = read_bytes(data, "x", frame=asked)
        assert (image.pixels == shade).all()
        assert [note.values for note in image.notes] == [{"frame": asked or 1}]
    for impossible in (0, -1, 4):
        with pytest.raises(InputError, match="x has no page"):
            read_bytes(data, "x", frame=impossible)
    with pytest.raises(InputError, match="x has no page 2"):
        read_bytes(written(Image.fromarray(grey), "PNG"), "x", frame=2)


def test_a_preview_beside_the_picture_is_no_page(grey):
    picture_of_a_phone = written(
        Image.fromarray(grey), "MPO", save_all=True, append_images=[Image.fromarray(grey[:8, :8])]
    )
    image = read_bytes(picture_of_a_phone, "x")
    assert image.pixels.shape == grey.shape and image.notes == () and image.file_format is FileFormat.JPEG


@pytest.mark.parametrize("mode", [np.float32, np.int32])
def test_numbers_that_are_no_shades(mode):
    with pytest.raises(InputError, match="x has pixels of a kind that cannot be read"):
        read_bytes(written(Image.fromarray((picture() - 5000.0).astype(mode)), "TIFF"), "x")


def test_a_photographed_film_is_straightened_and_says_so():
    film = Image.fromarray(picture(400, 300, 8).astype(np.uint8)).convert("RGB")
    table = Image.new("RGB", (900, 800), (120, 90, 60))
    table.paste(film.resize((450, 600)).rotate(4, expand=True, fillcolor=(120, 90, 60)), (200, 90))
    exif = Image.Exif()
    exif[271] = "Phone"
    image = read_bytes(written(table, "JPEG", quality=95, exif=exif), "x")
    assert image.degraded and image.white == 255
    assert any("photograph" in note.template for note in image.notes)


def test_an_export_is_no_photograph(grey):
    for kind in ("PNG", "JPEG"):
        image = read_bytes(written(Image.fromarray(grey).convert("RGB"), kind), "x")
        assert not image.degraded and image.notes == ()


def test_a_camera_that_took_it_in_grey(grey):
    exif = Image.Exif()
    exif[272] = "Phone"
    image = read_bytes(written(Image.fromarray(grey), "JPEG", exif=exif), "x")
    assert image.degraded
