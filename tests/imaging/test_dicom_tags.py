"""What a DICOM file says of its image: where, who, how. A wrong tag is no more than a missing one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset

from tests.imaging.files import as_bytes, dataset, picture
from tetkik.imaging.read import read_bytes
from tetkik.values import Identity, ImageTags, Laterality, Radiograph, Sex, SpacingPlane, View


def read(**tags: Any) -> Radiograph:
    return read_bytes(as_bytes(dataset(picture(8, 8), 12, **tags)), "x")


def test_a_file_that_says_nothing():
    image = read()
    assert (image.spacing, image.view, image.laterality) == (None, None, None)
    assert image.tags == ImageTags(modality="DX", sop_class="1.2.840.10008.5.1.4.1.1.1.1")
    assert image.identity == Identity(instance_uid="1.2.826.0.1.3680043.8.498.1")


def test_a_file_that_says_all():
    image = read(
        Modality="cr",
        BodyPartExamined="chest",
        SeriesDescription="AP Erect",
        StudyDescription="GÖĞÜS",
        SpecificCharacterSet="ISO_IR 192",
        BurnedInAnnotation="YES",
        PatientID="17",
        PatientName="ŞAHİN^Işıl",
        PatientBirthDate="19500101",
        PatientSex="F",
        PatientAge="070Y",
        AccessionNumber="A1",
        StudyDate="20200101",
        StudyTime="081530",
        TimezoneOffsetFromUTC="+0000",
        ReferringPhysicianName="YILDIZ^Çiğdem",
        StudyInstanceUID="1.2.3",
        SeriesInstanceUID="1.2.4",
        ImageLaterality="L",
    )
    assert image.tags == ImageTags(
        modality="CR",
        body_part="CHEST",
        sop_class="1.2.840.10008.5.1.4.1.1.1.1",
        description="ap erect göğüs",
        burned_in=True,
        series="AP Erect",
        laterality=Laterality.LEFT,
    )
    assert image.identity == Identity(
        patient_id="17",
        patient_name="ŞAHİN^Işıl",
        birth_date="19500101",
        sex=Sex.FEMALE,
        age_years=70.0,
        accession="A1",
        study_date="20200101",
        study_time="081530",
        study_offset="+0000",
        referrer="YILDIZ^Çiğdem",
        study_uid="1.2.3",
        series_uid="1.2.4",
        instance_uid="1.2.826.0.1.3680043.8.498.1",
    )
    assert image.laterality is Laterality.LEFT
    assert "IN^I" not in repr(image)


@pytest.mark.parametrize(
    ("tags", "spacing"),
    [
        ({"PixelSpacing": [0.2, 0.1]}, (0.2, 0.1)),
        ({"PixelSpacing": [0.2, 0.1], "ImagerPixelSpacing": [0.4, 0.4]}, (0.2, 0.1)),
        ({"ImagerPixelSpacing": [0.4, 0.3]}, (0.4, 0.3)),
        (
            {"ImagerPixelSpacing": [0.3, 0.3], "EstimatedRadiographicMagnificationFactor": 1.5},
            (pytest.approx(0.2), pytest.approx(0.2)),
        ),
        ({"ImagerPixelSpacing": [0.3, 0.3], "EstimatedRadiographicMagnificationFactor": 0}, (0.3, 0.3)),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, (0.1, 0.1)),
        ({"PixelSpacing": [0, 0], "ImagerPixelSpacing": [0.4, 0.3]}, (0.4, 0.3)),
        ({"PixelSpacing": [-1, 1]}, None),
        ({"PixelSpacing": 0.2}, None),
    ],
)
def test_spacing(tags, spacing):
    assert read(**tags).spacing == spacing


def coded(value: str) -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", "x"
    return [item]


@pytest.mark.parametrize(
    ("tags", "view"),
    [
        ({"ViewPosition": "PA"}, View.PA),
        ({"ViewPosition": "ap "}, View.AP),
        ({"ViewPosition": "LL"}, View.LATERAL),
        ({"ViewPosition": "RLD"}, View.LATERAL),
        ({"ViewPosition": "LLO"}, View.OTHER),
        ({"ViewPosition": ""}, None),
        ({"ViewCodeSequence": coded("272479007")}, View.PA),
        ({"ViewCodeSequence": coded("R-10206")}, View.AP),
        ({"ViewCodeSequence": coded("399173006")}, View.LATERAL),
        ({"ViewCodeSequence": coded("1")}, None),
        ({"ViewPosition": "AP", "ViewCodeSequence": coded("272479007")}, View.AP),
        ({"ViewPosition": "LLO", "ViewCodeSequence": coded("272479007")}, View.PA),
        ({"PatientOrientation": ["A", "F"]}, View.LATERAL),
        ({"PatientOrientation": ["P", "F"]}, View.LATERAL),
        ({"PatientOrientation": ["L", "F"]}, None),
        ({"PatientOrientation": ["L", "P"]}, None),
        ({"PatientOrientation": "A"}, None),
    ],
)
def test_view(tags, view):
    assert read(**tags).view is view


@pytest.mark.parametrize(
    ("tags", "laterality"),
    [
        ({"Laterality": "R"}, Laterality.RIGHT),
        ({"ImageLaterality": "L", "Laterality": "R"}, Laterality.LEFT),
        ({"ImageLaterality": "U"}, Laterality.UNPAIRED),
        ({"ImageLaterality": "B"}, Laterality.BOTH),
        ({"ImageLaterality": "Q", "Laterality": "R"}, Laterality.RIGHT),
        ({"ImageLaterality": "Q"}, None),
    ],
)
def test_laterality(tags, laterality):
    assert read(**tags).laterality is laterality


@pytest.mark.parametrize(
    ("tags", "age"),
    [
        ({"PatientAge": "045Y"}, 45),
        ({"PatientAge": "018M"}, 1.5),
        ({"PatientAge": "104W"}, 1.9932),
        ({"PatientAge": "010D"}, 0.0274),
        ({"PatientAge": "62"}, 62),
        ({"PatientAge": "62y"}, 62),
        ({"PatientAge": "abc"}, None),
        ({"PatientAge": "999Y"}, None),
        ({"PatientBirthDate": "20000101", "StudyDate": "20200101"}, 20),
        ({"PatientBirthDate": "2000.01.01", "StudyDate": "20200101"}, 20),
        ({"PatientBirthDate": "20000101", "SeriesDate": "20100101"}, 10),
        ({"PatientBirthDate": "20000101"}, None),
        ({"PatientBirthDate": "20990101", "StudyDate": "20200101"}, None),
        ({"PatientBirthDate": "20001399", "StudyDate": "20200101"}, None),
        ({"PatientAge": "", "PatientBirthDate": "20000101", "StudyDate": "20200101"}, 20),
    ],
)
def test_age(tags, age):
    assert read(**tags).identity.age_years == (None if age is None else pytest.approx(age, abs=2e-3))


@pytest.mark.parametrize(("said", "burned"), [("YES", True), ("NO", False), ("", None), ("MAYBE", None)])
def test_burned_in(said, burned):
    assert read(BurnedInAnnotation=said).tags.burned_in is burned


def test_a_film_that_says_it_is_exchanged_is_recorded():
    exchanged = read(PatientOrientation=["R", "F"])
    assert [note.template for note in exchanged.notes] == [
        "The file says that left and right are exchanged in it; compare the side marker."
    ]
    assert np.array_equal(exchanged.pixels, read().pixels)
    assert read(PatientOrientation=["RP", "F"]).notes == exchanged.notes  # to the right and a little back
    assert read(PatientOrientation=["L", "F"]).notes == ()
    assert read(PatientOrientation=["R", "F"], Modality="MR").notes == ()


NAME = "ŞAHİN^Işıl"


@pytest.mark.parametrize(
    ("declared", "written"),
    [
        ("ISO_IR 192", "utf-8"),
        ("ISO_IR 100", "utf-8"),
        ("", "utf-8"),
        ("NO SUCH SET", "utf-8"),
        ("ISO_IR 148", "iso8859_9"),
        ("ISO_IR 192", "cp1254"),
        ("", "cp1254"),
        ("NO SUCH SET", "cp1254"),
    ],
)
def test_a_wrong_character_set(declared, written):
    made = dataset(picture(8, 8), 12, PatientID="17")
    made.add_new("PatientName", "PN", NAME.encode(written))
    data = as_bytes(made)
    if declared:
        field = b"\x08\0\x05\0CS" + len(declared + " " * (len(declared) % 2)).to_bytes(2, "little")
        body = data.index(b"\x08\0\x16\0UI")
        data = data[:body] + field + declared.encode() + b" " * (len(declared) % 2) + data[body:]
    identity = read_bytes(data, "x").identity
    assert (identity.patient_name, identity.patient_id) == (NAME, "17")


def test_a_character_set_of_escapes_is_left_to_pydicom():
    made = dataset(picture(8, 8), 12, SpecificCharacterSet=["", "ISO 2022 IR 87"])
    made.PatientName = "Yamada^Tarou=山田^太郎"
    assert read_bytes(as_bytes(made), "x").identity.patient_name == "Yamada^Tarou=山田^太郎"


WORDS = ("PatientAge", "PatientBirthDate", "StudyDate", "ViewPosition", "ImageLaterality", "PatientSex")
FIGURES = (
    "PixelSpacing",
    "ImagerPixelSpacing",
    "WindowCenter",
    "WindowWidth",
    "RescaleSlope",
    "PixelPaddingValue",
)


@settings(max_examples=40, deadline=None)
@given(
    words=st.fixed_dictionaries(dict.fromkeys(WORDS, st.binary(max_size=16))),
    figures=st.fixed_dictionaries(dict.fromkeys(FIGURES, st.binary(max_size=16))),
)
def test_no_tag_spoils_an_image(words, figures):
    made = dataset(picture(8, 8), 12)
    for name, content in {**words, **figures}.items():
        padded = content + b"\0" * (len(content) % 2)
        made.add_new(name, "OB", padded)
    assert read_bytes(as_bytes(made), "x").pixels.shape == (8, 8)


@pytest.mark.parametrize(
    ("tags", "plane"),
    [
        ({"ImagerPixelSpacing": [0.2, 0.2]}, SpacingPlane.DETECTOR),
        (
            {"ImagerPixelSpacing": [0.3, 0.3], "EstimatedRadiographicMagnificationFactor": 1.5},
            SpacingPlane.PATIENT,
        ),
        ({"NominalScannedPixelSpacing": [0.1, 0.1]}, SpacingPlane.DETECTOR),
        ({"PixelSpacing": [0.2, 0.2]}, SpacingPlane.UNSTATED),
        ({"PixelSpacing": [0.2, 0.2], "ImagerPixelSpacing": [0.2, 0.2]}, SpacingPlane.DETECTOR),
        ({"PixelSpacing": [0.18, 0.18], "ImagerPixelSpacing": [0.2, 0.2]}, SpacingPlane.PATIENT),
        (
            {
                "PixelSpacing": [0.2, 0.2],
                "ImagerPixelSpacing": [0.2, 0.2],
                "PixelSpacingCalibrationType": "FIDUCIAL",
            },
            SpacingPlane.PATIENT,
        ),
        ({"PixelSpacing": [0.9, 0.9], "Modality": "MR"}, SpacingPlane.PATIENT),
        ({}, None),
    ],
)
def test_at_which_plane_the_spacing_holds(tags, plane):
    assert read(**tags).plane is plane
