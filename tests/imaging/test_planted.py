"""Identifiers planted wherever a DICOM file has room for one: none is left, and the picture stays."""

from __future__ import annotations

import io
import struct

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageCms
from pydicom.dataset import Dataset

from tests.imaging.planted import SYNTAXES, left_in, planted_files
from tetkik.imaging.deidentify import BurnedIn, Options, Secret, deidentify_bytes
from tetkik.imaging.deidentify.pixels import clean_profile, clean_rle
from tetkik.imaging.deidentify.profile import clean_code, is_technical

SECRET, OPTIONS = Secret(b"0123456789abcdef"), Options(burned_in=BurnedIn.WARN)


@pytest.mark.attack
@pytest.mark.filterwarnings("ignore")
def test_no_identifier_is_left_in_any_place() -> None:
    """`benchmarks/deidentification.py --files 500` uses every attribute of the dictionary."""
    for planted in planted_files(len(SYNTAXES), seed=3, attributes=150):
        content, uid, _ = deidentify_bytes(planted.content, planted.name, SECRET, OPTIONS)
        assert len(planted.identifiers) > 150
        assert left_in(content, planted) == []
        assert planted.identifiers["file name"].lower() not in uid
        before, after = (pydicom.dcmread(io.BytesIO(data)) for data in (planted.content, content))
        assert np.array_equal(before.pixel_array, after.pixel_array)


@pytest.mark.filterwarnings("ignore")
def test_what_was_planted_can_be_found() -> None:
    (planted,) = planted_files(1, seed=4, attributes=40)
    missed = planted.identifiers.keys() - set(left_in(planted.content, planted))
    # The name of a file is not in it; a text may be cut to the length of its attribute.
    assert {"file name", "file name, number"} <= missed and len(missed) < 0.1 * len(planted.identifiers)


@pytest.mark.attack
def test_a_frame_of_rle_segments_ends_with_its_pixels() -> None:
    # A literal of 3, a run of 4, a step of nothing, and a literal that goes on behind the last of 9 bytes.
    segment = bytes((2, 1, 2, 3, 253, 7, 128, 5, 8, 9)) + b"NAME"
    frame = struct.pack("<16I", 1, 68, *(0 for _ in range(14))) + b"gap!" + segment + b"behind"
    cleaned = clean_rle(frame, 9)
    assert cleaned == struct.pack("<16I", 1, 64, *(0 for _ in range(14))) + bytes(
        (2, 1, 2, 3, 253, 7, 1, 8, 9, 0)
    )
    with pytest.raises(ValueError, match="ends early"):
        clean_rle(frame[:72], 9)


@pytest.mark.attack
def test_a_colour_profile_keeps_its_colours_and_loses_its_words() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    described = profile.replace("sRGB".encode("utf-16-be"), "Ayse".encode("utf-16-be")) + b"AYSE YILMAZ"
    cleaned = clean_profile(described)
    assert cleaned is not None and "Ayse".encode("utf-16-be") not in cleaned and b"YILMAZ" not in cleaned
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (8, 8, 3), np.uint8))
    target = ImageCms.createProfile("LAB")
    through = [
        np.asarray(
            ImageCms.profileToProfile(
                picture, ImageCms.ImageCmsProfile(io.BytesIO(data)), target, outputMode="LAB"
            )
        )
        for data in (profile, cleaned)
    ]
    assert np.array_equal(through[0], through[1])
    assert clean_profile(b"no profile") is None


@pytest.mark.parametrize(
    "text", ["CHEST", "SOMATOM Definition AS+", "VB10B", "syngo MR", "ISO_IR 192", "16-slice", "", "3.0 T"]
)
def test_words_of_technique_stay(text: str) -> None:
    assert is_technical(text)


@pytest.mark.attack
@pytest.mark.parametrize(
    "text",
    [
        "AYSE",
        "Chest of Ayşe",
        "10000000146",
        "19610312",
        "H-22317",
        "A1B2C3D4",
        "34 ABC 123",
        "王小明",
        "٣٤٥٦",
    ],
)
def test_any_other_word_and_longer_numbers_go(text: str) -> None:
    assert not is_technical(text)


def test_a_code_says_what_its_dictionary_says() -> None:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-D3000", "SRT", "Ayşe Yılmaz"
    clean_code(item)
    assert (item.CodeValue, item.CodeMeaning) == ("T-D3000", "Thoracic structure (body structure)")
    item.CodeMeaning = "Chest"
    clean_code(item)
    assert item.CodeMeaning == "Chest"
    item.CodeValue, item.CodeMeaning = "H-22317", "Ayşe Yılmaz"
    clean_code(item)
    assert "CodeValue" not in item and "CodeMeaning" not in item
