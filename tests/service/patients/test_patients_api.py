"""Records of one patient for programs: compared, joined once for one key, separated."""

from __future__ import annotations

import pytest

from tests.records.kit import made_case, made_user
from tests.service.kit import make_context, served, sign_in
from tetkik.records.cases.patients import Person
from tetkik.records.ids import new_id
from tetkik.records.schema import Case
from tetkik.values import Role

API = "/api/v1"


@pytest.fixture(scope="module")
def app_context(tmp_path_factory):
    made = make_context(tmp_path_factory.mktemp("hospital"))
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def client(app_context):
    with served(app_context) as client:
        sign_in(client, app_context, Role.RECEPTION)
        yield client


@pytest.fixture
def two(app_context):
    """The cases of two records, and the records."""
    desk = made_user(app_context.records, Role.RECEPTION)
    people = (Person("Bilinmeyen 17", number=f"B-{new_id()}"), Person("Gülçin ŞAHİN", "", f"H-{new_id()}"))
    opened = [made_case(app_context.records, desk, person) for person in people]
    with app_context.records.read() as tx:
        return opened, [tx.session.get_one(Case, case_id).patient_id for case_id in opened]


def test_compared_joined_once_and_separated(client, two):
    (case, _), (unknown, gulcin) = two
    found = client.get(f"{API}/patients/{unknown}/comparison/{gulcin}").json()
    assert found["one"][0]["patient"]["name"] == "Bilinmeyen 17" and not found["obstacle"]
    assert {"trait": "name", "agreement": "different"} in found["traits"]
    body = {"survivor": gulcin, "reason": "identified", "seen": found["seen"]}
    key = {"Idempotency-Key": new_id()}
    first = client.post(f"{API}/patients/{unknown}/link", json=body, headers=key)
    again = client.post(f"{API}/patients/{unknown}/link", json=body, headers=key)
    assert first.status_code == 201 and again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.json() == {"replaced": unknown, "survivor": gulcin, "reason": "identified"}
    survivor, replaced = client.get(f"{API}/patients/{unknown}").json()["records"]
    assert (survivor["id"], survivor["replaced_by"]) == (gulcin, None)
    assert (replaced["id"], replaced["replaced_by"], replaced["reason"]) == (unknown, gulcin, "identified")
    shown = client.get(f"{API}/cases/{case}").json()
    assert (shown["patient_id"], shown["patient"]["name"]) == (gulcin, "Gülçin ŞAHİN")
    assert shown["registered_as"]["name"] == "Bilinmeyen 17"
    (listed,) = [
        item
        for item in client.post(f"{API}/search", json={"query": shown["number"]}).json()["items"]
        if item["case_id"] == case
    ]
    assert (listed["name"], listed["registered_as"]) == ("Gülçin ŞAHİN", "Bilinmeyen 17")
    path = f"{API}/patients/{unknown}/link"
    assert client.delete(path).status_code == 422, "without a reason"
    assert client.delete(path, params={"reason": "other_person"}).status_code == 204
    assert client.delete(path, params={"reason": "other_person"}).status_code == 409
    assert client.get(f"{API}/cases/{case}").json()["registered_as"] is None


def test_what_was_not_looked_at_is_refused_as_a_problem(client, two):
    _, (unknown, gulcin) = two
    body = {"survivor": gulcin, "reason": "registered_twice", "seen": "0" * 64}
    answer = client.post(f"{API}/patients/{unknown}/link", json=body)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert "H-" not in answer.text and "Bilinmeyen" not in answer.text
    assert client.get(f"{API}/patients/{new_id()}").status_code == 404
