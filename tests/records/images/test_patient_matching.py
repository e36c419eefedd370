"""Whose image it is: names as people and as DICOM write them, numbers, dates; and where an image belongs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records.kit import made_case, made_records, made_user
from tests.records.pictured import put, radiograph
from tetkik.records.cases import cases, patients
from tetkik.records.cases.identity_comparison import compare_identity, person_from_identity
from tetkik.records.cases.patients import Person
from tetkik.records.images import received_decisions
from tetkik.records.images.received_decisions import Destination, find_destination
from tetkik.records.people.access import load_visible_case
from tetkik.values import Identity, Role
from tetkik.values.radiograph import Trait

GULCIN = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101")


@pytest.mark.parametrize(
    ("identity", "traits"),
    [
        (Identity(), ()),
        (Identity("H-1", "ŞAHİN^GÜLÇİN", "19700101"), ()),
        (Identity("h-1 ", "SAHIN^GULCIN"), ()),
        (Identity("10000000146", "SAHIN^GULCIN^NUR"), ()),
        (Identity("H-1", "GÜLÇİN ŞAHİN"), ()),
        (Identity("H-1", "SAHIN^GULCIN=漢字"), ()),
        (Identity("H-2", "SAHIN^GULCIN"), (Trait.NUMBER,)),
        (Identity("10000000078"), (Trait.NUMBER,)),
        (Identity("H-1", "YILMAZ^AYSE"), (Trait.NAME,)),
        (Identity("H-1", "SAHIN^GULSEN"), (Trait.NAME,)),
        (Identity("H-1", "SAHIN^GULCIN", "19700102"), (Trait.BIRTH_DATE,)),
        (Identity("H-1", "SAHIN^GULCIN", "1970"), ()),
        (Identity("X", "Y", "20010101"), (Trait.NAME, Trait.NUMBER, Trait.BIRTH_DATE)),
    ],
)
def test_a_contradiction_is_one_and_silence_is_none(identity, traits):
    assert tuple(one.trait for one in compare_identity(GULCIN, identity)) == traits


def test_a_national_number_says_nothing_against_a_record_without_one():
    assert compare_identity(Person("Ali", "", "H-1"), Identity("10000000146", "ALI")) == ()


def test_a_contradiction_does_not_show_itself_in_a_log():
    (one,) = compare_identity(GULCIN, Identity("H-1", "YILMAZ^AYSE"))
    assert "YILMAZ" not in repr(one) and "ŞAHİN" not in repr(one)
    assert (one.file, one.record) == ("AYSE YILMAZ", "Gülçin ŞAHİN")


@given(st.text(), st.text(), st.text())
def test_whatever_a_file_says_becomes_a_person_and_contradicts_itself_never(number, name, date):
    identity = Identity(number, name, date)
    person = person_from_identity(identity)
    assert len(person.name) <= patients.LONGEST_NAME and len(person.number) <= patients.LONGEST_NUMBER
    assert person.birth_date == "" or len(person.birth_date) == 8
    if len(name) < patients.LONGEST_NAME and len(number) < patients.LONGEST_NUMBER:
        assert compare_identity(person, identity) == ()


@pytest.fixture
def records(tmp_path):
    opened = made_records(tmp_path)
    yield opened
    opened.close()


def home(records, identity, sha256="0" * 64):
    with records.read() as tx:
        return find_destination(tx, identity, sha256)


def test_an_image_goes_where_one_is_awaited_or_to_its_study_or_is_new(records):
    desk = made_user(records, Role.RECEPTION)
    technician = made_user(records, Role.TECHNICIAN)
    identity = radiograph(3).identity
    filed = person_from_identity(identity)
    assert home(records, identity) == Destination()
    case = made_case(records, desk, filed)
    with records.read() as tx:
        patient = load_visible_case(tx, case).patient_id
    assert home(records, identity) == Destination(patient, case)
    with records.write(desk) as tx:
        second = cases.open_case(tx, patient)
    assert home(records, identity) == Destination(patient), "of two that wait, neither is meant"
    image = put(records, technician, second, 3).image
    assert home(records, identity) == Destination(patient, second), "where its study is"
    nameless = Identity(identity.patient_id, identity.patient_name, identity.birth_date)
    assert home(records, nameless, radiograph(3).sha256) == Destination(patient, second), (
        "where it lies already"
    )
    with records.write(desk) as tx:
        cases.close(tx, second)
    assert home(records, identity) == Destination(patient, case) and image.case_id == second


def test_a_patient_with_the_same_number_and_another_name_is_not_taken(records):
    desk = made_user(records, Role.RECEPTION)
    made_case(records, desk, GULCIN)
    assert home(records, Identity("H-1", "YILMAZ^AYSE")) == Destination()
    assert home(records, Identity("H-1", "SAHIN^GULCIN")).case_id is not None


def test_of_two_patients_with_one_number_neither_is_taken(records):
    desk = made_user(records, Role.RECEPTION)
    for _ in range(2):
        made_case(records, desk, Person("Gülçin ŞAHİN", "", "H-1"))
    assert home(records, Identity("H-1", "SAHIN^GULCIN")) == received_decisions.Destination()
