"""A case of the wrong patient at the desk: the right one found or registered, compared, moved, and back."""

from __future__ import annotations

import re

import pytest

from tests.records.kit import made_case, made_user
from tests.records.pictured import put
from tests.records.reports_kit import signed_report
from tests.service.kit import make_context, served, sign_in
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.schema import Case
from tetkik.records.worklist import claims
from tetkik.values import Role

EN = {"Accept-Language": "en"}
ALI = Person("Ali VELİ", "10000000078", "H-7", "19900101")
GULCIN = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101")


@pytest.fixture(scope="module")
def app_context(tmp_path_factory):
    made = make_context(tmp_path_factory.mktemp("hospital"))
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def client(app_context):
    with served(app_context) as client:
        client.headers.update(EN)
        sign_in(client, app_context, Role.RECEPTION)
        yield client


def opened(app_context, person: Person = ALI, *, film: bool = False) -> str:
    desk = made_user(app_context.records, Role.RECEPTION, Role.TECHNICIAN)
    case = made_case(app_context.records, desk, person, question="Neden?")
    if film:
        put(app_context.records, desk, case)
    return case


def patient(app_context, person: Person = GULCIN) -> str:
    with app_context.records.write(made_user(app_context.records, Role.RECEPTION)) as tx:
        return patients.create(tx, person)


def seen_in(page: str) -> dict[str, str]:
    found = re.search(r'name="seen" value="(\w+)"', page)
    assert found is not None
    return {"seen": found[1], "reason": "alike"}


def test_from_the_case_to_the_right_patient_and_back(client, app_context):
    case, gulcin = opened(app_context), patient(app_context)
    assert f'href="/cases/{case}/move"' in client.get(f"/cases/{case}").text
    assert "Whose case is it?" in client.get(f"/cases/{case}/move").text
    found = client.post(f"/cases/{case}/move/find", data={"words": "gülçin"}).text
    assert f'href="/cases/{case}/move/{gulcin}"' in found
    page = client.get(f"/cases/{case}/move/{gulcin}").text
    for word in ("Ali VELİ", "10000000078", "Gülçin ŞAHİN", "10000000146", "01.01.1990"):
        assert word in page, word
    assert "The images name" not in page and "are stored anew" not in page
    done = client.post(f"/cases/{case}/move/{gulcin}", data=seen_in(page))
    assert done.status_code == 303, done.text
    there = re.fullmatch(r"/cases/(\w+)\?moved", done.headers["location"])
    assert there is not None
    shown = client.get(done.headers["location"]).text
    assert "right patient&#39;s now" in shown and "Gülçin ŞAHİN" in shown and f'href="/cases/{case}"' in shown
    left = client.get(f"/cases/{case}").text
    assert f'href="/cases/{there[1]}"' in left and "opened for the wrong patient" in left
    assert "Neden?" not in left and f"/cases/{case}/close" not in left and "/move" not in left
    with app_context.records.read() as tx:
        ali = tx.session.get_one(Case, case).patient_id
    back = client.get(f"/cases/{there[1]}/move/{ali}").text
    assert client.post(f"/cases/{there[1]}/move/{ali}", data=seen_in(back)).status_code == 303
    again = client.post(f"/cases/{case}/move/{gulcin}", data=seen_in(page))
    assert again.status_code == 409 and "goes on as" in again.text


def test_the_right_patient_is_registered_where_there_is_no_record(client, app_context):
    case = opened(app_context)
    typed = {"name": "Ayşe DEMİR", "tckn": "10000000146x", "birth_date": "1.2.1980"}
    refused = client.post(f"/cases/{case}/move/register", data=typed)
    assert refused.status_code == 422 and 'value="Ayşe DEMİR"' in refused.text
    assert client.post(f"/cases/{case}/move/register", data={}).status_code == 422
    made = client.post(f"/cases/{case}/move/register", data=typed | {"tckn": "", "number": "A-1"})
    page = client.get(made.headers["location"]).text
    assert made.status_code == 303 and "Ayşe DEMİR" in page and "01.02.1980" in page
    known = client.post(f"/cases/{case}/move/register", data={"name": "Başka", "number": "A-1"})
    assert known.status_code == 409 and "is known" in known.text


def test_images_that_name_another_and_a_reader_are_told_before(client, app_context):
    case, gulcin = opened(app_context, film=True), patient(app_context)
    reader = made_user(app_context.records, Role.RADIOLOGIST, name="Elif KAYA")
    with app_context.records.write(reader) as tx:
        claims.claim_case(tx, case)
    page = client.get(f"/cases/{case}/move/{gulcin}").text
    assert "Elif KAYA is reading" in page and "The images name another patient." in page
    refused = client.post(f"/cases/{case}/move/{gulcin}", data=seen_in(page))
    assert refused.status_code == 409 and "only if you are sure" in refused.text
    done = client.post(f"/cases/{case}/move/{gulcin}", data=seen_in(page) | {"sure": "1"})
    assert done.status_code == 303


def test_a_signed_report_is_withdrawn_first(client, app_context):
    report = signed_report(app_context.records, person=ALI)
    answer = client.get(f"/cases/{report.case_id}/move")
    assert answer.status_code == 409 and "withdraw the report first" in answer.text


def test_who_reads_may_not_decide_whose_it_is(app_context):
    with served(app_context) as client:
        client.headers.update(EN)
        sign_in(client, app_context, Role.RADIOLOGIST, Role.TECHNICIAN, Role.CLINICIAN)
        case = opened(app_context)
        assert f"/cases/{case}/move" not in client.get(f"/cases/{case}").text
        assert client.get(f"/cases/{case}/move").status_code == 403


def test_an_old_address_of_the_reading_view_leads_to_the_case(client, app_context):
    case, gulcin = opened(app_context, film=True), patient(app_context)
    page = client.get(f"/cases/{case}/move/{gulcin}").text
    assert client.post(f"/cases/{case}/move/{gulcin}", data=seen_in(page) | {"sure": "1"}).status_code == 303
    with served(app_context) as other:
        sign_in(other, app_context, Role.RADIOLOGIST)
        answer = other.get(f"/read/{case}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/{case}")
