"""A case of the wrong patient for programs: compared, moved once for one key, found by its old address."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import select

from tests.records.desk import made_triaged
from tests.records.kit import made_case, made_user
from tests.records.pictured import film, put
from tests.records.reports_kit import signed_report
from tests.service.kit import make_context, served, sign_in
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.ids import new_id
from tetkik.records.schema.cases import Case
from tetkik.records.schema.trail import IdempotentRequest
from tetkik.records.worklist import claims
from tetkik.values.access import Role

API = "/api/v1"


@pytest.fixture(scope="module")
def app_context(tmp_path_factory):
    made = make_context(tmp_path_factory.mktemp("hospital"), language="en")
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def client(app_context):
    with served(app_context) as client:
        sign_in(client, app_context, Role.RECEPTION, Role.TECHNICIAN)
        yield client


@pytest.fixture
def wrong(app_context):
    """A case of Ali with a film, and the record of Gülçin, whose it is."""
    desk = made_user(app_context.records, Role.RECEPTION, Role.TECHNICIAN)
    case = made_case(
        app_context.records, desk, Person("Ali VELİ"), complaint=made_triaged(), question="Neden?"
    )
    put(app_context.records, desk, case)
    with app_context.records.write(desk) as tx:
        return case, patients.create(tx, Person("Gülçin ŞAHİN"))


def looked_at(client, case, patient):
    """What the request needs: the body and the headers."""
    answer = client.get(f"{API}/cases/{case}/move/{patient}")
    assert answer.status_code == 200
    body = {"patient_id": patient, "reason": "chosen_wrongly", "seen": answer.json()["seen"], "sure": True}
    return body, {"If-Match": answer.headers["etag"], "Idempotency-Key": new_id()}, answer.json()


def images_of(client, case):
    return len(client.get(f"{API}/images", params={"case_id": case}).json()["items"])


def test_compared_and_moved_once(client, app_context, wrong):
    case, gulcin = wrong
    before = client.get(f"{API}/cases/{case}")
    body, headers, shown = looked_at(client, case, gulcin)
    assert headers["If-Match"] == before.headers["etag"]
    assert [side[0]["patient"]["name"] for side in (shown["one"], shown["other"])] == [
        "Ali VELİ", "Gülçin ŞAHİN"
    ]  # fmt: skip
    assert (shown["images"], shown["written"], shown["read_by"]) == (1, False, None)
    assert {item["trait"] for item in shown["differs"]} == {"name"}
    first = client.post(f"{API}/cases/{case}/move", json=body, headers=headers)
    again = client.post(f"{API}/cases/{case}/move", json=body, headers=headers)
    assert first.status_code == 201, first.text
    assert again.json() == first.json() and again.headers["Idempotency-Replayed"] == "true"
    made = first.json()
    assert (made["moved_from"], made["reason"]) == (case, "chosen_wrongly")
    there = client.get(f"{API}/cases/{made['case_id']}").json()
    left = client.get(f"{API}/cases/{case}").json()
    assert (there["patient"]["name"], there["question"]) == ("Gülçin ŞAHİN", "Neden?")
    assert there["waiting_since"] == before.json()["waiting_since"]
    assert (there["moved_from"]["case_id"], there["moved_to"]) == (case, None)
    assert (left["state"], left["moved_to"]["number"], left["triage"]) == ("moved", there["number"], None)
    assert images_of(client, case) == 0
    assert images_of(client, there["id"]) == 1
    listed = client.get(f"{API}/cases", params={"state": "moved"}).json()["items"]
    assert [item["id"] for item in listed] == [case]


def test_only_what_was_seen_is_moved(client, wrong):
    case, gulcin = wrong
    body, headers, _ = looked_at(client, case, gulcin)
    path = f"{API}/cases/{case}/move"
    assert client.post(path, json=body).status_code == 428
    assert client.post(path, json=body, headers=headers | {"If-Match": '"0"'}).status_code == 412
    unsure = client.post(path, json=body | {"sure": False}, headers={"If-Match": headers["If-Match"]})
    assert unsure.status_code == 409 and "only if you are sure" in unsure.json()["detail"]
    other = client.post(path, json=body | {"seen": "0" * 64}, headers={"If-Match": headers["If-Match"]})
    assert other.status_code == 409
    assert other.headers["content-type"] == "application/problem+json"
    assert "Ali" not in other.text and "Gül" not in other.text
    assert client.get(f"{API}/cases/{case}").json()["state"] != "moved"
    assert client.get(f"{API}/cases/{case}/move/{new_id()}").status_code == 404


def test_an_image_for_a_case_that_was_moved_is_refused_with_its_new_number(client, wrong):
    case, gulcin = wrong
    body, headers, _ = looked_at(client, case, gulcin)
    made = client.post(f"{API}/cases/{case}/move", json=body, headers=headers).json()
    sent = client.post(f"{API}/images", params={"case_id": case}, content=film(2))
    assert sent.status_code == 409 and made["number"] in sent.json()["detail"]


def test_an_answer_of_before_the_move_is_not_given_again(client, app_context):
    """Nothing is made twice either: whoever asks once more is told."""
    asked = {"json": {"patient": {"name": "Ali VELİ"}, "question": "Sağda gölge?"}}
    asked["headers"] = {"Idempotency-Key": new_id()}
    case = client.post(f"{API}/cases", **asked).json()["id"]
    other = client.post(f"{API}/cases", json={"patient": {"name": "Gülçin ŞAHİN"}}, headers=asked["headers"])
    assert other.status_code == 409
    with app_context.records.write(made_user(app_context.records, Role.RECEPTION)) as tx:
        gulcin = patients.create(tx, Person("Gülçin ŞAHİN"))
    body, headers, _ = looked_at(client, case, gulcin)
    assert client.post(f"{API}/cases/{case}/move", json=body, headers=headers).status_code == 201
    again = client.post(f"{API}/cases", **asked)
    assert (again.status_code, "gölge" in again.text) == (409, False)
    moved = client.post(f"{API}/cases/{case}/move", json=body, headers=headers)
    assert (moved.status_code, moved.headers["idempotency-replayed"]) == (201, "true")
    with app_context.records.read() as tx:
        kept = {row.key: row.body for row in tx.session.scalars(select(IdempotentRequest))}
    assert kept[asked["headers"]["Idempotency-Key"]] == b""


# A case of the wrong patient at the desk: the right one found or registered, compared, moved, and back.


EN = {"Accept-Language": "en"}
ALI = Person("Ali VELİ", "10000000078", "H-7", "19900101")
GULCIN = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101")


@pytest.fixture(scope="module")
def app_context_of_transfer_pages(tmp_path_factory):
    made = make_context(tmp_path_factory.mktemp("hospital"))
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def client_of_transfer_pages(app_context_of_transfer_pages):
    with served(app_context_of_transfer_pages) as client_of_transfer_pages:
        client_of_transfer_pages.headers.update(EN)
        sign_in(client_of_transfer_pages, app_context_of_transfer_pages, Role.RECEPTION)
        yield client_of_transfer_pages


def opened(app_context_of_transfer_pages, person: Person = ALI, *, film: bool = False) -> str:
    desk = made_user(app_context_of_transfer_pages.records, Role.RECEPTION, Role.TECHNICIAN)
    case = made_case(app_context_of_transfer_pages.records, desk, person, question="Neden?")
    if film:
        put(app_context_of_transfer_pages.records, desk, case)
    return case


def patient(app_context_of_transfer_pages, person: Person = GULCIN) -> str:
    with app_context_of_transfer_pages.records.write(
        made_user(app_context_of_transfer_pages.records, Role.RECEPTION)
    ) as tx:
        return patients.create(tx, person)


def seen_in(page: str) -> dict[str, str]:
    found = re.search(r'name="seen" value="(\w+)"', page)
    assert found is not None
    return {"seen": found[1], "reason": "alike"}


def test_from_the_case_to_the_right_patient_and_back(client_of_transfer_pages, app_context_of_transfer_pages):
    case, gulcin = opened(app_context_of_transfer_pages), patient(app_context_of_transfer_pages)
    assert f'href="/cases/{case}/move"' in client_of_transfer_pages.get(f"/cases/{case}").text
    assert "Whose case is it?" in client_of_transfer_pages.get(f"/cases/{case}/move").text
    found = client_of_transfer_pages.post(f"/cases/{case}/move/find", data={"words": "gülçin"}).text
    assert f'href="/cases/{case}/move/{gulcin}"' in found
    page = client_of_transfer_pages.get(f"/cases/{case}/move/{gulcin}").text
    for word in ("Ali VELİ", "10000000078", "Gülçin ŞAHİN", "10000000146", "01.01.1990"):
        assert word in page, word
    assert "The images name" not in page and "are stored anew" not in page
    done = client_of_transfer_pages.post(f"/cases/{case}/move/{gulcin}", data=seen_in(page))
    assert done.status_code == 303, done.text
    there = re.fullmatch(r"/cases/(\w+)\?moved", done.headers["location"])
    assert there is not None
    shown = client_of_transfer_pages.get(done.headers["location"]).text
    assert "right patient&#39;s now" in shown and "Gülçin ŞAHİN" in shown and f'href="/cases/{case}"' in shown
    left = client_of_transfer_pages.get(f"/cases/{case}").text
    assert f'href="/cases/{there[1]}"' in left and "opened for the wrong patient" in left
    assert "Neden?" not in left and f"/cases/{case}/close" not in left and "/move" not in left
    with app_context_of_transfer_pages.records.read() as tx:
        ali = tx.session.get_one(Case, case).patient_id
    back = client_of_transfer_pages.get(f"/cases/{there[1]}/move/{ali}").text
    assert (
        client_of_transfer_pages.post(f"/cases/{there[1]}/move/{ali}", data=seen_in(back)).status_code == 303
    )
    again = client_of_transfer_pages.post(f"/cases/{case}/move/{gulcin}", data=seen_in(page))
    assert again.status_code == 409 and "goes on as" in again.text


def test_the_right_patient_is_registered_where_there_is_no_record(
    client_of_transfer_pages, app_context_of_transfer_pages
):
    case = opened(app_context_of_transfer_pages)
    typed = {"name": "Ayşe DEMİR", "tckn": "10000000146x", "birth_date": "1.2.1980"}
    refused = client_of_transfer_pages.post(f"/cases/{case}/move/register", data=typed)
    assert refused.status_code == 422 and 'value="Ayşe DEMİR"' in refused.text
    assert client_of_transfer_pages.post(f"/cases/{case}/move/register", data={}).status_code == 422
    made = client_of_transfer_pages.post(
        f"/cases/{case}/move/register", data=typed | {"tckn": "", "number": "A-1"}
    )
    page = client_of_transfer_pages.get(made.headers["location"]).text
    assert made.status_code == 303 and "Ayşe DEMİR" in page and "01.02.1980" in page
    known = client_of_transfer_pages.post(
        f"/cases/{case}/move/register", data={"name": "Başka", "number": "A-1"}
    )
    assert known.status_code == 409 and "is known" in known.text


def test_images_that_name_another_and_a_reader_are_told_before(
    client_of_transfer_pages, app_context_of_transfer_pages
):
    case, gulcin = opened(app_context_of_transfer_pages, film=True), patient(app_context_of_transfer_pages)
    reader = made_user(app_context_of_transfer_pages.records, Role.RADIOLOGIST, name="Elif KAYA")
    with app_context_of_transfer_pages.records.write(reader) as tx:
        claims.claim_case(tx, case)
    page = client_of_transfer_pages.get(f"/cases/{case}/move/{gulcin}").text
    assert "Elif KAYA is reading" in page and "The images name another patient." in page
    refused = client_of_transfer_pages.post(f"/cases/{case}/move/{gulcin}", data=seen_in(page))
    assert refused.status_code == 409 and "only if you are sure" in refused.text
    done = client_of_transfer_pages.post(f"/cases/{case}/move/{gulcin}", data=seen_in(page) | {"sure": "1"})
    assert done.status_code == 303


def test_a_signed_report_is_withdrawn_first(client_of_transfer_pages, app_context_of_transfer_pages):
    report = signed_report(app_context_of_transfer_pages.records, person=ALI)
    answer = client_of_transfer_pages.get(f"/cases/{report.case_id}/move")
    assert answer.status_code == 409 and "withdraw the report first" in answer.text


def test_who_reads_may_not_decide_whose_it_is(app_context_of_transfer_pages):
    with served(app_context_of_transfer_pages) as client_of_transfer_pages:
        client_of_transfer_pages.headers.update(EN)
        sign_in(
            client_of_transfer_pages,
            app_context_of_transfer_pages,
            Role.RADIOLOGIST,
            Role.TECHNICIAN,
            Role.CLINICIAN,
        )
        case = opened(app_context_of_transfer_pages)
        assert f"/cases/{case}/move" not in client_of_transfer_pages.get(f"/cases/{case}").text
        assert client_of_transfer_pages.get(f"/cases/{case}/move").status_code == 403


def test_an_old_address_of_the_reading_view_leads_to_the_case(
    client_of_transfer_pages, app_context_of_transfer_pages
):
    case, gulcin = opened(app_context_of_transfer_pages, film=True), patient(app_context_of_transfer_pages)
    page = client_of_transfer_pages.get(f"/cases/{case}/move/{gulcin}").text
    assert (
        client_of_transfer_pages.post(
            f"/cases/{case}/move/{gulcin}", data=seen_in(page) | {"sure": "1"}
        ).status_code
        == 303
    )
    with served(app_context_of_transfer_pages) as other:
        sign_in(other, app_context_of_transfer_pages, Role.RADIOLOGIST)
        answer = other.get(f"/read/{case}")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/cases/{case}")
