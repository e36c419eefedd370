"""A report's PDF, and what was drawn into its images, as DICOM objects: checked by dicom3tools."""

from __future__ import annotations

import io
from dataclasses import replace

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.documents.judged import ANGLE, EARLIER, FILM, LENGTH
from tests.documents.programs import said
from tests.documents.sample import CREATED, IDENTITY, document, picture
from tetkik.documents import dicom
from tetkik.documents.capture import to_capture
from tetkik.documents.encapsulated_pdf import to_encapsulated_pdf
from tetkik.documents.pdf import to_pdf
from tetkik.documents.presentation_state import GreyRange, drawn_images, to_report_states
from tetkik.documents.sr import to_sr
from tetkik.values import ReportState

SIGNED = document(ReportState.FINAL, measurements=(LENGTH, ANGLE, replace(LENGTH, id="x", image=EARLIER)))
GREY = {FILM: GreyRange(0, 4095, inverted=True)}


def read(content):
    return pydicom.dcmread(io.BytesIO(content))


@pytest.mark.program("dciodvfy")
def test_the_pdf_is_whole_and_a_standard_object(tmp_path):
    made = read(to_encapsulated_pdf(SIGNED))
    assert made.EncapsulatedDocument[: made.EncapsulatedDocumentLength] == to_pdf(SIGNED)
    assert (made.StudyInstanceUID, made.Modality) == (IDENTITY.study_uid, "DOC")
    assert made.SourceInstanceSequence[0].ReferencedSOPInstanceUID == IDENTITY.instance_uid
    assert read(to_encapsulated_pdf(document())).VerificationFlag == "UNVERIFIED"
    for name, content in (("pdf", to_encapsulated_pdf(SIGNED)), ("pr", to_report_states(SIGNED, GREY)[0])):
        file = tmp_path / f"{name}.dcm"
        file.write_bytes(content)
        assert "Error" not in said("dciodvfy", file)[1]


def test_each_version_has_names_of_its_own_that_stay():
    later = replace(SIGNED, version=2, created=CREATED.replace(hour=9))

    def names(report):
        objects = [to_sr(report), to_encapsulated_pdf(report), *to_report_states(report, GREY)]
        return [(one.SOPInstanceUID, one.SeriesInstanceUID) for one in map(read, objects)]

    assert names(SIGNED) == names(SIGNED)
    first, second = names(SIGNED), names(later)
    assert len({uid for uid, _ in (*first, *second)}) == 6
    assert [series for _, series in first] == [series for _, series in second]
    assert len({series for _, series in first}) == 3


def test_what_was_drawn_is_shown_over_the_image_of_the_study_alone():
    assert drawn_images(SIGNED) == (FILM,)
    (made,) = map(read, to_report_states(SIGNED, GREY))
    (series,) = made.ReferencedSeriesSequence
    assert series.ReferencedImageSequence[0].ReferencedSOPInstanceUID == FILM.instance_uid
    (drawn,) = made.GraphicAnnotationSequence
    assert len(drawn.TextObjectSequence) == 2 and made.PresentationLUTShape == "INVERSE"
    assert to_report_states(SIGNED, {}) == ()  # no grey image
    assert to_report_states(document(ReportState.FINAL), GREY) == ()


def test_a_result_that_an_archive_sends_back_is_known_by_itself():
    shown = replace(SIGNED, heatmap=picture("RGB", (1, 2, 3)))
    for content in (to_sr(SIGNED), to_encapsulated_pdf(SIGNED), to_capture(shown)):
        assert dicom.is_result(read(content))
    scanner = Dataset()
    scanner.SOPInstanceUID, scanner.Manufacturer = "2.25.1", "SIEMENS"
    assert not dicom.is_result(scanner)
    scanner.SOPInstanceUID, scanner.Manufacturer = "1.3.12.2", "Tetkik"
    assert not dicom.is_result(scanner) and not dicom.is_result(Dataset())
