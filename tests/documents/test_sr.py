"""A report as DICOM SR: read back with highdicom, checked by dcmtk and dicom3tools."""

from __future__ import annotations

import io
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from highdicom import sr
from pydicom.sr.codedict import codes

from tests.documents.programs import said
from tests.documents.sample import CREATED, IDENTITY, RESULT, TAGS, document, draft, finding, picture
from tetkik.documents.sr import to_sr
from tetkik.language import Language
from tetkik.values import (
    Basis,
    BasisKind,
    Hospital,
    Identity,
    ImageTags,
    ReportDocument,
    ReportedImage,
    ReportState,
    Side,
    Signature,
    View,
)


def read(report: ReportDocument) -> Any:
    """The report as highdicom reads it."""
    return sr.Comprehensive3DSR.from_dataset(pydicom.dcmread(io.BytesIO(to_sr(report))))


def items(node: Any) -> list[Any]:
    """Every content item of a tree."""
    inner = getattr(node, "ContentSequence", None) or []
    return [found for item in inner for found in (item, *items(item))]


def texts(report: Any, name: str) -> list[str]:
    return [
        item.TextValue
        for item in items(report)
        if item.ValueType == "TEXT" and item.ConceptNameCodeSequence[0].CodeMeaning == name
    ]


def groups(report: Any) -> dict[str, Any]:
    return {item.tracking_identifier: item for item in report.content.get_image_measurement_groups()}


def test_whose_it_is_and_every_turkish_letter_come_back():
    report = read(document())
    assert report.SOPClassUID.name == "Comprehensive 3D SR Storage"
    assert report.SpecificCharacterSet == "ISO_IR 192"
    assert str(report.PatientName) == "ŞAHİN^Gülçin Işıl^^Uzm."
    assert report.PatientID == "4711|A^B" and report.PatientSex == "F" and report.PatientAge == "064Y"
    assert report.PatientBirthDate == "19610423" and report.StudyDate == "20260304"
    assert report.StudyInstanceUID == IDENTITY.study_uid and report.AccessionNumber == "ACC~42"
    assert report.InstitutionName == "Örnek Üniversitesi Hastanesi"
    assert report.ContentDate == "20260304" and report.ContentTime == "050607"


@pytest.mark.parametrize("state", [state for state in ReportState if state is not ReportState.WITHDRAWN])
def test_only_a_signed_report_is_verified_and_by_whom(state: ReportState):
    report = read(document(state))
    signed = state is not ReportState.DRAFT
    assert report.VerificationFlag == ("VERIFIED" if signed else "UNVERIFIED")
    assert report.CompletionFlag == ("COMPLETE" if signed else "PARTIAL")
    assert report.PreliminaryFlag == ("FINAL" if signed else "PRELIMINARY")
    people = report.content.get_observer_contexts(codes.DCM.Person)
    assert len(people) is int(signed)
    if signed:
        (observer,) = report.VerifyingObserverSequence
        assert str(observer.VerifyingObserverName) == "Ünsal^Ömer Çağrı^^Uzm. Dr."
        assert observer.VerifyingOrganization == "Örnek Üniversitesi Hastanesi"
        assert str(observer.VerificationDateTime) == "20260304050607+0000"
        assert str(people[0].observer_identifying_attributes.name) == "Ünsal^Ömer Çağrı^^Uzm. Dr."
    assert "Düzeltilmiş" in report.CompletionFlagDescription or state is not ReportState.AMENDED


def test_what_was_found_is_a_finding_with_its_probability_and_its_algorithm():
    found = groups(read(document()))
    assert list(found) == ["Effusion", "Cardiomegaly", "Pneumothorax"]
    effusion = found["Effusion"]
    assert effusion.finding_type == sr.CodedConcept("60046008", "SCT", "Pleural effusion")
    (measured,) = effusion.get_measurements()
    assert measured.name.value == "PROBABILITY" and measured.name.scheme_designator == "99TETKIK"
    assert measured.value == RESULT.findings[0].probability and measured.unit == codes.UCUM.NoUnits
    answers = [(item.name.meaning, item.value) for item in effusion.get_qualitative_evaluations()]
    assert answers == [("Pleural effusion", codes.SCT.Present), ("Laterality", codes.SCT.Left)]
    assert {item.TextValue for item in items(effusion[0]) if item.name == codes.DCM.AlgorithmName} == {
        "findings-test"
    }
    assert {item.TextValue for item in items(effusion[0]) if item.name == codes.DCM.AlgorithmVersion} == {
        "1.0"
    }


def test_what_is_ruled_out_is_absent_and_no_finding():
    absent = groups(read(document()))["Pneumothorax"]
    assert absent.finding_type is None
    (answer,) = absent.get_qualitative_evaluations()
    assert answer.name.value == "36118008" and answer.value == codes.SCT.Absent


def test_a_label_without_a_standard_code_keeps_our_own():
    result = replace(RESULT, findings=(finding("Pleural_Thickening", 0.7), finding("Own_Label", 0.6)))
    found = groups(read(document(result=result)))
    assert found["Pleural_Thickening"].finding_type == sr.CodedConcept(
        "Pleural_Thickening", "99TETKIK", "Pleural thickening"
    )
    assert found["Own_Label"].finding_type.meaning == "Own Label"
    (scheme,) = read(document(result=result)).CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99TETKIK"


@pytest.mark.parametrize(("side", "code"), [(Side.RIGHT, "24028007"), (Side.BOTH, "51440002"), (None, None)])
def test_a_side_is_told_only_where_it_was_measured(side: Side | None, code: str | None):
    evidence = (Basis(BasisKind.FINDING, "Effusion", 0.83, side), *draft().evidence[1:])
    found = groups(read(document(draft=replace(draft(), evidence=evidence))))["Effusion"]
    reported = {item.name.value: item.value.value for item in found.get_qualitative_evaluations()}
    assert reported.get("272741003") == code


@pytest.mark.parametrize("language", Language)
def test_every_sentence_is_a_text_in_its_language(language: Language):
    report = read(document(language=language))
    sentences = document(language=language).draft.sentences
    assert texts(report, "Procedure Description") == [sentences[0].text]
    assert texts(report, "Finding") == [item.text for item in sentences[1:4]]
    assert texts(report, "Impression") == [sentences[4].text]
    assert texts(report, "Recommendation") == [sentences[5].text]
    assert texts(report, "SHA-256 of the report") == [document(language=language).verification]
    reported = items(report)[0]
    assert reported.ConceptCodeSequence[0].CodeValue == language.value
    comments = " ".join(texts(report, "Comment"))
    assert ("tıbbi cihaz değildir" if language is Language.TR else "not a medical device") in comments


def test_an_exercise_says_that_it_is_about_no_patient():
    report = read(document(draft=draft(exercise=True), identity=Identity()))
    assert "Alıştırma: hiçbir hastaya ait değildir" in texts(report, "Comment")
    assert "Alıştırma" in report.CompletionFlagDescription


def references(report: Any) -> set[str]:
    return {
        item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
        for item in items(report)
        if item.ValueType == "IMAGE"
    }


def test_it_refers_to_the_image_in_its_archive_and_to_the_heatmap():
    report = read(document(image=picture(), heatmap=picture("RGB", (200, 80, 10))))
    evidence = report.get_evidence()
    assert evidence[0] == (IDENTITY.study_uid, IDENTITY.series_uid, IDENTITY.instance_uid, TAGS.sop_class)
    assert len(evidence) == 2 and {item[2] for item in evidence} == references(report)
    for group in groups(report).values():
        assert [item.referenced_sop_instance_uid for item in group.source_images] == [IDENTITY.instance_uid]


def test_a_file_without_uids_and_a_text_without_a_model():
    report = read(document(identity=Identity(), tags=ImageTags(), result=None))
    assert report.get_evidence() == [] and references(report) == set() and groups(report) == {}
    assert report.StudyInstanceUID.startswith("2.25.") and len(texts(report, "Finding")) == 3


def test_new_uids_are_the_same_for_the_same_report_and_others_for_another():
    first, again = document(), document()
    earlier = to_sr(first)
    time.sleep(0.01)  # no clock may get into it
    assert earlier == to_sr(again)
    others = (
        document(version=2),
        document(ReportState.FINAL),
        document(draft=replace(draft(), sentences=draft().sentences[:-1])),
        document(id="7f3a2c10-0000-4000-8000-000000000002"),
    )
    uids = [read(item).SOPInstanceUID for item in (first, *others)]
    assert len(set(uids)) == 5 and all(len(uid) <= 64 and uid.is_valid for uid in uids)
    series = [read(item).SeriesInstanceUID for item in (first, *others)]
    assert len(set(series)) == 2
    assert [read(item).InstanceNumber for item in others[:1]] == [2]


def test_a_new_uid_tells_nothing_of_the_patient():
    other = replace(IDENTITY, patient_id="1", patient_name="X^Y", birth_date="20000101", accession="7")
    assert read(document()).SOPInstanceUID == read(document(identity=other)).SOPInstanceUID


REPORTS = {
    "draft": document(image=picture(), heatmap=picture("RGB", (200, 80, 10))),
    "final": document(ReportState.FINAL, Language.EN, heatmap=picture()),
    "amended": document(ReportState.AMENDED, version=2),
    "bare": document(identity=Identity(), tags=ImageTags(), result=None, hospital=Hospital()),
    "raster": document(identity=Identity(), tags=ImageTags(), image=picture()),
    "nameless": document(
        ReportState.FINAL, hospital=Hospital(), signature=Signature("Ünsal", signed_at=CREATED)
    ),
    "hostile": document(
        identity=replace(
            IDENTITY,
            patient_name="A\\B\x1b[31m^" + "x" * 90 + "^x^y^z^too^many",
            patient_id="1\\2\r\n" + "9" * 80,
            accession="123456789\\0123456789",
            birth_date="19991399",
            study_uid="1.2.03 x",
        )
    ),
}


@pytest.mark.parametrize("name", REPORTS)
@pytest.mark.program("dsrdump", "dciodvfy")
def test_dcmtk_and_dicom3tools_find_no_fault(name: str, tmp_path: Path):
    file = tmp_path / "report.sr.dcm"
    file.write_bytes(to_sr(REPORTS[name]))
    status, words = said("dsrdump", file, "+Pl", "+U8")
    assert status == 0 and not [line for line in words.splitlines() if line.startswith(("E:", "F:"))], words
    assert "Comprehensive 3D SR Document" in words
    for sentence in REPORTS[name].draft.sentences:
        assert sentence.text in words
    status, words = said("dciodvfy", file)
    assert status == 0 and "Error" not in words and "Comprehensive3DSR" in words, words


@pytest.mark.program("dsrdump", "dciodvfy")
def test_the_programs_would_have_found_a_fault(tmp_path: Path):
    file = tmp_path / "report.sr.dcm"
    broken = pydicom.dcmread(io.BytesIO(to_sr(document())))
    del broken.VerificationFlag
    del broken.ContentSequence[0].RelationshipType
    broken.save_as(file)
    assert any(line.startswith("E:") for line in said("dsrdump", file)[1].splitlines())
    assert "Error" in said("dciodvfy", file)[1]


def test_of_a_study_it_refers_to_every_image_and_each_finding_to_its_own():
    own, other = "1.2.826.0.1.3680043.8.498.3", "1.2.826.0.1.3680043.8.498.9"
    series = "1.2.826.0.1.3680043.8.498.2"
    found = replace(RESULT, findings=tuple(replace(one, image_id="b") for one in RESULT.findings))
    shown = (
        ReportedImage("a", View.PA, series, own, TAGS.sop_class),
        ReportedImage("b", View.LATERAL, series, other, TAGS.sop_class),
        ReportedImage("c"),  # no DICOM file
    )
    report = read(replace(document(), result=found, images=shown, heatmap=None))
    assert references(report) >= {own, other}
    sources = {
        str(item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID)
        for group in groups(report).values()
        for item in group[0].ContentSequence
        if item.ValueType == "IMAGE"
    }
    assert sources == {other}
