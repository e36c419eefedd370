"""A withdrawn report says so in every format, so that no copy of it is taken for one that stands."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pydicom
import pypdf
import pytest
from highdicom import ko, sr
from pydicom.sr.codedict import codes

from tests.documents.judged import LENGTH
from tests.documents.programs import said, validated
from tests.documents.sample import CREATED, WITHDRAWAL, document, draft, picture
from tetkik.documents.capture import to_capture
from tetkik.documents.encapsulated_pdf import to_encapsulated_pdf
from tetkik.documents.fhir import to_fhir
from tetkik.documents.hl7 import to_hl7
from tetkik.documents.parts import WITHDRAWN, moment_words, withdrawal_reason
from tetkik.documents.pdf import to_pdf
from tetkik.documents.presentation_state import drawn_images, to_report_states
from tetkik.documents.rejection import to_rejection
from tetkik.documents.sr import to_sr
from tetkik.documents.text import to_text
from tetkik.language import Language
from tetkik.values import JudgedFinding, Judgement, ReportDocument, ReportState, WithdrawalReason
from tetkik.values.document import ReplacedVersion

SAID = "Prof. Dr. Gül Işık tarafından 04.03.2026 07:06 (UTC) tarihinde geri çekildi: yanlış hasta."


def withdrawn(**changes: object) -> ReportDocument:
    """A report that was signed and withdrawn."""
    return document(ReportState.WITHDRAWN, **changes)  # type: ignore[arg-type]


def pages(report: ReportDocument) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(to_pdf(report))).pages]


def test_what_was_signed_keeps_its_state_and_its_code():
    stands = document(ReportState.FINAL)
    assert (withdrawn().state, withdrawn().verification) == (stands.state, stands.verification)
    assert (withdrawn().standing, stands.standing) == (ReportState.WITHDRAWN, ReportState.FINAL)


@pytest.mark.parametrize(
    "changes",
    [
        {"state": ReportState.WITHDRAWN},
        {"withdrawal": WITHDRAWAL, "state": ReportState.DRAFT, "signature": None},
    ],
)
def test_a_draft_is_not_withdrawn_and_nothing_is_signed_as_withdrawn(changes):
    with pytest.raises(ValueError, match="withdrawn"):
        replace(document(ReportState.FINAL), **changes)


def test_each_reason_has_words_of_its_own():
    for language in Language:
        assert len({withdrawal_reason(why, language) for why in WithdrawalReason}) == len(WithdrawalReason)


@pytest.mark.parametrize("language", list(Language))
def test_each_page_of_the_pdf_is_marked_twice_and_says_what_was_signed(language):
    long = draft(language)
    long = replace(long, sentences=tuple(item for item in long.sentences for _ in range(30)))
    report = withdrawn(language=language, draft=long)
    plain = pages(replace(report, withdrawal=None))
    found = pages(report)
    assert len(found) >= len(plain) > 1
    assert all(page.count(WITHDRAWN) == 2 for page in found)
    assert not any("WITHDRAWN" in page for page in plain)
    for sentence in long.sentences:
        assert any(sentence.text in page for page in found)
    assert WITHDRAWAL.words in found[0]
    assert all("04.03.2026 07:06" in page for page in found)


def test_the_text_begins_with_it():
    lines = to_text(withdrawn()).decode().split("\n")
    place = lines.index(f"*** {WITHDRAWN} ***")
    assert " ".join(lines[place + 1 : place + 4]).startswith(f"{SAID} {WITHDRAWAL.words}")
    assert place < lines.index("Bulgular")
    assert WITHDRAWN not in to_text(document(ReportState.FINAL)).decode()


@pytest.mark.program("node", "npm")
def test_everything_in_fhir_is_entered_in_error():
    report = withdrawn(judgements=(JudgedFinding("Effusion", Judgement.ACCEPTED),))
    bundle, before = (json.loads(to_fhir(item)) for item in (report, replace(report, withdrawal=None)))
    resources = [entry["resource"] for entry in bundle["entry"]]
    found = {
        item["status"] for item in resources if item["resourceType"] in ("DiagnosticReport", "Observation")
    }
    assert found == {"entered-in-error"}
    result, was = resources[0], before["entry"][0]["resource"]
    assert (result["identifier"], bundle["entry"][0]["fullUrl"]) == (
        was["identifier"],
        before["entry"][0]["fullUrl"],
    )
    assert bundle["identifier"] != before["identifier"]
    assert result["issued"].startswith("2026-03-04T07:06") and bundle["timestamp"] == result["issued"]
    assert result["conclusion"] == f"{WITHDRAWN}: {was['conclusion']}"
    assert "dikte edildi &amp; imzalandı" in result["text"]["div"] and SAID in result["text"]["div"]
    (answer,) = validated([bundle])
    assert [one for one in answer["messages"] if one["severity"] == "error"] == []


def test_hl7_says_that_the_original_was_wrong():
    segments = [line.split("|") for line in to_hl7(withdrawn()).decode().split("\r")]
    before = [line.split("|") for line in to_hl7(document(ReportState.FINAL)).decode().split("\r")]
    (order,) = (line for line in segments if line[0] == "OBR")
    results = [line for line in segments if line[0] == "OBX"]
    assert (order[25], order[22]) == ("X", "20260304070607+0000")
    assert {line[11] for line in results} == {"W"}
    assert [line[:11] for line in results] == [line[:11] for line in before if line[0] == "OBX"]
    assert segments[0][9] != before[0][9] and segments[0][6] == "20260304070607+0000"
    (first, *_) = (line[3] for line in segments if line[0] == "NTE")
    assert first.startswith(f"{WITHDRAWN}: {SAID}") and "\\T\\ imzalandı" in first


@pytest.mark.program("dsrdump", "dciodvfy")
def test_the_archive_gets_a_rejection_note_of_the_report_and_its_heatmap(tmp_path):
    heat = picture("RGB", (200, 80, 40))
    drawn = {"measurements": (LENGTH,)}
    report = withdrawn(image=picture(), heatmap=heat, heatmap_label="Effusion", **drawn)
    signed = replace(report, withdrawal=None)
    note = pydicom.dcmread(io.BytesIO(to_rejection(report)))
    made = [make(signed) for make in (to_sr, to_encapsulated_pdf, to_capture)]
    made += to_report_states(signed, dict.fromkeys(drawn_images(signed)))
    meant = {pydicom.dcmread(io.BytesIO(one)).SOPInstanceUID for one in made}
    assert len(meant) == 4
    assert note.SOPClassUID.name == "Key Object Selection Document Storage"
    (title,) = note.ConceptNameCodeSequence
    assert (title.CodeValue, title.CodeMeaning) == ("113037", "Rejected for Patient Safety Reasons")
    (study,) = note.CurrentRequestedProcedureEvidenceSequence
    named = {
        item.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }
    content = ko.KeyObjectSelection.from_sequence([note])
    assert named == meant == {item.referenced_sop_instance_uid for item in content.get_references()}
    assert str(note.PatientName) == "ŞAHİN^Gülçin Işıl^^Uzm." and note.ContentTime == "070607"
    (observer,) = content.get_observer_contexts(codes.DCM.Person)
    assert observer.observer_identifying_attributes.name == "Işık^Gül^^Prof. Dr."
    (words,) = (
        item.TextValue for item in note.ContentSequence if item.ValueType == "TEXT" and "Key" in str(item)
    )
    assert words.startswith(WITHDRAWN) and WITHDRAWAL.words in words
    assert to_rejection(report) == to_rejection(report)
    file = tmp_path / "note.dcm"
    file.write_bytes(to_rejection(report))
    assert "Error" not in said("dciodvfy", file)[1]
    status, result = said("dsrdump", file, "+Pl", "+U8")
    assert status == 0 and "Rejected for Patient Safety Reasons" in result


def test_a_rejection_note_is_of_a_withdrawn_report_and_no_other_dicom_object_is(tmp_path):
    alone = pydicom.dcmread(io.BytesIO(to_rejection(withdrawn())))
    assert len(ko.KeyObjectSelection.from_sequence([alone]).get_references()) == 2
    with pytest.raises(ValueError, match="stands"):
        to_rejection(document(ReportState.FINAL))
    for make in (to_sr, to_encapsulated_pdf, to_capture, lambda one: to_report_states(one, {})):
        with pytest.raises(ValueError, match="withdrawn"):
            make(withdrawn(heatmap=picture("RGB", (1, 2, 3))))


def test_the_withdrawal_is_later_than_the_signature_and_the_study_is_the_images():
    assert WITHDRAWAL.signature.signed_at > CREATED
    note = pydicom.dcmread(io.BytesIO(to_rejection(withdrawn())))
    assert (
        note.StudyInstanceUID
        == sr.Comprehensive3DSR.from_dataset(
            pydicom.dcmread(io.BytesIO(to_sr(document(ReportState.FINAL))))
        ).StudyInstanceUID
    )


REPLACED = ReplacedVersion(1, CREATED, "Taraf düzeltildi: sağ, sol değil.")


def strings(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(map(strings, value.values()))
    return " ".join(map(strings, value)) if isinstance(value, list) else str(value)


FORMATS = {
    "pdf": lambda report: " ".join(pages(report)),
    "text": lambda report: to_text(report).decode(),
    "hl7": lambda report: to_hl7(report).decode(),
    "fhir": lambda report: strings(json.loads(to_fhir(report))),
    "sr": lambda report: strings(pydicom.dcmread(io.BytesIO(to_sr(report))).to_json_dict()),
    "pdf in dicom": lambda report: " ".join(
        page.extract_text()
        for page in pypdf.PdfReader(
            io.BytesIO(pydicom.dcmread(io.BytesIO(to_encapsulated_pdf(report))).EncapsulatedDocument)
        ).pages
    ),
}


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("language", list(Language))
def test_an_amended_report_says_in_every_format_what_it_replaces_and_why(form, language):
    first = document(ReportState.FINAL, language=language)
    report = replace(document(ReportState.AMENDED, language=language), version=2, replaces=REPLACED)
    said = " ".join(FORMATS[form](report).split())
    replaces = {"tr": "tarihli 1. sürümün yerine geçer.", "en": "Replaces version 1 of"}[language]
    assert replaces in said and REPLACED.reason in said
    assert moment_words(CREATED) in said
    assert replaces not in FORMATS[form](first)
    anew = replace(report, replaces=replace(REPLACED, reason=""))
    assert replaces in " ".join(FORMATS[form](anew).split())
    assert anew.verification != report.verification != replace(report, replaces=None).verification
