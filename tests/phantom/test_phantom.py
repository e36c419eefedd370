"""The synthetic chest and brain: what they show, where they show it, and the files they become."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest

from tests.phantom import CHEST_SIGNS, draw_phantom, make_phantom, write_phantom
from tetkik.imaging.examples import CHEST_SIGNS as SHIPPED_SIGNS
from tetkik.imaging.examples import example
from tetkik.values import BRAIN_LABELS, FINDING_LABELS, Route, Sex, View

SIZE: dict[str, Any] = {"rows": 192, "columns": 192}
LOSSLESS = {
    "implicit": "1.2.840.10008.1.2",
    "explicit": "1.2.840.10008.1.2.1",
    "deflated": "1.2.840.10008.1.2.1.99",
    "big endian": "1.2.840.10008.1.2.2",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
    "JPEG 2000": "1.2.840.10008.1.2.4.90",
}


SMALL: dict[str, Any] = {"rows": 768, "columns": 768}
SHIPPED: dict[str, tuple[int, tuple[str, ...], dict[str, Any]]] = {
    "chest": (10, SHIPPED_SIGNS, {}),
    "normal": (3, (), SMALL),
    "pneumothorax": (7, ("Pneumothorax",), SMALL),
    "before": (12, (), SMALL),
    "effusion": (12, ("Effusion", "Edema", "Cardiomegaly"), SMALL),
    "brain": (4, ("Glioma",), {"kind": "brain_mri", "rows": 384, "columns": 384}),
}
"""Seed, signs and options of the files in `tetkik/imaging/examples`."""


@pytest.fixture(scope="module")
def normal():
    return draw_phantom(4, **SIZE)


def test_the_same_arguments_give_the_same_pixels(normal):
    assert np.array_equal(normal, draw_phantom(4, **SIZE))
    assert not np.array_equal(normal, draw_phantom(5, **SIZE))


def test_it_is_a_twelve_bit_image_that_uses_its_range(normal):
    assert normal.dtype == np.uint16 and normal.shape == (192, 192)
    assert normal.max() <= 4095
    assert np.percentile(normal, 2) < 150 and np.percentile(normal, 98) > 3500


def test_lungs_are_darker_than_the_heart_and_the_heart_lies_to_the_viewers_right(normal):
    lung, heart, mirrored = normal[75:110, 55:70], normal[115:130, 105:118], normal[115:130, 74:87]
    assert lung.mean() < 0.6 * heart.mean()
    assert mirrored.mean() < heart.mean()
    assert normal[150:180, 60:130].mean() > heart.mean()  # the abdomen
    assert normal[100:180, 3:12].mean() < 300  # beside the body


def test_a_bed_film_has_a_wider_heart():
    wide = [_heart_share(make_phantom(2, ["Cardiomegaly"], view=view, **SIZE)) for view in (View.PA, View.AP)]
    assert wide[1] > wide[0]


def _heart_share(phantom):
    columns = np.flatnonzero(phantom.regions["Cardiomegaly"].any(axis=0))
    return (columns[-1] - columns[0]) / phantom.pixels.shape[1]


@pytest.mark.parametrize("sign", [sign for sign in CHEST_SIGNS if sign not in ("Normal", "Cardiomegaly")])
def test_a_sign_changes_its_region_most(sign, normal):
    phantom = make_phantom(4, [sign], marker=True, **SIZE)
    region = phantom.regions[sign]
    assert 0.0005 < region.mean() < 0.4
    change = np.abs(phantom.pixels.astype(float) - normal)
    if sign not in ("Atelectasis", "Edema", "Emphysema"):  # these also move the anatomy around them
        assert change[region].mean() > 8 * change[~region].mean()
    else:
        assert change[region].mean() > 1.5 * change[~region].mean()


def test_cardiomegaly_is_more_than_half_of_the_chest():
    chest = make_phantom(4, ["Emphysema", "Cardiomegaly"], **SIZE)
    lungs = np.flatnonzero(chest.regions["Emphysema"].any(axis=0))
    assert _heart_share(chest) * 192 / (lungs[-1] - lungs[0]) > 0.5


def test_several_signs_at_once_keep_their_regions():
    phantom = make_phantom(4, ["Mass", "Effusion"], **SIZE)
    assert set(phantom.regions) == {"Mass", "Effusion"}
    assert not make_phantom(4, ["Normal"], **SIZE).regions["Normal"].any()


def test_every_shared_label_can_be_shown():
    assert set(CHEST_SIGNS) | set(BRAIN_LABELS) == set(FINDING_LABELS)


@pytest.mark.parametrize("tumour", BRAIN_LABELS[:3])
def test_a_tumour_changes_its_region(tumour):
    without = draw_phantom(1, ["No_Tumor"], kind="brain_mri", **SIZE)
    phantom = make_phantom(1, [tumour], kind=Route.BRAIN_MRI, **SIZE)
    change = np.abs(phantom.pixels.astype(float) - without)
    region = phantom.regions[tumour]
    assert region.any() and change[region].mean() > 10 * change[~region].mean()


@pytest.mark.parametrize(("rows", "columns"), [(64, 64), (300, 200), (150, 260), (1500, 1100)])
def test_any_size_and_shape(rows, columns):
    phantom = make_phantom(0, ["Nodule"], rows=rows, columns=columns)
    assert phantom.pixels.shape == phantom.regions["Nodule"].shape == (rows, columns)
    assert phantom.regions["Nodule"].any()


def test_women_have_breasts_and_markers_can_be_left_out():
    shown = {sex: draw_phantom(4, sex=sex, **SIZE).astype(float) for sex in (Sex.FEMALE, Sex.MALE)}
    breast = np.s_[125:135, 50:65]
    assert shown[Sex.FEMALE][breast].mean() > shown[Sex.MALE][breast].mean()
    with_marker, without = (draw_phantom(4, marker=marker, **SIZE) for marker in (True, False))
    assert with_marker[8:18, 12:20].astype(int).max() > without[8:18, 12:20].astype(int).max() + 500


@pytest.mark.parametrize(
    "arguments",
    [
        {"signs": ["Glioma"]},
        {"signs": ["Effusion"], "kind": "brain_mri"},
        {"signs": ["Broken_Leg"]},
        {"rows": 8},
        {"columns": 100_000},
    ],
)
def test_what_cannot_be_drawn_is_said(arguments):
    with pytest.raises(ValueError):
        make_phantom(**arguments)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("syntax", LOSSLESS.values(), ids=list(LOSSLESS))
def test_a_file_holds_what_was_drawn(tmp_path, syntax, photometric):
    file = tmp_path / "phantom.dcm"
    phantom = write_phantom(
        file, 1, ["Effusion"], photometric=photometric, transfer_syntax=syntax, rows=64, columns=72
    )
    dataset = pydicom.dcmread(file)
    stored = dataset.pixel_array if photometric == "MONOCHROME2" else 4095 - dataset.pixel_array
    assert np.array_equal(stored, phantom.pixels)
    assert dataset.file_meta.TransferSyntaxUID == syntax
    assert dataset.PhotometricInterpretation == photometric
    assert (dataset.Modality, dataset.BodyPartExamined, dataset.ViewPosition) == ("DX", "CHEST", "PA")


@pytest.mark.parametrize(("bits", "syntax"), [(8, "1.2.840.10008.1.2.4.50"), (16, LOSSLESS["explicit"])])
def test_other_depths(tmp_path, bits, syntax):
    file = tmp_path / "phantom.dcm"
    phantom = write_phantom(file, 1, bits=bits, transfer_syntax=syntax, rows=96, columns=96)
    dataset = pydicom.dcmread(file)
    assert dataset.BitsStored == bits
    difference = dataset.pixel_array / (2**bits - 1) - phantom.pixels / 4095
    assert np.abs(difference).mean() < 0.01


def test_every_name_says_that_it_is_synthetic(tmp_path):
    for kind, modality in (("chest", "DX"), ("chest", "CR"), ("brain_mri", "MR")):
        write_phantom(tmp_path / "phantom.dcm", 3, kind=kind, modality=modality, rows=64, columns=64)
        dataset = pydicom.dcmread(tmp_path / "phantom.dcm")
        assert dataset.Modality == modality
        assert dataset.PatientName == "SENTETIK^FANTOM"
        for text in (dataset.PatientID, dataset.StudyDescription, dataset.SeriesDescription):
            assert "SYNTHETIC" in text


def test_the_same_arguments_give_the_same_file(tmp_path):
    files = [tmp_path / "a.dcm", tmp_path / "b.dcm"]
    for file in files:
        write_phantom(file, 2, ["Mass"], rows=64, columns=64)
    assert files[0].read_bytes() == files[1].read_bytes()


@pytest.mark.parametrize(
    "arguments",
    [
        {"photometric": "RGB"},
        {"bits": 17},
        {"modality": "MR"},
        {"transfer_syntax": "1.2.840.10008.1.2.4.50"},
        {"transfer_syntax": "1.2.840.10008.1.2.4.70"},
    ],
)
def test_a_file_that_cannot_be_is_said_and_not_begun(tmp_path, arguments):
    with pytest.raises((ValueError, NotImplementedError)):
        write_phantom(tmp_path / "phantom.dcm", rows=64, columns=64, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_example_is_what_the_generator_draws(tmp_path, name):
    seed, signs, options = SHIPPED[name]
    shipped = pydicom.dcmread(BytesIO(example(name)))
    kept = shipped.file_meta.TransferSyntaxUID
    write_phantom(tmp_path / "drawn.dcm", seed, signs, transfer_syntax=kept, **options)
    drawn = pydicom.dcmread(tmp_path / "drawn.dcm")
    assert np.allclose(shipped.pixel_array, drawn.pixel_array, atol=2)
    for dataset in (shipped, drawn):
        del dataset.PixelData, dataset.LossyImageCompressionRatio
    assert shipped == drawn
