"""Triage and cases for programs: the contract's keys, created once, changed by who saw the last state."""

from __future__ import annotations

import pytest

from tests.records.kit import made_case
from tests.service.kit import make_context, served, sign_in
from tetkik.errors import Conflict
from tetkik.language import Language
from tetkik.records.ids import new_id
from tetkik.records.reports.slow_work import written
from tetkik.service.kit.http import idempotency
from tetkik.values import Role

API = "/api/v1"
TEXT = "Göğsümde baskı var, sol koluma vuruyor."


@pytest.fixture(scope="module")
def app_context(tmp_path_factory):
    made = make_context(tmp_path_factory.mktemp("hospital"), language=Language.TR)
    yield made
    made.records.close()


@pytest.fixture(scope="module")
def app(app_context):
    with served(app_context) as client:
        yield client


@pytest.fixture
def client(app, app_context):
    app.cookies.clear()
    sign_in(app, app_context, Role.RECEPTION)
    return app


def test_triage_has_the_keys_of_the_contract(client):
    answer = client.post(f"{API}/triage", json={"text": TEXT}).json()
    assert list(answer) == [
        "text", "departments", "urgency", "abstain", "reason", "question", "destination", "evidence",
        "model",
    ]  # fmt: skip
    assert answer["text"] == TEXT and answer["urgency"]["level"] == "kirmizi"
    assert answer["destination"] == {"kind": "emergency", "text": "Acil Servis"}
    unread = client.post(f"{API}/triage", json={"text": "My chest hurts"}).json()
    assert (unread["urgency"], unread["destination"]) == ({"level": None, "flags": []}, None)
    assert sum(item["probability"] for item in answer["departments"]) == pytest.approx(1, abs=1e-4)


def test_a_case_is_made_once_for_one_key(client):
    body = {"patient": {"name": "Ali Kaya", "birth_date": "1980-05-17", "sex": "M"}, "complaint": TEXT,
            "department": "Kardiyoloji", "question": "Kalp?"}  # fmt: skip
    key = {"Idempotency-Key": new_id()}
    first = client.post(f"{API}/cases", json=body, headers=key)
    again = client.post(f"{API}/cases", json=body, headers=key)
    assert (first.status_code, first.json()) == (201, again.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    made = first.json()
    assert made["patient"] == {
        "name": "Ali Kaya",
        "tckn": "",
        "number": "",
        "birth_date": "1980-05-17",
        "phone": "",
        "sex": "M",
    }
    assert (made["state"], made["urgency"], made["priority"], made["department"]) == (
        "waiting", "kirmizi", 0, "Kardiyoloji",
    )  # fmt: skip
    assert made["triage"]["text"] == TEXT
    other = client.post(f"{API}/cases", json=body | {"question": ""}, headers=key)
    assert other.status_code == 409
    same = client.post(f"{API}/cases", json={"patient_id": made["patient_id"]}).json()
    assert (same["patient_id"], same["triage"]) == (made["patient_id"], None)


def test_a_request_that_comes_again_while_it_is_in_work_gets_its_answer(client, monkeypatch):
    """As on PostgreSQL: both find nothing, and the second meets the first as it keeps its answer."""

    def beside(write, work):
        written(write, work)
        raise Conflict("Somebody else wrote the same at the same moment; look at it again and repeat.")

    monkeypatch.setattr(idempotency, "written", beside)
    sent = {"json": {"patient": {"name": "Beklenen HASTA"}}, "headers": {"Idempotency-Key": new_id()}}
    second = client.post(f"{API}/cases", **sent)
    assert (second.status_code, second.headers["Idempotency-Replayed"]) == (201, "true")
    monkeypatch.undo()
    assert client.post(f"{API}/cases", **sent).json() == second.json()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 422),
        ({"patient": {"name": "Ali", "tckn": "12345678901"}}, 422),
        ({"patient": {"name": "Ali", "tckn": "1"}}, 422),
        ({"unknown": True, "department": "Falcılık"}, 422),
        ({"unknown": True, "colour": "blue"}, 422),
        ({"patient_id": new_id()}, 404),
        ({"unknown": True, "complaint": "\ud800"}, 422),
    ],
)
def test_what_cannot_be_is_a_problem_without_its_values(client, body, status):
    import json

    sent = json.dumps(body).encode()
    answer = client.post(f"{API}/cases", content=sent, headers={"Content-Type": "application/json"})
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert "Falcılık" not in answer.text and "12345678901" not in answer.text


def test_a_change_names_what_it_was_made_on(client, app_context):
    made = client.post(f"{API}/cases", json={"unknown": True, "department": "Dahiliye"}).json()
    here = f"{API}/cases/{made['id']}"
    shown = client.get(here)
    tag = shown.headers["ETag"]
    assert client.get(here, headers={"If-None-Match": tag}).status_code == 304
    assert client.patch(here, json={"department": "Üroloji"}).status_code == 428
    changed = client.patch(
        here,
        json={
            "department": "Üroloji",
            "patient": {"name": "Ece"},
            "question": "Taş?",
            "restricted": True,
            "closed": True,
        },
        headers={"If-Match": tag},
    )
    assert changed.status_code == 200
    now = client.get(here)
    assert (now.json(), now.headers["ETag"]) == (changed.json(), changed.headers["ETag"])
    assert (now.json()["department"], now.json()["patient"]["name"], now.json()["state"]) == (
        "Üroloji", "Ece", "closed",
    )  # fmt: skip
    late = client.patch(here, json={"question": "Başka"}, headers={"If-Match": tag})
    assert late.status_code == 412 and client.get(here).json()["question"] == "Taş?"
    fresh = {"If-Match": now.headers["ETag"]}
    assert client.patch(here, json={"closed": False}, headers=fresh).json()["state"] == "waiting"


def test_half_a_change_is_none(client):
    made = client.post(f"{API}/cases", json={"unknown": True, "department": "Dahiliye"})
    here = f"{API}/cases/{made.json()['id']}"
    tag = client.get(here).headers["ETag"]
    wrong = {"department": "Üroloji", "patient": {"name": "Ece", "tckn": "12345678901"}}
    assert client.patch(here, json=wrong, headers={"If-Match": tag}).status_code == 422
    assert client.get(here).headers["ETag"] == tag


def test_the_list_goes_on_with_its_cursor_and_names_nobody(client, app_context):
    actor = sign_in(client, app_context, Role.RECEPTION)
    made = [made_case(app_context.records, actor, department="Nöroloji") for _ in range(5)]
    found, cursor = [], None
    while True:
        query = {"limit": 2, "department": "Nöroloji"} | ({"cursor": cursor} if cursor else {})
        page = client.get(f"{API}/cases", params=query).json()
        assert "patient" not in str(page) and "ŞAHİN" not in str(page)
        found += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert sorted(found) == sorted(made) and found == sorted(found, reverse=True)
    assert client.get(f"{API}/cases", params={"cursor": "x"}).status_code == 422


def test_roles(client, app_context):
    case_id = made_case(
        app_context.records, sign_in(client, app_context, Role.RECEPTION), department="Kardiyoloji"
    )
    sign_in(client, app_context, Role.ENGINEER)
    assert client.get(f"{API}/cases/{case_id}").status_code == 403
    assert client.post(f"{API}/triage", json={"text": TEXT}).status_code == 200
    sign_in(client, app_context, Role.TECHNICIAN)
    assert client.post(f"{API}/cases", json={"unknown": True, "complaint": TEXT}).status_code == 403
    assert client.post(f"{API}/cases", json={"unknown": True}).status_code == 201
    sign_in(client, app_context, Role.CLINICIAN, departments=("Nöroloji",))
    assert client.get(f"{API}/cases/{case_id}").status_code == 403
