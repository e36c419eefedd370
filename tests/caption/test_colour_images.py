"""A file becomes a picture: colours as in training, DICOM as on a screen, nothing of the patient."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.imaging.files import as_bytes, dataset, picture
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.predict import open_picture
from tetkik.errors import InputError
from tetkik.imaging.read import read_bytes
from tetkik.settings import settings

SPEC = ImageSpec(size=28)
COLOURS = np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_a_raster_file_gives_the_square_that_pillow_gives(kind, mode):
    image = Image.fromarray(COLOURS).convert(mode)
    if (kind, mode) in {("JPEG", "P"), ("PNG", "CMYK")}:
        image = image.convert("RGB")
    data = saved(image, kind)
    plain = SPEC.square(Image.open(BytesIO(data)))
    assert (SPEC.square(open_picture(data, "a").image) == plain).all()


def test_colours_are_kept_and_a_grey_picture_is_grey():
    shown = open_picture(saved(Image.fromarray(COLOURS), "PNG"), "a")
    assert (np.asarray(shown.image) == COLOURS).all()
    assert shown.notes == ()
    grey = np.asarray(open_picture(saved(Image.fromarray(COLOURS[..., 0]), "PNG"), "a").image)
    assert (grey == COLOURS[..., :1]).all()


def test_what_is_transparent_is_black_and_a_turned_picture_is_upright():
    clear = np.dstack([COLOURS, np.zeros(COLOURS.shape[:2], np.uint8)])
    clear[:20, :, 3] = 255
    shown = np.asarray(open_picture(saved(Image.fromarray(clear), "PNG"), "a").image)
    assert (shown[:20] == COLOURS[:20]).all() and not shown[20:].any()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be looked at turned by 90 degrees
    turned = open_picture(saved(Image.fromarray(COLOURS), "PNG", exif=exif), "a").image
    assert (np.asarray(turned) == np.rot90(COLOURS, -1)).all()


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_dicom_is_shown_as_findings_see_it(bits):
    data = as_bytes(dataset(picture(bits=bits), bits))
    read = read_bytes(data, "a")
    shown = np.asarray(open_picture(data, "a").image)
    assert shown.shape == (*read.pixels.shape, 3) and (shown == shown[..., :1]).all()
    assert np.abs(shown[..., 0] / 255 - read.pixels / read.white).max() <= 0.5 / 255 + 1e-6
    assert shown.max() > 250 and shown.min() < 5


def test_monochrome1_is_turned_and_the_window_applied():
    pixels = picture(bits=12)
    one = as_bytes(dataset(pixels, 12, PhotometricInterpretation="MONOCHROME1"))
    two = as_bytes(dataset(4095 - pixels, 12))
    assert (np.asarray(open_picture(one, "a").image) == np.asarray(open_picture(two, "a").image)).all()
    narrow = as_bytes(dataset(pixels, 12, WindowCenter=1000, WindowWidth=100))
    shown = np.asarray(open_picture(narrow, "a").image)[..., 0]
    assert (shown[pixels < 900] == 0).all() and (shown[pixels > 1100] == 255).all()


def test_16_bits_of_a_png_are_no_white_page():
    pixels = picture(bits=12)
    shown = open_picture(saved(Image.fromarray(pixels), "PNG"), "a")
    levels = np.asarray(shown.image)[..., 0]
    assert np.abs(levels / 255 - pixels / 4095).max() <= 0.5 / 255 + 1e-6
    assert "uses 12" in str(shown.notes[0].template.format(**shown.notes[0].values))


def test_the_frame_that_was_chosen_and_lost_colours_are_told():
    frames = np.stack([picture(seed=seed) for seed in range(3)])
    shown = open_picture(as_bytes(dataset(frames, 12)), "a")
    assert [dict(note.values) for note in shown.notes] == [{"frames": 3, "frame": 2}]
    coloured = open_picture(as_bytes(dataset(COLOURS)), "a")
    assert [note.template for note in coloured.notes] == ["The colours of this DICOM file are read as grey."]


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", "is empty"),
        (b"no image at all", "neither DICOM nor PNG, JPEG or TIFF"),
        (saved(Image.fromarray(COLOURS), "JPEG")[:400], "damaged"),
        (as_bytes(dataset(picture(), 12))[:-500], "ends before its image does"),
    ],
    ids=["empty", "text", "jpeg", "dicom"],
)
def test_what_is_no_image_is_one_sentence(data, fault):
    with pytest.raises(InputError, match=fault) as caught:
        open_picture(data, "film.x")
    assert "film.x" in str(caught.value)


def test_limits_hold_for_every_kind(monkeypatch):
    monkeypatch.setenv("TETKIK_MAX_IMAGE_PIXELS", "1000")
    settings.cache_clear()
    for data in (saved(Image.fromarray(COLOURS), "JPEG"), as_bytes(dataset(picture(), 12))):
        with pytest.raises(InputError, match="more than the limit of 1000"):
            open_picture(data, "a")


@given(st.binary(max_size=200), st.sampled_from([b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b""]))
def test_any_bytes_are_a_picture_or_one_sentence(data, mark):
    try:
        assert open_picture(mark + data, "a").image.mode == "RGB"
    except InputError as fault:
        assert "\n" not in str(fault)
