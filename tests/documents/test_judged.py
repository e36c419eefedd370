"""What a radiologist says of findings, and what they measured, in every document: written and read back."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import hl7
import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle
from highdicom import sr
from pydicom.sr.codedict import codes

from tests.documents.judged import (
    ANGLE,
    BEFORE,
    EARLIER,
    FILM,
    FOUND,
    LENGTH,
    PICTURE,
    UNCALIBRATED,
    judged,
)
from tests.documents.programs import said, validated
from tests.documents.sample import IDENTITY, document, finding, picture
from tests.documents.test_pdf import pages
from tetkik.documents.capture import to_image_capture
from tetkik.documents.fhir import to_fhir
from tetkik.documents.hl7 import to_hl7
from tetkik.documents.parts import statements
from tetkik.documents.pdf import to_pdf
from tetkik.documents.sr import to_sr
from tetkik.documents.text import to_text
from tetkik.language import Language
from tetkik.values import (
    DraftSentence,
    Identity,
    ImageTags,
    JudgedFinding,
    Judgement,
    ReportDocument,
    ReportState,
    Section,
    Side,
)

PRESENT = {
    "Cardiomegaly": True,
    "Nodule": True,
    "Tuberculosis": True,
    "Fibrosis": True,
    "Effusion": False,
    "Mass": False,
}
VERDICTS = {
    "Effusion": "REJECTED",
    "Cardiomegaly": "ACCEPTED",
    "Mass": "ACCEPTED",
    "Nodule": "ADDED",
    "Tuberculosis": "ADDED",
    "Fibrosis": "ADDED",
}


def groups(report: ReportDocument) -> dict[str, Any]:
    read = sr.Comprehensive3DSR.from_dataset(pydicom.dcmread(io.BytesIO(to_sr(report))))
    found = read.content.get_image_measurement_groups()
    return {item.tracking_identifier: item for item in found}


def algorithms(node: Any) -> list[str]:
    """The algorithms that answer for an item or for what lies beneath it."""
    own = [
        item.TextValue
        for item in getattr(node, "ContentSequence", ())
        if item.name == codes.DCM.AlgorithmName
    ]
    return own + [name for item in getattr(node, "ContentSequence", ()) for name in algorithms(item)]


# ---- what the radiologist says of the findings


def test_only_what_the_radiologist_says_is_there_is_a_finding_of_the_structured_report():
    found = groups(judged(measurements=()))
    reported = {}
    for label, group in found.items():
        answers = {item.name.meaning: item.value for item in group.get_qualitative_evaluations()}
        (verdict,) = [value.value for name, value in answers.items() if name.startswith("Judgement")]
        (present,) = [value for value in answers.values() if value in (codes.SCT.Present, codes.SCT.Absent)]
        assert (group.finding_type is not None) is (present == codes.SCT.Present)
        reported[label] = (present == codes.SCT.Present, verdict)
    assert reported == {label: (there, VERDICTS[label]) for label, there in PRESENT.items()}
    assert found["Fibrosis"].finding_type == sr.CodedConcept("51615001", "SCT", "Fibrosis of lung")
    assert found["Nodule"].finding_type.scheme_designator == "99TETKIK"


def test_the_model_answers_for_its_figure_and_for_nothing_more_of_what_was_judged():
    found = groups(judged(measurements=()))
    (probability,) = found["Effusion"].get_measurements()
    assert probability.value == 0.83 and algorithms(probability[0]) == ["findings-test"]
    own = [item for item in found["Effusion"][0].ContentSequence if item.name == codes.DCM.AlgorithmName]
    assert own == [] and algorithms(found["Nodule"][0]) == []
    assert found["Fibrosis"].get_measurements()[0].value == 0.3  # the model's, though the finding is there


def resources(report: ReportDocument) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The report and its observations, by their label, by `output/LABEL`, or by what was measured."""
    content = json.loads(to_fhir(report))
    Bundle.model_validate(content)
    found = {}
    for entry in content["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] != "Observation":
            continue
        last = resource["code"]["coding"][-1]
        kind = "output/" if last["system"].endswith("model-output") else ""
        found[kind + last["code"]] = resource | {"fullUrl": entry["fullUrl"]}
    return content["entry"][0]["resource"], found


def test_the_radiologists_observations_are_theirs_and_final_and_the_models_lie_beneath():
    report, found = resources(judged(measurements=()))
    reported = {label: item["valueBoolean"] for label, item in found.items() if "valueBoolean" in item}
    assert reported == PRESENT
    for label, verdict in VERDICTS.items():
        item = found[label]
        words = [part.get("valueCodeableConcept", {}).get("coding", [{}])[0] for part in item["component"]]
        assert verdict in {word.get("code") for word in words}
        assert item["status"] == "final" and "performer" in item and "device" not in item
    outputs = {label for label in found if label.startswith("output/")}
    assert outputs == {"output/Effusion", "output/Cardiomegaly", "output/Mass", "output/Fibrosis"}
    effusion = found["output/Effusion"]
    assert "valueBoolean" not in effusion and "snomed" not in json.dumps(effusion["code"])
    assert effusion["component"][0]["valueQuantity"]["value"] == 0.83
    assert found["Effusion"]["derivedFrom"] == [{"reference": effusion["fullUrl"]}]
    results = {item["reference"] for item in report["result"]}
    assert results >= {found[label]["fullUrl"] for label in PRESENT}


def test_nothing_that_was_rejected_reads_as_found_on_paper():
    (page,) = pages(to_pdf(judged(language=Language.EN)))
    assert "Rejected by the radiologist: Pleural effusion" in page
    assert "Added by the radiologist: " in page and "Fibrosis" in page
    assert "Not there, the radiologist confirms: Mass" in page and "radiologist: Cardiomegaly Added" in page
    assert "83%" not in page and "95%" in page
    text = " ".join(to_text(judged()).decode().split())
    assert "Radyoloğun reddettiği bulgular: Plevral efüzyon" in text
    rows = hl7.parse(to_hl7(judged()).decode()).segments("OBX")
    reported = [(str(row[2]), str(row[3]), str(row[5]).split("^")[0]) for row in rows]
    effusion = [(kind, value) for kind, name, value in reported if name.startswith("Effusion")]
    assert effusion == [("CWE", "2667000")]
    heart = [(kind, value) for kind, name, value in reported if name.startswith("Cardiomegaly")]
    assert heart == [("CWE", "52101004"), ("NM", "0.95")]


@pytest.mark.parametrize(
    ("judgement", "kept"),
    [(None, False), (Judgement.ACCEPTED, False), (Judgement.REJECTED, True)],
)
def test_normality_beside_something_that_is_there_is_said_only_in_a_draft_where_it_was_rejected(
    judgement, kept
):
    result = replace(FOUND, findings=(finding("Effusion", 0.8), finding("Normal", 0.7)))
    there = JudgedFinding("Effusion", Judgement.ACCEPTED)
    given = (there,) if judgement is None else (there, JudgedFinding("Normal", judgement))
    labels = [item.label for item in statements(judged(ReportState.DRAFT, result=result, judgements=given))]
    assert ("Normal" in labels) is kept
    assert "Normal" not in [item.label for item in statements(judged(result=result, judgements=given))]


def test_a_signed_report_codes_what_its_sentences_say_whoever_judged_what():
    report = judged(language=Language.TR)
    texts = {
        "Sağda plevral efüzyon izlendi.": (True, Judgement.ADDED, Side.RIGHT),  # rejected, then written
        "Plevral efüzyon ekarte edilemez.": None,  # a doubt about what was rejected is neither
        "Kalp büyüklüğü normaldir.": None,
    }
    for text, wanted in texts.items():
        said = replace(report.draft, sentences=(DraftSentence(text, Section.FINDINGS),))
        signed = replace(report, content=replace(report.content, draft=said))
        found = {item.label: (item.present, item.judgement, item.side) for item in statements(signed)}
        assert found.get("Effusion") == wanted, text
        assert found.keys() <= {"Effusion", "Cardiomegaly"}
    accepted = replace(report, judgements=(JudgedFinding("Effusion", Judgement.ACCEPTED),))
    doubt = replace(report.draft, sentences=(DraftSentence("Olası plevral efüzyon.", Section.FINDINGS),))
    (item,) = statements(replace(accepted, content=replace(report.content, draft=doubt)))
    assert item.present and item.judgement is Judgement.ACCEPTED


def test_without_judgements_a_document_is_what_it_was():
    assert document().verification == document(judgements=(), measurements=()).verification
    changed = (judged(), judged(judgements=()), judged(measurements=()))
    assert len({item.verification for item in changed}) == 3


def test_a_draft_says_plainly_what_nobody_judged_and_a_signed_report_does_not():
    words = "Radyolog değerlendirmedi, yalnızca modelin sonucu: "
    for write in (to_text, lambda report: " ".join(pages(to_pdf(report))).encode()):
        assert words in write(judged(ReportState.DRAFT)).decode()
        assert words not in write(judged()).decode()


# ---- what was measured


def test_a_length_is_a_figure_over_a_line_in_its_image():
    found = groups(judged())["Sağ alt zon"]
    (length,) = found.get_measurements()
    assert length.name == codes.SCT.Length and length.unit == codes.UCUM.Millimeter
    assert length.value == pytest.approx(100.08, abs=0.05) and length.value == LENGTH.rounded
    assert length.method.value == "AT_DETECTOR"
    (line,) = length.referenced_coordinates
    assert line.graphic_type.value == "POLYLINE"
    assert line.GraphicData == pytest.approx([100, 200, 400, 400.25])
    (source,) = line.ContentSequence
    assert source.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == FILM.instance_uid
    assert found.tracking_uid == groups(judged(ReportState.AMENDED, version=2))["Sağ alt zon"].tracking_uid


def test_an_angle_and_an_earlier_frame():
    read = pydicom.dcmread(io.BytesIO(to_sr(judged())))
    (study,) = read.PertinentOtherEvidenceSequence
    assert study.StudyInstanceUID == EARLIER.study_uid
    named = groups(judged())
    (angle,) = named["Açı"].get_measurements()
    assert (angle.name, angle.value, angle.unit) == (codes.SCT.Angle, 90.0, codes.UCUM.Degree)
    assert angle.method is None and len(angle.referenced_coordinates[0].GraphicData) == 6
    (before,) = named["Uzunluk"].get_measurements()
    (source,) = before.referenced_coordinates[0].ContentSequence
    assert source.ReferencedSOPSequence[0].ReferencedFrameNumber == EARLIER.frame
    assert before.value == BEFORE.rounded and before.method.value == "IN_PATIENT"


def test_pixels_are_not_called_millimetres_and_point_into_the_copy_that_is_archived():
    report = judged(
        identity=Identity(), tags=ImageTags(), image=picture(), measurements=(UNCALIBRATED,), judgements=()
    )
    (length,) = groups(report)["Uzunluk"].get_measurements()
    assert (length.value, length.unit.value, length.method.value) == (100, "{pixels}", "NOT_CALIBRATED")
    copy = pydicom.dcmread(io.BytesIO(to_image_capture(report)))
    assert (copy.Columns, copy.Rows) == (PICTURE.columns / 2, PICTURE.rows / 2)
    (line,) = length.referenced_coordinates
    assert line.GraphicData == [5, 5, 55, 5]
    assert line.ContentSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID == copy.SOPInstanceUID
    for words in (to_text(report).decode(), pages(to_pdf(report))[0]):
        assert "Uzunluk" in words and "100 piksel" in words and "kalibre değil" in words
    nowhere = replace(report, image=None)
    assert not groups(nowhere)["Uzunluk"].get_measurements()[0].referenced_coordinates


def test_a_measurement_is_an_observation_of_the_radiologist():
    report, found = resources(judged(measurements=(LENGTH, ANGLE)))
    length = found["410668003"]
    assert length["valueQuantity"] == {
        "value": LENGTH.rounded,
        "unit": "mm",
        "system": "http://unitsofmeasure.org",
        "code": "mm",
    }
    assert length["code"]["text"] == "Sağ alt zon" and length["status"] == "final"
    assert length["method"]["coding"][0]["code"] == "AT_DETECTOR" and "performer" in length
    assert {"reference": length["fullUrl"]} in report["result"]
    assert length["component"][0]["valueString"] == "100, 200; 400, 400.25"
    assert length["component"][1]["valueString"] == IDENTITY.instance_uid
    assert found["1483009"]["valueQuantity"]["code"] == "deg" and "method" not in found["1483009"]
    assert "Sağ alt zon: 100,1 mm" in report["text"]["div"]


def test_measurements_are_read_on_paper_in_the_reports_language():
    for make in (lambda item: pages(to_pdf(item))[0], lambda item: " ".join(to_text(item).decode().split())):
        turkish, english = make(judged()), make(judged(language=Language.EN))
        assert "Ölçümler" in turkish and "Sağ alt zon" in turkish and "100,1 mm" in turkish
        assert "dedektör düzleminde: hastadaki boyut daha küçüktür" in turkish
        assert "önceki görüntü, 02.01.2024" in turkish and "90,0°" in turkish
        assert "Measurements" in english and "100.1 mm" in english and "earlier image, 02.01.2024" in english
    rows = hl7.parse(to_hl7(judged()).decode()).segments("OBX")
    lengths = [(str(row[4]), str(row[5]), str(row[6])) for row in rows if str(row[3][0][0]) == "410668003"]
    assert lengths[0] == ("1", "100.1", "mm^^UCUM") and "Sağ alt zon" in lengths[1][1]


@pytest.mark.parametrize("name", ["signed", "raster"])
@pytest.mark.program("dsrdump", "dciodvfy")
def test_the_programs_of_others_find_no_fault(name: str, tmp_path: Path):
    plain: dict[str, Any] = {
        "identity": Identity(),
        "tags": ImageTags(),
        "image": picture(),
        "measurements": (UNCALIBRATED,),
    }
    report = judged(heatmap=picture()) if name == "signed" else judged(ReportState.DRAFT, **plain)
    file = tmp_path / "report.sr.dcm"
    file.write_bytes(to_sr(report))
    status, words = said("dsrdump", file, "+Pl", "+U8")
    assert status == 0 and not [line for line in words.splitlines() if line.startswith(("E:", "F:"))], words
    assert "SCOORD" in words and "POLYLINE" in words
    status, words = said("dciodvfy", file)
    assert status == 0 and "Error" not in words, words


@pytest.mark.program("node", "npm")
def test_the_validator_of_npm_finds_no_error():
    reports = (judged(), judged(ReportState.DRAFT, Language.EN, measurements=(UNCALIBRATED,)))
    for answer in validated([json.loads(to_fhir(report)) for report in reports]):
        faults = [item for item in answer["messages"] if item["severity"] in {"error", "fatal"}]
        assert answer["valid"] and not faults
