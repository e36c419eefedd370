"""Two records become one at the desk: found, looked at side by side, joined with a clear yes, taken apart."""

from __future__ import annotations

import re

import pytest

from tests.records.kit import made_case, made_user
from tests.service.kit import make_context, served, sign_in
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.ids import new_id
from tetkik.records.schema.cases import Case
from tetkik.values.access import Role

EN = {"Accept-Language": "en"}


@pytest.fixture
def client(app_context):
    with served(app_context) as client:
        client.headers.update(EN)
        sign_in(client, app_context, Role.RECEPTION)
        yield client


def made(app_context, *people: Person) -> list[tuple[str, str]]:
    """Cases with their patients."""
    desk = made_user(app_context.records, Role.RECEPTION)
    opened = [made_case(app_context.records, desk, person) for person in people]
    with app_context.records.read() as tx:
        return [(case_id, tx.session.get_one(Case, case_id).patient_id) for case_id in opened]


def seen_in(page: str) -> str:
    found = re.search(r'name="seen" value="(\w+)"', page)
    assert found is not None
    return found[1]


UNKNOWN = Person("Bilinmeyen 17", number="B-17")
GULCIN = Person("Gülçin ŞAHİN", "10000000146", "H-1", "19700101")


def test_from_the_case_to_one_patient_and_back(client, app_context):
    (case, unknown), (_, gulcin) = made(app_context, UNKNOWN, GULCIN)
    assert f'href="/patients/{unknown}"' in client.get(f"/cases/{case}").text
    assert "No other record looks alike" in client.get(f"/patients/{unknown}").text
    found = client.post(f"/patients/{unknown}/find", data={"words": "gülçin"}).text
    assert f'href="/patients/{unknown}/with/{gulcin}"' in found
    page = client.get(f"/patients/{unknown}/with/{gulcin}").text
    for word in ("Bilinmeyen 17", "10000000146", "H-1", "B-17", "different", "only one says it"):
        assert word in page
    assert re.search(rf'value="{gulcin}" checked', page), "the record with the identity number is offered"
    form = {"survivor": gulcin, "reason": "identified", "seen": seen_in(page)}
    done = client.post(f"/patients/{unknown}/with/{gulcin}", data=form)
    assert (done.status_code, done.headers["location"]) == (303, f"/patients/{gulcin}?joined")
    shown = client.get(f"/cases/{case}").text
    assert "Gülçin ŞAHİN" in shown and re.search(r"Registered as</dt><dd>Bilinmeyen 17 · B-17", shown)
    page = client.get(f"/patients/{unknown}").text
    assert "stands for all" in page and f'action="/patients/{unknown}/separate"' in page
    back = client.post(f"/patients/{unknown}/separate", data={"reason": "other_person"})
    assert (back.status_code, back.headers["location"]) == (303, f"/patients/{gulcin}?separated")
    assert "Registered as" not in client.get(f"/cases/{case}").text
    assert client.post(f"/patients/{unknown}/separate", data={"reason": "other_person"}).status_code == 409


def test_without_a_look_without_a_choice_and_with_two_numbers_nothing_is_joined(client, app_context):
    (_, unknown), (_, gulcin), (_, ali) = made(
        app_context, UNKNOWN, GULCIN, Person("Ali KAYA", "10000000078")
    )
    path = f"/patients/{unknown}/with/{gulcin}"
    whole = {"survivor": gulcin, "reason": "identified", "seen": seen_in(client.get(path).text)}
    unseen = client.post(path, data=whole | {"seen": "0" * 64})
    assert unseen.status_code == 409 and "has changed since you looked" in unseen.text
    for survivor in ("", ali):
        answer = client.post(path, data=whole | {"survivor": survivor})
        assert answer.status_code == 422 and "choose one of the two" in answer.text
    assert client.post(path, data=whole | {"reason": "because"}).status_code == 422
    page = client.get(f"/patients/{ali}/with/{gulcin}").text
    assert "Two identity numbers are two people" in page and 'name="seen"' not in page
    with app_context.records.read() as tx:
        assert patients.records_of(tx, gulcin) == (gulcin,)
    assert client.get(f"/patients/{new_id()}").status_code == 404
    assert client.get(f"/patients/{unknown}/with/{unknown}").status_code == 409


def test_the_desk_leads_there_and_no_address_says_whom_it_is_about(client, app_context):
    (_, one), (_, other) = made(app_context, GULCIN, Person("Gulcin SAHIN", number="H-9"))
    matches = client.post("/reception/patients", data={"words": "gülçin"}).text
    for patient in (one, other):
        assert f'href="/patients/{patient}"' in matches
    page = client.get(f"/patients/{one}").text
    assert "These look alike" in page and f'href="/patients/{one}/with/{other}"' in page
    assert not re.search(r'(href|action)="[^"]*(H-9|SAHIN|10000000146)', page)


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.RECEPTION])
def test_nobody_else_may(app_context, role):
    (case, unknown), (_, gulcin) = made(app_context, UNKNOWN, GULCIN)
    with served(app_context) as client:
        sign_in(client, app_context, role)
        assert client.get(f"/patients/{unknown}").status_code == 403
        assert client.get(f"/patients/{unknown}/with/{gulcin}").status_code == 403
        answer = client.post(
            f"/patients/{unknown}/with/{gulcin}", data={"survivor": gulcin, "reason": "identified"}
        )
        assert answer.status_code == 403
        assert f"/patients/{unknown}" not in client.get(f"/cases/{case}").text


# Records of one patient for programs: compared, joined once for one key, separated.


API = "/api/v1"


@pytest.fixture(scope="module")
def app_context(tmp_path_factory):
    made = make_context(tmp_path_factory.mktemp("hospital"))
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def client_of_patients_api(app_context):
    with served(app_context) as client_of_patients_api:
        sign_in(client_of_patients_api, app_context, Role.RECEPTION)
        yield client_of_patients_api


@pytest.fixture
def two(app_context):
    """The cases of two records, and the records."""
    desk = made_user(app_context.records, Role.RECEPTION)
    people = (Person("Bilinmeyen 17", number=f"B-{new_id()}"), Person("Gülçin ŞAHİN", "", f"H-{new_id()}"))
    opened = [made_case(app_context.records, desk, person) for person in people]
    with app_context.records.read() as tx:
        return opened, [tx.session.get_one(Case, case_id).patient_id for case_id in opened]


def test_compared_joined_once_and_separated(client_of_patients_api, two):
    (case, _), (unknown, gulcin) = two
    found = client_of_patients_api.get(f"{API}/patients/{unknown}/comparison/{gulcin}").json()
    assert found["one"][0]["patient"]["name"] == "Bilinmeyen 17" and not found["obstacle"]
    assert {"trait": "name", "agreement": "different"} in found["traits"]
    body = {"survivor": gulcin, "reason": "identified", "seen": found["seen"]}
    key = {"Idempotency-Key": new_id()}
    first = client_of_patients_api.post(f"{API}/patients/{unknown}/link", json=body, headers=key)
    again = client_of_patients_api.post(f"{API}/patients/{unknown}/link", json=body, headers=key)
    assert first.status_code == 201 and again.json() == first.json()
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.json() == {"replaced": unknown, "survivor": gulcin, "reason": "identified"}
    survivor, replaced = client_of_patients_api.get(f"{API}/patients/{unknown}").json()["records"]
    assert (survivor["id"], survivor["replaced_by"]) == (gulcin, None)
    assert (replaced["id"], replaced["replaced_by"], replaced["reason"]) == (unknown, gulcin, "identified")
    shown = client_of_patients_api.get(f"{API}/cases/{case}").json()
    assert (shown["patient_id"], shown["patient"]["name"]) == (gulcin, "Gülçin ŞAHİN")
    assert shown["registered_as"]["name"] == "Bilinmeyen 17"
    (listed,) = [
        item
        for item in client_of_patients_api.post(f"{API}/search", json={"query": shown["number"]}).json()[
            "items"
        ]
        if item["case_id"] == case
    ]
    assert (listed["name"], listed["registered_as"]) == ("Gülçin ŞAHİN", "Bilinmeyen 17")
    path = f"{API}/patients/{unknown}/link"
    assert client_of_patients_api.delete(path).status_code == 422, "without a reason"
    assert client_of_patients_api.delete(path, params={"reason": "other_person"}).status_code == 204
    assert client_of_patients_api.delete(path, params={"reason": "other_person"}).status_code == 409
    assert client_of_patients_api.get(f"{API}/cases/{case}").json()["registered_as"] is None


def test_what_was_not_looked_at_is_refused_as_a_problem(client_of_patients_api, two):
    _, (unknown, gulcin) = two
    body = {"survivor": gulcin, "reason": "registered_twice", "seen": "0" * 64}
    answer = client_of_patients_api.post(f"{API}/patients/{unknown}/link", json=body)
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"
    assert "H-" not in answer.text and "Bilinmeyen" not in answer.text
    assert client_of_patients_api.get(f"{API}/patients/{new_id()}").status_code == 404
