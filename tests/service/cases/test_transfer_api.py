"""A case of the wrong patient for programs: compared, moved once for one key, found by its old address."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from tests.records.desk import made_triaged
from tests.records.kit import made_case, made_user
from tests.records.pictured import film, put
from tests.service.kit import make_context, served, sign_in
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.ids import new_id
from tetkik.records.schema import IdempotentRequest
from tetkik.values import Role

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
