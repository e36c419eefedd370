"""Presentation states: written, read back; checked by dicom3tools and dcmtk; hostile ones bounded."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from tests.documents.judged import LENGTH
from tests.documents.programs import said
from tests.documents.sample import IDENTITY, document
from tests.documents.test_drawn_documents import ARROW, BOX, ELLIPSE, TEXT
from tetkik.documents.picture import drawing_of
from tetkik.documents.presentation_state import GreyRange, StateMeta, to_presentation_state
from tetkik.errors import InputError
from tetkik.imaging.presentation import is_presentation_state, range_of, read_state, states_of
from tetkik.imaging.region import Region, measure_region
from tetkik.language import Language
from tetkik.values import MeasuredImage, MeasurementKind
from tetkik.values.presentation import Presentation, place_in_image

UID, SERIES = "1.2.826.0.1.3680043.8.498.3", "1.2.826.0.1.3680043.8.498.2"
IMAGE = MeasuredImage(
    "01J0000000000000000000000A",
    rows=100,
    columns=120,
    spacing=(0.5, 0.5),
    study_uid=IDENTITY.study_uid,
    series_uid=SERIES,
    instance_uid=UID,
    sop_class=CTImageStorage,
)
META = StateMeta("2.25.4711", "2.25.4712", datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC), "Ömer Çağrı Ünsal")
DRAWINGS = [drawing_of(one, Language.TR) for one in (LENGTH, ELLIPSE, BOX, ARROW, TEXT)]


def ct(photometric: str = "MONOCHROME2", **values: object) -> bytes:
    """A CT of 100 rows and 120 columns; a stored value is its column, and 1024 less in Hounsfield units."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID, made.Modality = CTImageStorage, UID, "CT"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, photometric
    made.Rows, made.Columns, made.BitsAllocated, made.BitsStored, made.HighBit = 100, 120, 16, 12, 11
    made.PixelRepresentation = 0
    made.RescaleIntercept, made.RescaleSlope, made.RescaleType = -1024, 1, "HU"
    made.WindowCenter, made.WindowWidth = "-964", "121"
    made.PixelData = np.tile(np.arange(120, dtype="<u2"), (100, 1)).tobytes()
    made["PixelData"].VR = "OW"
    for name, value in values.items():
        setattr(made, name, value)
    packed = io.BytesIO()
    made.save_as(packed, enforce_file_format=True)
    return packed.getvalue()


def written(shown: Presentation, image: bytes, about: MeasuredImage = IMAGE, drawings=DRAWINGS) -> bytes:
    found = range_of((image, "image", 1))
    assert found is not None
    grey = GreyRange(found.black, found.white, found.inverted) if found.straight else None
    return to_presentation_state(about, IDENTITY, document().hospital, shown, drawings, META, grey)


def read(state: bytes, image: bytes) -> Presentation:
    (found,) = states_of(((state,), image, "image", UID, 1))
    return found.shown


@pytest.mark.parametrize("photometric", ["MONOCHROME2", "MONOCHROME1"])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_what_is_written_comes_back(turn: int, mirrored: bool, photometric: str):
    shown = Presentation((0.4, 0.3), True, turn, mirrored, ((10.0, 20.0), (90.0, 80.0)))
    image = ct(photometric)
    state = written(shown, image)
    assert is_presentation_state(state) and not is_presentation_state(image)
    back = read(state, image)
    assert back.window == pytest.approx(shown.window, abs=1e-4)
    assert (back.inverted, back.turn, back.mirrored, back.area) == (True, turn, mirrored, shown.area)
    assert back.lines[0] == LENGTH.points and len(back.words) == 5 and back.left_out == 0
    assert {one.text for one in back.words} >= {"Kateter ucu", "Nodül?"}
    around = np.array(back.lines[-1])  # the ellipse
    assert around.min(0) == pytest.approx([100, 100]) and around.max(0) == pytest.approx([140, 120])
    about = read_state((state, "state"))
    assert (about.uid, about.identity.patient_id, about.creator) == (
        META.uid,
        IDENTITY.patient_id,
        "Ünsal Ömer Çağrı",
    )


def test_the_window_is_in_hounsfield_units():
    image = ct()
    dataset = pydicom.dcmread(io.BytesIO(written(Presentation((0.5, 0.5)), image)))
    (window,) = dataset.SoftcopyVOILUTSequence
    # Half of what a viewer shows of a CT, -1024 to 3071.
    assert (window.WindowCenter, window.WindowWidth) == (1023.5, 2047.5)
    assert dataset.PresentationLUTShape == "IDENTITY"
    assert dataset.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID == UID
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [4, 0, 16], np.array([0, 10, 100, 1000], "<u2").tobytes()
    curved = ct(Modality="MR", VOILUTSequence=[table], WindowCenter=None, WindowWidth=None)
    assert "SoftcopyVOILUTSequence" not in pydicom.dcmread(
        io.BytesIO(written(Presentation((0.5, 0.5)), curved))
    )


def test_an_image_without_identifiers_cannot_be_referred_to():
    with pytest.raises(ValueError, match="UID"):
        written(Presentation(), ct(), replace(IMAGE, instance_uid=None))
    with pytest.raises(InputError, match="no greyscale presentation state"):
        read_state((ct(), "image"))


@pytest.mark.program("dciodvfy", "dcmdump")
def test_other_programs_find_no_fault_in_it(tmp_path):
    file = tmp_path / "state.dcm"
    shown = Presentation((0.4, 0.3), True, 90, True, ((10.0, 20.0), (90.0, 80.0)))
    file.write_bytes(written(shown, ct()))
    status, words = said("dcmdump", file)
    assert status == 0, words
    _, words = said("dciodvfy", file)
    assert "GrayscaleSoftcopyPresentationState" in words and "Error" not in words, words


IMAGE_OF_CT = ct()
STATE = written(Presentation((0.5, 0.5)), IMAGE_OF_CT)
NUMBERS = st.floats(allow_nan=True, allow_infinity=True, width=32)


@settings(max_examples=20, deadline=None)
@given(
    data=st.lists(NUMBERS, max_size=12),
    units=st.sampled_from(["PIXEL", "DISPLAY", "MATRIX", ""]),
    kind=st.sampled_from(["POLYLINE", "ELLIPSE", "CIRCLE", "POINT", "STAR", ""]),
    area=st.lists(st.integers(-(2**31), 2**31 - 1), min_size=4, max_size=4),
    rotation=st.integers(0, 2**16 - 1),
    window=st.tuples(NUMBERS, NUMBERS),
)
def test_hostile_values_are_as_if_they_were_not_there(data, units, kind, area, rotation, window):
    made = pydicom.dcmread(io.BytesIO(STATE))
    graphic = made.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    graphic.GraphicData, graphic.GraphicType, graphic.GraphicAnnotationUnits = data, kind, units
    made.GraphicAnnotationSequence[0].TextObjectSequence[0].UnformattedTextValue = "<b>\x07 x" * 150
    displayed = made.DisplayedAreaSelectionSequence[0]
    displayed.DisplayedAreaTopLeftHandCorner = area[:2]
    displayed.DisplayedAreaBottomRightHandCorner = area[2:]
    made.ImageRotation = rotation
    held = made.SoftcopyVOILUTSequence[0]
    held.add_new("WindowCenter", "FD", float(window[0]))
    held.add_new("WindowWidth", "FD", float(window[1]))
    packed = io.BytesIO()
    made.save_as(packed)
    shown = read(packed.getvalue(), IMAGE_OF_CT)
    points = [point for line in shown.lines for point in line]
    assert all(abs(number) <= 3e5 for point in points for number in point)  # NaN is not
    assert all(len(one.text) <= 300 and one.text.isprintable() for one in shown.words)
    assert shown.turn in (0, 90, 180, 270) and len(shown.lines) + shown.left_out >= len(DRAWINGS) - 1


@settings(max_examples=20, deadline=None)
@given(at=st.integers(0, 3000), junk=st.binary(min_size=1, max_size=64))
def test_damaged_bytes_are_refused_or_read(at: int, junk: bytes):
    state = bytearray(STATE)
    state[at : at + len(junk)] = junk
    with contextlib.suppress(InputError):
        states_of(((bytes(state),), IMAGE_OF_CT, "image", UID, 1))


@given(u=st.floats(0, 1), v=st.floats(0, 1))
def test_a_shown_place_is_one_place_of_the_image(u: float, v: float):
    corners = {
        place_in_image((0, 0), turn, mirrored) for turn in (0, 90, 180, 270) for mirrored in (False, True)
    }
    assert corners == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert place_in_image((u, v), 90, False) == (
        v,
        1 - u,
    )  # turned clockwise, the left lower corner is on top


def test_the_values_of_a_region_are_hounsfield_units_of_the_file_itself():
    box = Region(MeasurementKind.RECTANGLE, ((10.0, 10.0), (13.0, 12.0)))
    found = measure_region((ct(), "image", box))
    assert (found.pixels, found.mean, found.minimum, found.maximum, found.hounsfield) == (
        6,
        -1013.0,
        -1014.0,
        -1012.0,
        True,
    )
    assert found.deviation == pytest.approx(np.std([10, 11, 12]), abs=1e-4)
    # MONOCHROME1 and a window change how it looks, and no value; padding is no image
    same = measure_region((ct("MONOCHROME1", WindowCenter="0", WindowWidth="5"), "image", box))
    assert same == found
    padded = measure_region((ct(PixelPaddingValue=12), "image", box))
    assert (padded.pixels, padded.maximum) == (4, -1013.0)
    assert not measure_region((ct(Modality="MR"), "image", box)).hounsfield
    assert not measure_region((ct(RescaleType="US"), "image", box)).hounsfield
    round_one = Region(MeasurementKind.ELLIPSE, ((40.0, 40.0), (60.0, 60.0)))
    assert measure_region((ct(), "image", round_one)).pixels == pytest.approx(np.pi * 100, rel=0.02)
    with pytest.raises(InputError, match="No pixel"):
        nothing = replace(box, points=((10.6, 10.6), (10.9, 10.9)))
        measure_region((ct(), "image", nothing))
