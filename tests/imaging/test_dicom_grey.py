"""Rescale, tables, windows, padding and inversion, against pydicom's functions and against arithmetic."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from tests.imaging.files import as_bytes, dataset, picture
from tetkik.imaging.read import read_bytes

FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def shares(data: bytes) -> np.ndarray:
    """What is read of a file, 0 to 1."""
    image = read_bytes(data, "x")
    return image.pixels / image.white


def theirs(data: bytes) -> np.ndarray:
    """What pydicom makes of the same file, 0 to 1 over the range that it maps a window to."""
    read = dcmread(BytesIO(data))
    values = apply_modality_lut(read.pixel_array, read).astype(np.float64)
    slope, intercept = float(read.get("RescaleSlope", 1)), float(read.get("RescaleIntercept", 0))
    ends = (0, (1 << read.BitsStored) - 1)
    if read.PixelRepresentation:
        ends = (-(1 << (read.BitsStored - 1)), (1 << (read.BitsStored - 1)) - 1)
    low, high = (slope * end + intercept for end in ends)
    with np.errstate(over="ignore"):  # Of its own sigmoid.
        shown = np.asarray(apply_voi_lut(values, read), np.float64)
    return (shown - low) / (high - low)


@settings(max_examples=40, deadline=None)
@given(
    centre=st.floats(-500, 5000, allow_nan=False),
    width=st.floats(2, 8000, allow_nan=False),
    function=st.sampled_from(FUNCTIONS),
    slope=st.sampled_from([1.0, 0.5, 3.25]),
    intercept=st.sampled_from([0.0, -1024.0]),
    signed=st.booleans(),
)
def test_windows_are_those_of_pydicom(centre, width, function, slope, intercept, signed):
    pixels = picture()
    if signed:
        pixels = (pixels.astype(int) - 2048).astype(np.int16)
    made = dataset(
        pixels,
        12,
        WindowCenter=round(centre, 4),
        WindowWidth=round(width, 4),
        VOILUTFunction=function,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
    )
    data = as_bytes(made)
    assert np.abs(shares(data) - theirs(data)).max() < 1e-4


def test_a_linear_window_by_hand():
    pixels = np.array([[0, 40, 50, 100, 149, 150, 4000]], np.uint16)
    made = dataset(pixels, 12, WindowCenter=100, WindowWidth=101)
    # PS3.3 C.11.2.1.2: ((x - 99.5) / 100 + 0.5), cut at 49.5 and 149.5.
    expected = np.clip((pixels - 99.5) / 100 + 0.5, 0, 1)
    assert np.abs(shares(as_bytes(made)) - expected).max() < 1e-5


def test_a_window_one_wide_parts_black_from_white():
    pixels = np.array([[99, 100, 101, 102]], np.uint16)
    # PS3.3 C.11.2.1.2: what is at most the centre less a half is black.
    made = dataset(pixels, 12, WindowCenter=100.5, WindowWidth=1)
    assert shares(as_bytes(made)).tolist() == [[0, 0, 1, 1]]


def test_a_slope_of_nothing_is_none():
    flat = dataset(picture(), 12, RescaleSlope=0, RescaleIntercept=5)
    assert np.array_equal(shares(as_bytes(flat)), shares(as_bytes(dataset(picture(), 12))))


def test_the_first_of_several_windows():
    several = dataset(picture(), 12, WindowCenter=[1000, 2000], WindowWidth=[500, 4000])
    first = dataset(picture(), 12, WindowCenter=1000, WindowWidth=500)
    assert np.array_equal(shares(as_bytes(several)), shares(as_bytes(first)))


@pytest.mark.parametrize(("centre", "width"), [(100, 0), (100, -5), ("", ""), (100, 0.5)])
def test_a_window_that_cannot_be_is_none(centre, width):
    bad = dataset(picture(), 12, WindowCenter=centre, WindowWidth=width)
    assert np.array_equal(shares(as_bytes(bad)), shares(as_bytes(dataset(picture(), 12))))


def test_without_a_window_the_used_range_fills_grey():
    pixels = picture(100, 100).astype(np.uint16) // 4 + 1000
    pixels[0, 0], pixels[0, 1] = 4095, 0
    image = shares(as_bytes(dataset(pixels, 12)))
    low, high = pixels[1:].min(), pixels[1:].max()
    assert image[0, 0] == 1 and image[0, 1] == 0
    assert np.abs(image[1:] - (pixels[1:] - low) / (high - low)).max() < 0.03


def test_a_flat_image_is_black_and_no_error():
    assert not read_bytes(as_bytes(dataset(np.full((8, 8), 77, np.uint16), 12)), "x").pixels.any()


def table(first: int, entries: list[int], bits: int) -> Dataset:
    item = Dataset()
    item.add_new("LUTDescriptor", "US" if first >= 0 else "SS", [len(entries), first, bits])
    item.add_new("LUTData", "OW", np.array(entries, "<u2").tobytes())
    return item


def test_a_voi_table():
    pixels = np.array([[0, 9, 10, 11, 12, 13, 4000]], np.uint16)
    made = dataset(
        pixels, 12, VOILUTSequence=[table(10, [0, 100, 1000, 4095], 12)], WindowCenter=1, WindowWidth=2
    )
    expected = np.array([[0, 0, 0, 100, 1000, 4095, 4095]]) / 4095
    assert np.abs(shares(as_bytes(made)) - expected).max() < 1e-4


def test_a_voi_table_that_uses_fewer_bits_than_it_declares():
    made = dataset(picture(), 12, VOILUTSequence=[table(0, list(range(4096)), 16)])
    assert np.abs(shares(as_bytes(made)) - picture() / 4095).max() < 1e-4


def test_a_voi_table_after_a_rescale_into_the_negative():
    pixels = np.array([[0, 1, 2, 3]], np.uint16)
    # First value -2, written without a sign.
    lut = table(0, [0, 50, 100, 255], 8)
    lut.LUTDescriptor = [4, 65534, 8]
    made = dataset(pixels, 12, RescaleSlope=1, RescaleIntercept=-2, VOILUTSequence=[lut])
    expected = np.array([[0, 50, 100, 255]]) / 255
    assert np.abs(shares(as_bytes(made)) - expected).max() < 1e-4


def test_a_voi_table_of_octets():
    item = table(0, [0], 8)
    item.LUTDescriptor = [4, 0, 8]
    item.LUTData = bytes([0, 10, 20, 255])
    made = dataset(np.array([[0, 1, 2, 3]], np.uint8), VOILUTSequence=[item])
    assert read_bytes(as_bytes(made), "x").pixels.tolist() == [[0, 10, 20, 255]]


def test_a_modality_table_before_the_window():
    pixels = np.array([[0, 1, 2, 3]], np.uint16)
    made = dataset(
        pixels,
        12,
        ModalityLUTSequence=[table(0, [0, 10, 40, 100], 12)],
        WindowCenter=50,
        WindowWidth=100,
        VOILUTFunction="LINEAR_EXACT",
    )
    assert np.abs(shares(as_bytes(made)) - np.array([[0, 0.1, 0.4, 1]])).max() < 1e-4


@pytest.mark.parametrize("damage", [{"LUTDescriptor": [9, 0, 12]}, {"LUTData": b""}])
def test_a_table_that_does_not_fit_is_none(damage):
    item = table(0, [0, 1, 2], 12)
    for name, wrong in damage.items():
        setattr(item, name, wrong)
    broken = dataset(picture(), 12, VOILUTSequence=[item])
    assert np.array_equal(shares(as_bytes(broken)), shares(as_bytes(dataset(picture(), 12))))


def test_a_table_in_a_big_endian_file():
    entries = [0, 100, 1000, 4095]
    little = dataset(np.array([[0, 1, 2, 3]], np.uint16), 12, VOILUTSequence=[table(0, entries, 12)])
    big = dataset(np.array([[0, 1, 2, 3]], np.uint16), 12, VOILUTSequence=[table(0, entries, 12)])
    big.VOILUTSequence[0].LUTData = np.array(entries, ">u2").tobytes()
    assert np.array_equal(shares(as_bytes(little)), shares(as_bytes(big, ExplicitVRBigEndian)))


SYNTAXES = (ExplicitVRLittleEndian, JPEGLSLossless, JPEG2000Lossless)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 1800, "WindowWidth": 1200}])
def test_monochrome1_and_its_twin_are_one(syntax, window):
    pixels = picture()
    mirrored = dict(window)
    if window:
        # ((x - (c - 0.5)) / (w - 1) is mirrored with 4095 - x where c becomes 4096 - c.
        mirrored["WindowCenter"] = 4096 - window["WindowCenter"]
    positive = read_bytes(as_bytes(dataset(pixels, 12, **window), syntax), "x")
    negative = read_bytes(
        as_bytes(dataset(4095 - pixels, 12, PhotometricInterpretation="MONOCHROME1", **mirrored), syntax), "x"
    )
    assert np.array_equal(positive.pixels, negative.pixels)
    assert np.ptp(positive.pixels) == positive.white


@settings(max_examples=40, deadline=None)
@given(centre=st.integers(1, 4095), width=st.integers(1, 6000), function=st.sampled_from(FUNCTIONS))
def test_monochrome1_and_its_twin_are_one_through_any_window(centre, width, function):
    pixels = picture()
    mirrored = 4096 - centre if function == "LINEAR" else 4095 - centre
    files = [
        as_bytes(dataset(pixels, 12, WindowCenter=centre, WindowWidth=width, VOILUTFunction=function)),
        as_bytes(
            dataset(
                4095 - pixels,
                12,
                WindowCenter=mirrored,
                WindowWidth=width,
                VOILUTFunction=function,
                PhotometricInterpretation="MONOCHROME1",
            )
        ),
    ]
    positive, negative = (read_bytes(data, "x").pixels for data in files)
    if width == 1 and function == "LINEAR":
        # A step has its lower side at the step itself, so it has no mirror image there.
        outside = pixels != centre
        positive, negative = positive[outside], negative[outside]
    assert np.array_equal(positive, negative)


def test_monochrome1_is_inverted():
    pixels = np.array([[0, 4095]], np.uint16)
    assert read_bytes(
        as_bytes(dataset(pixels, 12, PhotometricInterpretation="MONOCHROME1")), "x"
    ).pixels.tolist() == [[65535, 0]]


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_padding_is_black_and_has_no_part_in_the_range(kind, photometric):
    inside = (picture() // 8 + 500).astype(kind)
    padded = inside.copy()
    padding = -2000 if kind is np.int16 else 4000
    padded[:10] = padding
    made = dataset(padded, 12 if kind is np.uint16 else 16, PhotometricInterpretation=photometric)
    made.add_new("PixelPaddingValue", "SS" if kind is np.int16 else "US", padding)
    bare = dataset(inside[10:], made.BitsStored, PhotometricInterpretation=photometric)
    image = read_bytes(as_bytes(made), "x").pixels
    assert not image[:10].any()
    assert np.array_equal(image[10:], read_bytes(as_bytes(bare), "x").pixels)


def test_a_range_of_padding():
    pixels = picture() // 8 + 500
    pixels[:5], pixels[5:10] = 3000, 3500
    made = dataset(pixels, 12)
    made.add_new("PixelPaddingValue", "US", 3500)
    made.add_new("PixelPaddingRangeLimit", "US", 3000)
    image = read_bytes(as_bytes(made), "x")
    assert not image.pixels[:10].any() and image.pixels[10:].max() == image.white


def test_padding_whose_sign_was_lost():
    pixels = (picture() // 8).astype(np.int16)
    pixels[:10] = -2000
    made = dataset(pixels, 16)
    made.add_new("PixelPaddingValue", "US", 65536 - 2000)
    image = read_bytes(as_bytes(made), "x")
    assert not image.pixels[:10].any() and image.pixels[10:].min() == 0 and image.pixels.max() == image.white


def test_bits_above_the_stored_ones_are_left_out():
    """Overlays used to be kept there."""
    pixels = picture()
    overlaid = pixels | (np.uint16(0xA) << 12)
    assert np.array_equal(shares(as_bytes(dataset(overlaid, 12))), shares(as_bytes(dataset(pixels, 12))))


def test_stored_values_in_the_upper_bits():
    pixels = picture()
    upper = dataset(pixels << 4, 12)
    upper.HighBit = 15
    assert np.array_equal(shares(as_bytes(upper)), shares(as_bytes(dataset(pixels, 12))))


def test_a_window_in_the_functional_groups_of_its_frame():
    frames = np.stack([picture(seed=seed) for seed in range(3)])
    made = dataset(frames, 12)
    groups = []
    for centre in (500, 1000, 1500):
        group, window, rescale, measures = Dataset(), Dataset(), Dataset(), Dataset()
        window.WindowCenter, window.WindowWidth = centre, 800
        rescale.RescaleSlope, rescale.RescaleIntercept = 2, -1000
        measures.PixelSpacing = [0.5, 0.25]
        group.FrameVOILUTSequence, group.PixelValueTransformationSequence = [window], [rescale]
        group.PixelMeasuresSequence = [measures]
        groups.append(group)
    made.PerFrameFunctionalGroupsSequence = groups
    image = read_bytes(as_bytes(made), "x", frame=3)
    own = dataset(frames[2], 12, WindowCenter=1500, WindowWidth=800, RescaleSlope=2, RescaleIntercept=-1000)
    assert np.array_equal(image.pixels, read_bytes(as_bytes(own), "x").pixels)
    assert image.spacing == (0.5, 0.25)
    made.SharedFunctionalGroupsSequence = groups[1:2]
    del made.PerFrameFunctionalGroupsSequence
    shared = read_bytes(as_bytes(made), "x", frame=1)
    own = dataset(frames[0], 12, WindowCenter=1000, WindowWidth=800, RescaleSlope=2, RescaleIntercept=-1000)
    assert np.array_equal(shared.pixels, read_bytes(as_bytes(own), "x").pixels)
