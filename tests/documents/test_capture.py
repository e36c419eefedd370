"""A report's pictures as Secondary Capture: read back pixel by pixel, checked by dicom3tools."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from tests.documents.programs import said
from tests.documents.sample import IDENTITY, RESULT, TAGS, document, picture
from tests.documents.test_sr import read
from tetkik.documents.capture import needs_image_capture, to_capture, to_image_capture
from tetkik.documents.picture import opened
from tetkik.language import Language
from tetkik.values import Flaw, Identity, ImageTags, ReportState, Route


def coloured() -> bytes:
    """A picture whose pixels all differ, of odd sides."""
    pixels = np.arange(33 * 21 * 3, dtype=np.uint16).reshape(33, 21, 3).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def heatmap(**changes: object) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(to_capture(document(**({"heatmap": coloured()} | changes)))))  # type: ignore[arg-type]


def test_the_pixels_come_back_as_they_were():
    made = heatmap()
    assert (made.pixel_array == np.asarray(Image.open(io.BytesIO(coloured())))).all()
    assert made.PhotometricInterpretation == "RGB" and (made.Rows, made.Columns) == (33, 21)
    grey = heatmap(heatmap=picture("L", 7, (5, 3)))
    assert grey.PhotometricInterpretation == "MONOCHROME2" and (grey.pixel_array == 7).all()
    assert len(grey.PixelData) == 16


def test_it_stands_in_the_study_of_the_image_in_a_series_of_its_own():
    made = heatmap()
    assert made.SOPClassUID.name == "Secondary Capture Image Storage"
    assert str(made.PatientName) == "ŞAHİN^Gülçin Işıl^^Uzm." and made.StudyInstanceUID == IDENTITY.study_uid
    assert made.SeriesInstanceUID not in {IDENTITY.series_uid, made.StudyInstanceUID}
    assert list(made.ImageType) == ["DERIVED", "SECONDARY"]
    (origin,) = made.SourceImageSequence
    assert origin.ReferencedSOPInstanceUID == IDENTITY.instance_uid
    assert origin.ReferencedSOPClassUID == TAGS.sop_class
    assert "tıbbi cihaz değildir" in made.ImageComments and "findings-test 1.0" in made.DerivationDescription
    named = heatmap(heatmap_label="Effusion")
    assert named.ImageComments.startswith("Plevral efüzyon. Modelin baktığı yer")
    assert named.DerivationDescription.endswith("for Pleural effusion")
    assert made.SeriesDescription == "Tetkik: Modelin baktığı yer"


def test_the_report_refers_to_what_was_captured():
    raster = document(identity=Identity(), tags=ImageTags(), image=picture(), heatmap=coloured())
    original = pydicom.dcmread(io.BytesIO(to_image_capture(raster)))
    heat = pydicom.dcmread(io.BytesIO(to_capture(raster)))
    report = read(raster)
    assert [item[2] for item in report.get_evidence()] == [original.SOPInstanceUID, heat.SOPInstanceUID]
    assert {report.StudyInstanceUID, heat.StudyInstanceUID} == {original.StudyInstanceUID}
    assert len({report.SeriesInstanceUID, heat.SeriesInstanceUID, original.SeriesInstanceUID}) == 3
    assert heat.SourceImageSequence[0].ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert needs_image_capture(raster) and not needs_image_capture(document(image=picture()))


@pytest.mark.parametrize(
    ("burned_in", "flaws", "gated", "said"),
    [
        (True, (), True, "YES"),
        (None, (Flaw.BURNED_IN_TEXT,), True, "YES"),
        (False, (), False, "NO"),
        (None, (), True, "NO"),
        (None, (), False, None),
    ],
)
def test_burned_in_text_is_denied_only_where_somebody_looked(
    burned_in: bool | None, flaws: tuple[Flaw, ...], gated: bool, said: str | None
):
    result = replace(RESULT, flaws=flaws, gated=gated)
    made = heatmap(tags=replace(TAGS, burned_in=burned_in), result=result)
    assert made.get("BurnedInAnnotation") == said


def test_another_version_is_another_object_and_the_same_one_the_same_bytes():
    assert to_capture(document(heatmap=coloured())) == to_capture(document(heatmap=coloured()))
    made = (heatmap(), heatmap(version=2), heatmap(heatmap=picture()))
    assert len({item.SOPInstanceUID for item in made}) == 3
    assert len({item.SeriesInstanceUID for item in made}) == 1


def test_nothing_is_made_of_a_picture_that_is_not_there():
    with pytest.raises(ValueError, match="heatmap"):
        to_capture(document())
    with pytest.raises(ValueError, match="image"):
        to_image_capture(document())


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_kind_of_png_is_opened_as_grey_or_colour(mode: str):
    buffer = io.BytesIO()
    source = np.full((4, 6), 40_000, np.uint16)
    kept = Image.fromarray(source) if mode == "I;16" else Image.new("L", (6, 4), 156).convert(mode)
    kept.save(buffer, "PNG")
    found = opened(buffer.getvalue())
    assert found.mode in {"L", "RGB"} and found.size == (6, 4)
    if mode != "1":
        assert np.abs(np.asarray(found).astype(int) - 156).max() <= 3


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"tags": replace(TAGS, body_part="HAND")},
        {"identity": Identity(), "tags": ImageTags(), "result": None},
        {
            "result": replace(RESULT, route=Route.BRAIN_MRI),
            "state": ReportState.FINAL,
            "language": Language.EN,
        },
    ],
)
@pytest.mark.program("dciodvfy", "dcmdump")
def test_dicom3tools_finds_no_fault(changes: dict[str, object], tmp_path: Path):
    report = document(image=picture(), heatmap=coloured(), **changes)  # type: ignore[arg-type]
    for content in (to_capture(report), to_image_capture(report)):
        file = tmp_path / "capture.dcm"
        file.write_bytes(content)
        status, words = said("dciodvfy", file)
        assert status == 0 and "Error" not in words and "SCImage" in words, words
        assert said("dcmdump", file)[0] == 0


def test_an_amendment_refers_to_the_image_that_the_archive_has_already():
    first = document(identity=Identity(), tags=ImageTags(), image=picture(), heatmap=coloured())
    second = replace(first, version=2)
    images = [pydicom.dcmread(io.BytesIO(to_image_capture(one))).SOPInstanceUID for one in (first, second)]
    heatmaps = [pydicom.dcmread(io.BytesIO(to_capture(one))).SOPInstanceUID for one in (first, second)]
    assert images[0] == images[1] and heatmaps[0] != heatmaps[1]
