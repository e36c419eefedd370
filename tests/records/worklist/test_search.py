"""The search: by whatever is known, among what may be seen, and with nothing of it in the trail."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tests.records.kit import made_case, made_user
from tetkik.records.cases.patients import Person
from tetkik.records.people import access
from tetkik.records.schema import AuditRow, Case, Study
from tetkik.records.worklist import worklist
from tetkik.values import Role


@pytest.fixture
def case(records):
    desk = made_user(records, Role.RECEPTION)
    made_case(records, desk, Person("Ali KAYA", "10000000078", "H-2"), department="Dahiliye")
    case_id = made_case(records, desk, Person("Gülçin ŞAHİN", "10000000146", "H-1"), department="Kardiyoloji")
    with records.write(desk) as tx:
        patient = tx.session.get_one(Case, case_id).patient_id
        tx.session.add(
            Study(
                id="s" * 26,
                case_id=case_id,
                patient_id=patient,
                created_at=tx.now,
                accession_digest=tx.vault.digest("accession", "ACC 7788"),
            )
        )
    return case_id


def found(records, actor, words):
    with records.write(actor) as tx:
        return [item.case_id for item in worklist.search_cases(tx, words)]


@pytest.mark.parametrize(
    "words", ["gülçin", "sah", "ŞAHİN Gül", "10000000146", "H-1", "acc 7788", "{number}", "{short}"]
)
def test_it_is_found(records, case, words):
    with records.read() as tx:
        number = tx.session.get_one(Case, case).number
    year, running = number.split("-")
    words = words.format(number=number, short=f"{year}/{int(running)}")
    assert found(records, made_user(records, Role.RADIOLOGIST), words) == [case]


@pytest.mark.parametrize("words", ["", "  ", "gü", "mehmet", "2026-999999", "1999-000002", "0" * 500, "%"])
def test_another_is_not(records, case, words):
    assert found(records, made_user(records, Role.RADIOLOGIST), words) == []


def test_a_clinician_finds_their_department_alone(records, case):
    own = made_user(records, Role.CLINICIAN, departments=("Kardiyoloji",))
    other = made_user(records, Role.CLINICIAN, departments=("Dahiliye",))
    assert found(records, own, "şahin") == [case]
    assert found(records, other, "şahin") == []


def test_a_restricted_case_is_not_found_by_whose_it_is(records, case):
    reader = made_user(records, Role.RADIOLOGIST)
    with records.write(made_user(records, Role.RECEPTION)) as tx:
        row = tx.session.get_one(Case, case)
        row.restricted = True
        number = row.number
    for words in ("şahin", "10000000146", "H-1", "ACC 7788"):
        assert found(records, reader, words) == []
    with records.write(reader) as tx:
        (item,) = worklist.search_cases(tx, number)
        assert item.hidden and item.name == ""
        access.break_glass(tx, case, "Nöbetçi radyolog, rapor bekleniyor")
    assert found(records, reader, "şahin") == [case]
    assert found(records, made_user(records, Role.CLINICIAN), "şahin") == []


def test_the_trail_says_that_and_not_what(records, case):
    found(records, made_user(records, Role.RADIOLOGIST), "gülçin şahin")
    with records.read() as tx:
        content = tx.session.scalars(select(AuditRow.content).order_by(AuditRow.seq.desc())).first()
    assert content is not None and '"action":"patient.searched"' in content and '"found":1' in content
    assert "ahin" not in content.lower()
