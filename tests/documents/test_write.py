"""All documents in one folder, and for whatever a file says of its patient."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import hl7
import pydicom
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.documents.sample import CREATED, RESULT, document, draft, finding, picture
from tetkik.documents.fhir import to_fhir
from tetkik.documents.hl7 import to_hl7
from tetkik.documents.pdf import to_pdf
from tetkik.documents.sr import to_sr
from tetkik.documents.text import to_text
from tetkik.documents.write import write_documents
from tetkik.language import Language, Sentence
from tetkik.values import (
    Decision,
    DraftSentence,
    Fault,
    Hospital,
    Identity,
    ImageTags,
    Mark,
    ReportState,
    Section,
    Signature,
)
from tetkik.values.document import DEMONSTRATION

ALWAYS = ["report.pdf", "report.fhir.json", "report.sr.dcm", "report.hl7", "report.txt"]


def test_every_format_lies_in_the_folder_under_a_name_that_says_nothing(tmp_path: Path):
    files = write_documents(
        document(image=picture(), heatmap=picture("RGB", (9, 9, 9))), tmp_path / "new" / "r"
    )
    assert [file.name for file in files] == [*ALWAYS, "report.heatmap.dcm"]
    assert sorted(files) == sorted((tmp_path / "new" / "r").iterdir())
    assert files[0].read_bytes().startswith(b"%PDF") and json.loads(files[1].read_bytes())
    assert pydicom.dcmread(files[2]).Modality == "SR" and files[3].read_bytes().startswith(b"MSH|")
    assert "Gülçin" in files[4].read_text("utf-8") and pydicom.dcmread(files[5]).Modality == "OT"


def test_an_image_without_uids_lies_beside_what_refers_to_it(tmp_path: Path):
    raster = document(identity=Identity(), tags=ImageTags(), image=picture())
    files = write_documents(raster, tmp_path)
    assert [file.name for file in files] == [*ALWAYS, "report.image.dcm"]
    report, image = pydicom.dcmread(files[2]), pydicom.dcmread(files[-1])
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    assert study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == (
        image.SOPInstanceUID
    )


def test_a_new_version_takes_the_place_of_all_of_the_old_one(tmp_path: Path):
    (tmp_path / "draft.json").write_text("{}")
    write_documents(document(heatmap=picture()), tmp_path)
    write_documents(document(ReportState.FINAL, version=2), tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(["draft.json", *ALWAYS])
    assert pydicom.dcmread(tmp_path / "report.sr.dcm").VerificationFlag == "VERIFIED"


def test_a_fault_leaves_the_folder_as_it_was(tmp_path: Path):
    write_documents(document(), tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(OSError, match="identify image"):
        write_documents(document(ReportState.FINAL, heatmap=b"no picture"), tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before
    with pytest.raises(FileExistsError):
        write_documents(document(), tmp_path / "report.pdf")


def test_every_document_of_a_demonstration_says_that_the_patient_is_invented():
    shown = document(hospital=Hospital(DEMONSTRATION))
    pages = [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(to_pdf(shown))).pages]
    assert all("invented patients" in page for page in pages)
    assert "invented patients" in to_text(shown).decode()
    assert json.loads(to_fhir(shown))["meta"]["tag"][0]["code"] == "HTEST"
    assert "meta" not in json.loads(to_fhir(document()))
    assert [str(hl7.parse(to_hl7(one).decode())["MSH"][0][11]) for one in (shown, document())] == ["T", "P"]
    assert pydicom.dcmread(io.BytesIO(to_sr(shown))).InstitutionName == DEMONSTRATION


def test_an_objection_that_nobody_decided_stands_in_every_document():
    reason = Sentence("It names a side that nobody measured.")
    marks = (Mark(Fault.SIDE, reason, 0, 4), Mark(Fault.SIDE, Sentence("Settled."), 0, 4, Decision.KEPT))
    marked = (DraftSentence("Solda efüzyon.", Section.FINDINGS, marks=marks),)
    report = document(language=Language.EN, draft=replace(draft(Language.EN), sentences=marked))
    words = "Objection, not decided: It names a side that nobody measured."
    spoken = [
        pypdf.PdfReader(io.BytesIO(to_pdf(report))).pages[0].extract_text(),
        to_fhir(report).decode(),
        to_sr(report).decode("utf-8", "replace"),
        to_hl7(report).decode(),
        to_text(report).decode(),
    ]
    for text in spoken:
        assert words in " ".join(text.split()) and "Settled." not in text


@pytest.mark.parametrize(("other", "shown"), [("Pneumonia", False), ("Mass", True)])
def test_normality_beside_something_found_stands_in_no_document(other: str, shown: bool):
    findings = (finding("Normal", 0.52), finding(other, 0.7 if other == "Pneumonia" else 0.1))
    report = document(language=Language.EN, result=replace(RESULT, findings=findings))
    answer = [
        "Normal" in pypdf.PdfReader(io.BytesIO(to_pdf(report))).pages[0].extract_text(),
        '"Normal"' in to_fhir(report).decode(),
        b"Normal" in to_sr(report),
        "Normal" in to_hl7(report).decode(),
    ]
    assert answer == [shown] * 4


anything = st.one_of(
    st.none(),
    st.text(max_size=90),
    st.sampled_from(["19991399", "٢٠٢٦٠١٠١", "1.2.03", "a\\b", "\r\n|^~&", "=^="]),
)
words = st.text(min_size=1, max_size=60).filter(lambda text: text.strip())


@settings(max_examples=12, deadline=None)
@given(
    st.builds(
        Identity,
        patient_id=anything,
        patient_name=anything,
        birth_date=anything,
        accession=anything,
        study_date=anything,
        study_uid=anything,
        series_uid=anything,
        instance_uid=anything,
        age_years=st.one_of(st.none(), st.floats(0, 200)),
    ),
    words,
    words,
)
def test_whatever_a_file_says_every_document_is_written(identity: Identity, name: str, text: str):
    sentences = (DraftSentence(text, Section.FINDINGS),)
    report = document(
        ReportState.FINAL,
        identity=identity,
        draft=replace(draft(), sentences=sentences),
        hospital=Hospital(name, name, name),
        signature=Signature(name, name, name, signed_at=CREATED),
    )
    assert pypdf.PdfReader(io.BytesIO(to_pdf(report))).pages
    assert json.loads(to_fhir(report))["entry"]
    read = pydicom.dcmread(io.BytesIO(to_sr(report)))
    assert read.VerificationFlag == "VERIFIED" and pydicom.uid.UID(read.StudyInstanceUID).is_valid
    assert len(hl7.parse(to_hl7(report).decode()).segments("OBR")) == 1
    assert to_text(report).decode()
