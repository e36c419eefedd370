"""A report as FHIR: read back with the library, its value sets checked against the specification's lists."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from fhir.resources.R4B.bundle import Bundle

from tests.documents.programs import validated
from tests.documents.sample import IDENTITY, RESULT, TAGS, document
from tetkik.documents.fhir import to_fhir
from tetkik.documents.parts import SNOMED
from tetkik.language import Language
from tetkik.values import FINDING_LABELS, Identity, JudgedFinding, Judgement, ReportedImage, ReportState

# https://hl7.org/fhir/R4B/valueset-diagnostic-report-status.html, …/valueset-observation-status.html
REPORT_STATUS = {
    "registered", "partial", "preliminary", "final", "amended", "corrected", "appended", "cancelled",
    "entered-in-error", "unknown",
}  # fmt: skip
OBSERVATION_STATUS = {
    "registered", "preliminary", "final", "amended", "corrected", "cancelled", "entered-in-error", "unknown",
}  # fmt: skip
GENDERS = {"male", "female", "other", "unknown"}


def resources(*args: Any, **changes: Any) -> dict[str, list[dict[str, Any]]]:
    content = json.loads(to_fhir(document(*args, **changes)))
    Bundle.model_validate(content)
    found: dict[str, list[dict[str, Any]]] = {}
    for entry in content["entry"]:
        found.setdefault(entry["resource"]["resourceType"], []).append(entry["resource"])
    return found


@pytest.mark.parametrize(
    ("state", "status"),
    [
        (ReportState.DRAFT, "preliminary"),
        (ReportState.FINAL, "final"),
        (ReportState.AMENDED, "amended"),
    ],
)
def test_the_status_follows_the_signature(state: ReportState, status: str):
    found = resources(state)
    (report,) = found["DiagnosticReport"]
    assert report["status"] == status and status in REPORT_STATUS
    assert ("resultsInterpreter" in report) is ("Practitioner" in found) is (state is not ReportState.DRAFT)
    said = {item["status"] for item in found["Observation"] if "valueBoolean" in item}
    assert said == {status} <= OBSERVATION_STATUS  # the model's own figures beneath stay preliminary
    assert found["Patient"][0]["gender"] == "female" and found["Patient"][0]["gender"] in GENDERS


def test_every_reference_leads_somewhere():
    content = json.loads(to_fhir(document(ReportState.FINAL)))
    names = {entry["fullUrl"] for entry in content["entry"]}
    assert len(names) == len(content["entry"])
    assert all(uuid.UUID(name.removeprefix("urn:uuid:")) for name in names)

    def references(node: Any) -> list[str]:
        if isinstance(node, dict):
            own = [node["reference"]] if "reference" in node else []
            return own + [item for value in node.values() for item in references(value)]
        return [item for value in node for item in references(value)] if isinstance(node, list) else []

    assert set(references(content)) <= names and len(references(content)) > 5


def test_what_was_found_and_what_may_be_denied_are_observations():
    found = {item["code"]["coding"][-1]["code"]: item for item in resources()["Observation"]}
    assert {label: item["valueBoolean"] for label, item in found.items() if "valueBoolean" in item} == {
        "Effusion": True,
        "Cardiomegaly": True,
        "Pneumothorax": False,
    }
    assert found["Effusion"]["component"][0]["valueQuantity"]["value"] == 0.83
    assert found["Effusion"]["code"]["coding"][0] == {
        "system": "http://snomed.info/sct",
        "code": "60046008",
        "display": "Pleural effusion",
    }


def test_the_patient_and_the_study_are_who_they_are():
    found = resources()
    patient = found["Patient"][0]
    assert patient["name"] == [{"family": "ŞAHİN", "given": ["Gülçin Işıl"]}]
    assert patient["birthDate"] == "1961-04-23"
    (study,) = found["ImagingStudy"]
    assert study["identifier"][0]["value"] == f"urn:oid:{IDENTITY.study_uid}"


def test_the_image_the_side_and_the_hospital_are_told():
    judged = JudgedFinding("Effusion", Judgement.ACCEPTED)
    found = resources(ReportState.FINAL, judgements=(judged,))
    (series,) = found["ImagingStudy"][0]["series"]
    assert series["uid"] == IDENTITY.series_uid and series["modality"]["code"] == "DX"
    assert series["instance"] == [
        {
            "uid": IDENTITY.instance_uid,
            "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{TAGS.sop_class}"},
        }
    ]
    sides = [
        part["valueCodeableConcept"]["coding"][0]["display"]
        for item in found["Observation"]
        for part in item.get("component", ())
        if part["code"].get("coding", [{}])[0].get("display") == "Laterality"
    ]
    assert sides == ["Left"]
    assert found["Organization"][0]["name"] == "Örnek Üniversitesi Hastanesi"
    assert found["Practitioner"][0]["name"] == [{"text": "Uzm. Dr. Ömer Çağrı Ünsal"}]


def test_a_day_that_is_none_is_left_out():
    odd = replace(IDENTITY, birth_date="19991399", study_date="٢٠٢٦٠١٠١", study_uid="1.2 3", accession="\x07")
    found = resources(identity=odd)
    assert "birthDate" not in found["Patient"][0] and "ImagingStudy" not in found
    assert "effectiveDateTime" not in found["DiagnosticReport"][0]


def test_the_narrative_is_xhtml_and_holds_every_sentence():
    hostile = replace(IDENTITY, patient_name="<script>^</div>")
    (report,) = resources(ReportState.DRAFT, Language.EN, identity=hostile)["DiagnosticReport"]
    root = ET.fromstring(report["text"]["div"])
    text = "".join(root.itertext())
    for sentence in document(language=Language.EN).draft.sentences:
        assert sentence.text in text
    assert report["conclusion"] == "Left pleural effusion and cardiomegaly."


def test_a_file_without_a_patient_and_a_text_without_a_model():
    found = resources(identity=Identity(), result=None)
    assert found["Patient"] == [{"resourceType": "Patient", "gender": "unknown"}]
    assert "ImagingStudy" not in found and "Observation" not in found
    assert "result" not in found["DiagnosticReport"][0]


def test_codes_are_well_formed_and_of_shared_labels():
    assert set(SNOMED) <= set(FINDING_LABELS)
    assert len({code.value for code in SNOMED.values()}) == len(SNOMED)
    assert all(_verhoeff(code.value) for code in SNOMED.values())


_PRODUCT = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_TURN = (
    "0123456789",
    "1576283094",
    "5803796142",
    "8916043527",
    "9453126870",
    "4286573901",
    "2793806415",
    "7046913258",
)


def _verhoeff(number: str) -> bool:
    """The check digit of a SNOMED CT identifier (SNOMED CT Release File Specification, appendix)."""
    check = 0
    for place, digit in enumerate(reversed(number)):
        check = int(_PRODUCT[check][int(_TURN[place % 8][int(digit)])])
    return check == 0


def test_the_same_report_gives_the_same_bytes():
    assert to_fhir(document()) == to_fhir(document())
    assert RESULT.sha256 not in to_fhir(document()).decode()


@pytest.mark.parametrize("state", ReportState)
@pytest.mark.program("node", "npm")
def test_the_validator_of_npm_finds_no_error(state: ReportState):
    reports = (
        document(state),
        document(state, Language.EN, tags=TAGS),
        document(state, identity=Identity(), result=None),
    )
    for answer in validated([json.loads(to_fhir(report)) for report in reports]):
        faults = [item for item in answer["messages"] if item["severity"] in {"error", "fatal"}]
        assert answer["valid"] and not faults


@pytest.mark.program("node", "npm")
def test_the_validator_of_npm_would_have_found_a_wrong_code_and_a_wrong_key():
    def with_fault(kind: str, key: str, value: str) -> Any:
        content = json.loads(to_fhir(document()))
        for entry in content["entry"]:
            if entry["resource"]["resourceType"] == kind:
                entry["resource"][key] = value
        return content

    wrong = [
        with_fault("DiagnosticReport", "status", "signed"),
        with_fault("Observation", "status", "likely"),
        with_fault("Patient", "gender", "F"),
        with_fault("Patient", "sex", "female"),
    ]
    answers = validated([json.loads(to_fhir(document())), *wrong])
    assert [answer["valid"] for answer in answers] == [True, False, False, False, False]


def test_of_a_study_every_image_is_in_it_by_series():
    first, second = "1.2.826.0.1.3680043.8.498.2", "1.2.826.0.1.3680043.8.498.7"
    shown = tuple(
        ReportedImage(name, None, series, uid, TAGS.sop_class)
        for name, series, uid in (
            ("a", first, "1.2.826.0.1.3680043.8.498.3"),
            ("b", first, "1.2.826.0.1.3680043.8.498.4"),
            ("c", second, "1.2.826.0.1.3680043.8.498.5"),
        )
    )
    (study,) = resources(images=shown)["ImagingStudy"]
    told = {one["uid"]: [instance["uid"][-1] for instance in one["instance"]] for one in study["series"]}
    assert told == {first: ["3", "4"], second: ["5"]}
