"""Pixels of more than 16 bits, and what a viewer gets of values and colours."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from tests.imaging.files import as_bytes, dataset, picture
from tetkik.errors import InputError
from tetkik.imaging.read import read_bytes
from tetkik.values import DisplayPixels, ValueScale

FIELDS = {"f4": ("FloatPixelData", "OF", "Float"), "f8": ("DoubleFloatPixelData", "OD", "DoubleFloat")}


def wide(pixels: np.ndarray, **tags: object) -> Dataset:
    """A data set of 32-bit integers."""
    made = dataset(pixels, 32, **tags)
    made["PixelData"].VR = "OW"
    return made


def floats(pixels: np.ndarray, **tags: object) -> Dataset:
    made = dataset(pixels, None, **tags)
    keyword, vr, _ = FIELDS[pixels.dtype.str[1:]]
    del made.PixelData, made.BitsStored, made.HighBit, made.PixelRepresentation
    made.add_new(keyword, vr, pixels.tobytes())
    return made


def display(made: Dataset | bytes) -> DisplayPixels:
    found = read_bytes(made if isinstance(made, bytes) else as_bytes(made), "x").display
    assert found is not None
    return found


def scale(shown: DisplayPixels | None) -> ValueScale:
    assert shown is not None and shown.scale is not None
    return shown.scale


def values(shown: DisplayPixels | None) -> np.ndarray:
    assert shown is not None
    return shown.values * scale(shown).slope + scale(shown).intercept


@pytest.mark.parametrize("kind", ["u4", "i4"])
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian])
def test_small_integers_stay_exact(syntax, kind):
    pixels = picture().astype(kind) + (1_000_000 if kind == "u4" else -2000)
    shown = display(as_bytes(wide(pixels), syntax))
    assert np.array_equal(values(shown), pixels) and shown.white <= 4096


def test_large_integers_in_even_steps_and_either_byte_order():
    pixels = picture(bits=16).astype(np.uint32) * 60_000
    made = wide(pixels, DoseGridScaling="0.000001", DoseUnits="GY", Modality="RTDOSE")
    shown = display(made)
    assert shown.scale is not None and shown.scale.unit == "Gy" and shown.white == 65_535
    assert np.abs(values(shown) - pixels * 1e-6).max() <= 0.51 * shown.scale.slope
    made.PixelData = pixels.astype(">u4").tobytes()
    other = display(as_bytes(made, ExplicitVRBigEndian))
    assert np.array_equal(other.values, shown.values)


@pytest.mark.parametrize("kind", FIELDS)
def test_floating_point(kind):
    pixels = (picture().astype(kind) - 2000) / 7
    image = read_bytes(as_bytes(floats(pixels, WindowCenter=10, WindowWidth=100)), "x")
    shown = image.display
    assert shown is not None and shown.scale is not None
    assert np.abs(values(shown) - pixels).max() <= 0.51 * shown.scale.slope
    centre, width = shown.window
    assert centre * shown.scale.slope + shown.scale.intercept == pytest.approx(10, abs=shown.scale.slope)
    assert width * shown.scale.slope == pytest.approx(100)
    assert image.white == 65_535 and (image.pixels[pixels < -40] == 0).all() and image.pixels.max() == 65_535


@pytest.mark.parametrize("kind", FIELDS)
def test_what_is_no_number_is_no_image(kind):
    pixels = picture().astype(kind)
    pixels[0] = [np.nan, np.inf, -np.inf, 1e35] * 9
    pixels[1] = -9999
    made = floats(pixels, **{f"{FIELDS[kind][2]}PixelPaddingValue": -9999.0})
    shown = display(made)
    assert (shown.values[:2] == 0).all() and np.abs(values(shown)[2:] - pixels[2:]).max() < 0.1
    assert read_bytes(as_bytes(floats(np.full((4, 4), np.nan, kind))), "x").pixels.max() == 0


def test_inverted_grey_and_its_values():
    shown = display(wide(picture().astype(np.uint32), PhotometricInterpretation="MONOCHROME1"))
    assert np.array_equal(values(shown), picture()) and shown.scale is not None and shown.scale.slope < 0


def test_every_frame_has_the_range_of_the_file():
    frames = np.stack([picture(seed=seed).astype(np.uint32) * 9000 * (seed + 1) for seed in range(3)])
    data = as_bytes(wide(frames))
    shown = [read_bytes(data, "x", frame=number).display for number in (1, 2, 3)]
    assert len({scale(one) for one in shown}) == 1
    for one, frame in zip(shown, frames, strict=True):
        assert np.abs(values(one) - frame).max() <= scale(one).slope


def test_colour_of_32_bits():
    rgb = np.random.default_rng(0).integers(0, 1 << 32, (6, 5, 3), np.uint32)
    shown = display(dataset(rgb))
    assert shown.is_colour and np.array_equal(shown.values, rgb >> 24)


def test_more_bytes_a_pixel_mean_fewer_pixels(monkeypatch):
    data = as_bytes(floats(np.zeros((40, 30), "f8")))
    monkeypatch.setenv("TETKIK_MAX_IMAGE_PIXELS", "1000")
    from tetkik.settings import settings

    settings.cache_clear()
    try:
        with pytest.raises(InputError, match="more than the limit of 750"):
            read_bytes(data, "x")
    finally:
        settings.cache_clear()


@pytest.mark.parametrize("intercept", [-1024, -8192])
def test_a_ct_keeps_its_hounsfield_units_whatever_its_window(intercept):
    stored = picture(bits=13).astype(np.uint16)
    tags = {"RescaleIntercept": intercept, "RescaleSlope": 1, "WindowCenter": 40, "WindowWidth": 80}
    shown = display(dataset(stored, 16, Modality="CT", **tags))
    assert np.array_equal(values(shown), np.clip(stored.astype(int) + intercept, -1024, 3071))
    assert (shown.window, shown.white, scale(shown).unit) == ((1064, 80), 4095, "HU")


@pytest.mark.parametrize(
    "tags",
    [
        {"Modality": "CT"},
        {"Modality": "CT", "RescaleIntercept": -1024, "RescaleSlope": "1e300"},
        {"Modality": "CT", "RescaleIntercept": -1024, "RescaleType": "US"},
        {"Modality": "DX", "RescaleIntercept": 0, "RescaleSlope": 1},
    ],
)
def test_what_has_no_such_units_is_shown_as_models_see_it(tags):
    made = dataset(picture(), 12, **tags)
    assert read_bytes(as_bytes(made), "x").display is None


def test_grey_saved_in_colour_is_no_colour_to_a_viewer():
    grey = picture(bits=8).astype(np.uint8)
    assert read_bytes(as_bytes(dataset(np.stack([grey] * 3, axis=-1))), "x").display is None
