"""A report of a patient whose records were joined: former numbers and names go along, marked as such."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pydicom
import pytest
from fhir.resources.R4B.bundle import Bundle

from tests.documents.programs import said, validated
from tests.documents.sample import IDENTITY, document
from tetkik.documents.fhir import to_fhir
from tetkik.documents.sr import to_sr
from tetkik.report.deidentify import without_identifiers
from tetkik.values import Identity

JOINED = replace(IDENTITY, other_ids=("B-17", "H-9"), other_names=("17^Bilinmeyen",))


def patient_in(identity: Identity) -> dict[str, Any]:
    content = json.loads(to_fhir(document(identity=identity)))
    Bundle.model_validate(content)
    (found,) = [
        entry["resource"] for entry in content["entry"] if entry["resource"]["resourceType"] == "Patient"
    ]
    return dict(found)


@pytest.mark.program("node", "npm")
def test_fhir_names_the_former_numbers_as_old_and_links_their_records():
    patient = patient_in(JOINED)
    assert [(one.get("use"), one["value"]) for one in patient["identifier"][1:]] == [
        ("old", "B-17"),
        ("old", "H-9"),
    ]
    assert [link["type"] for link in patient["link"]] == ["replaces", "replaces"]
    assert patient["link"][0]["other"]["identifier"]["value"] == "B-17"
    plain = patient_in(IDENTITY)
    assert "link" not in plain and plain["identifier"] == patient["identifier"][:1]
    (answer,) = validated([json.loads(to_fhir(document(identity=JOINED)))])
    assert answer["valid"], answer


@pytest.mark.program("dciodvfy")
def test_dicom_has_them_where_the_standard_has_a_place(tmp_path: Path):
    file = tmp_path / "report.dcm"
    file.write_bytes(to_sr(document(identity=JOINED)))
    report = pydicom.dcmread(io.BytesIO(file.read_bytes()))
    assert [item.PatientID for item in report.OtherPatientIDsSequence] == ["B-17", "H-9"]
    assert str(report.OtherPatientNames) == "17^Bilinmeyen"
    assert "OtherPatientIDsSequence" not in pydicom.dcmread(io.BytesIO(to_sr(document(identity=IDENTITY))))
    status, words = said("dciodvfy", file)
    assert status == 0 and "Error" not in words, words


def test_no_former_name_or_number_reaches_a_language_model():
    national = replace(
        JOINED, national_id="10000000078"
    )  # no valid one, so that the form alone hides nothing
    clean = without_identifiers("Bilinmeyen hastanın (B-17, 10000000078) ağrısı var.", national)
    assert (
        "Bilinmeyen" not in clean and "10000000078" not in clean and "B-17" not in clean and "ağrısı" in clean
    )
