"""The telephone of a patient, sealed and found by; the age, in years and in months."""

from __future__ import annotations

import io
import json
import zipfile
from datetime import datetime, timedelta

import pytest

from tests.records.kit import made_case, made_user
from tetkik.errors import InputError
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person, age_of, months_of, phone_of
from tetkik.records.lifecycle.patient_export import export_patient
from tetkik.records.schema import Case, Patient
from tetkik.values import Role


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("", ""),
        ("0532 123 45 67", "+905321234567"),
        ("532-123-45-67", "+905321234567"),
        ("+90 (532) 123 45 67", "+905321234567"),
        ("0090 532 1234567", "+905321234567"),
        ("0312 123 45 67", "+903121234567"),
        ("+49 30 1234567", "+49301234567"),
    ],
)
def test_a_number_is_kept_in_one_form(typed, kept):
    assert phone_of(typed) == kept


@pytest.mark.parametrize(
    "typed", ["123", "0832 123 45 67", "0532 123 45 6", "+90 832 123 45 67", "beş yüz", "٠٥٣٢١٢٣٤٥٦٧"]
)
def test_what_is_no_number_is_refused(typed):
    with pytest.raises(InputError, match="telephone"):
        phone_of(typed)


def test_a_number_is_sealed_found_and_exported(records):
    person = Person("Gülçin ŞAHİN", phone="0532 123 45 67")
    actor = made_user(records, Role.RECEPTION)
    case_id = made_case(records, actor, patients.validate_person(person))
    with records.write(actor) as tx:
        patient_id = tx.session.get_one(Case, case_id).patient_id
        assert b"321234567" not in (tx.session.get_one(Patient, patient_id).identity or b"")
        (found,) = patients.search(tx, "(0532) 1234567")
        assert (found.id, found.person.phone_shown) == (patient_id, "0532 123 45 67")
    target = io.BytesIO()
    export_patient(records, patient_id, target)
    told = json.loads(zipfile.ZipFile(target).read("patient.json"))
    assert told["patient"]["phone"] == "+905321234567"


def test_ages_are_whole_years_and_months():
    noon = datetime(2026, 3, 1, 12).astimezone()
    assert [age_of(born, noon) for born in ("20000301", "20000302", "20000229", "20260301")] == [
        26,
        25,
        26,
        0,
    ]
    assert [months_of(born, noon) for born in ("20260201", "20260202", "20250215")] == [1, 0, 12]
    assert age_of("", noon) is age_of("20000230", noon) is age_of("20260302", noon) is None
    assert age_of("20000301", noon - timedelta(days=1)) == 25
