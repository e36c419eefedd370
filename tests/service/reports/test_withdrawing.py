"""A signed report is withdrawn over the API; pages and documents say so from then on."""

from __future__ import annotations

import base64
import hashlib
import json
from io import BytesIO

import pydicom
import pytest

from tests.records.kit import made_user
from tests.records.reports_kit import proof_of, sign, signed_report
from tests.service.kit import make_context, served, sign_in
from tests.service.reports.test_reports_api import API, PASSWORD, actions, entered
from tetkik.documents.parts import WITHDRAWN
from tetkik.records.cases.patients import Person
from tetkik.records.reports import withdrawal
from tetkik.values import Role, WithdrawalReason

BODY = {"why": "wrong_patient", "words": "Yandaki hastanın grafisi.", "password": PASSWORD}
GUL = Person(name="Gülçin ŞAHİN", number="4711")


@pytest.fixture
def app_context(tmp_path):
    return make_context(tmp_path, hospital_name="Örnek Hastanesi")


@pytest.fixture
def client(app_context):
    with served(app_context) as found:
        found.headers["Accept-Language"] = "en"
        yield found


def withdrawn(app_context, **made):
    """A signed report that somebody withdrew."""
    actor = made_user(app_context.records, Role.RADIOLOGIST, name="Gül Işık")
    report = signed_report(app_context.records, actor, person=GUL, **made)
    with app_context.records.write(actor) as tx:
        why = WithdrawalReason.WRONG_PATIENT
        withdrawal.withdraw(tx, report.id, 1, why, BODY["words"], proof_of(actor))
    return report


def asked(client, report_id, body, version='"1"', **headers):
    if version is not None:
        headers["If-Match"] = version
    return client.post(f"{API}/{report_id}/withdraw", json=body, headers=headers)


def test_a_report_is_withdrawn_with_the_password_again(client, app_context):
    entered(client, app_context, Role.RADIOLOGIST)
    made = signed_report(app_context.records)
    etag = client.get(f"{API}/{made.id}").headers["etag"]
    refused = (
        (BODY, None, 428),
        (BODY | {"password": "wrong"}, etag, 403),
        (BODY | {"password": None}, etag, 403),
        (BODY | {"why": "bored"}, etag, 422),
        (BODY | {"why": "other", "words": " "}, etag, 422),
        (BODY, '"2"', 412),
        (BODY, "W/nonsense", 412),
    )
    for body, version, status in refused:
        answer = asked(client, made.id, body, version)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    key = {"Idempotency-Key": "withdraw-1"}
    first, second = (asked(client, made.id, BODY, etag, **key) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201), first.text
    assert second.headers["idempotency-replayed"] == "true" and first.json() == second.json()
    assert (first.json()["why"], first.json()["number"]) == ("wrong_patient", 1)
    assert actions(app_context).count("report.withdrawn") == 1
    assert asked(client, made.id, BODY, etag).status_code == 409


def test_whoever_reads_it_learns_of_it(client, app_context):
    made = withdrawn(app_context)
    sign_in(client, app_context, Role.RADIOLOGIST)
    read = client.get(f"{API}/{made.id}").json()
    assert (read["state"], read["withdrawal_words"]) == ("withdrawn", BODY["words"])
    said = read["withdrawn"]
    assert (said["by"], said["why"]) == ("Dr. Gül Işık", "wrong_patient")
    (listed,) = client.get(API, params={"state": "withdrawn"}).json()["items"]
    assert (listed["withdrawn"], listed["amending"]) == (said, False)
    assert client.get(API, params={"state": "final"}).json()["items"] == []
    checked = client.post(f"{API}/verify", json={"code": read["verification"]}).json()
    assert (checked["known"], checked["is_last"], checked["withdrawn"]) == (True, True, True)
    (waiting,) = client.get("/api/v1/worklist").json()["items"]
    assert (waiting["withdrawn"], waiting["state"]) == (said, "to_read")
    (found,) = client.post("/api/v1/search", json={"query": "Gülçin"}).json()["items"]
    assert found["withdrawn"] == said
    assert client.get(f"/api/v1/drafts/{made.id}").json()["withdrawn"] == said


def test_each_document_says_so_and_the_signed_bytes_stay(client, app_context):
    made = withdrawn(app_context)
    sign_in(client, app_context, Role.RADIOLOGIST)
    files = f"{API}/{made.id}/versions/1"
    assert WITHDRAWN in client.get(f"{files}/text").text
    assert client.get(f"{files}/pdf").content.startswith(b"%PDF")
    assert client.get(f"{files}/fhir").json()["entry"][0]["resource"]["status"] == "entered-in-error"
    assert client.get(f"{files}/hl7").text.count("||||||W\r")
    note = client.get(f"{files}/rejection")
    assert pydicom.dcmread(BytesIO(note.content)).Modality == "KO"
    assert note.headers["content-disposition"].endswith('.rejection.dcm"')
    for form in ("sr", "capture"):
        answer = client.get(f"{files}/{form}")
        assert answer.status_code == 409 and "rejection note" in answer.json()["detail"]
    signed = client.get(f"{files}/signed")
    digest = base64.b64encode(hashlib.sha256(signed.content).digest()).decode()
    assert signed.headers["repr-digest"] == f"sha-256=:{digest}:"
    assert json.loads(signed.content)["value"]["document"]["state"] == "final"
    sign_in(client, app_context, Role.AUDITOR)
    assert client.get(f"{files}/signed").content == signed.content
    assert client.get(f"{API}/nonsense/versions/1/signed").status_code == 404
    sign_in(client, app_context, Role.CLINICIAN)
    assert client.get(f"{files}/signed").status_code == 403


def test_what_stands_has_no_rejection_note(client, app_context):
    sign_in(client, app_context, Role.RADIOLOGIST)
    made = signed_report(app_context.records)
    answer = client.get(f"{API}/{made.id}/versions/1/rejection")
    assert answer.status_code == 409 and "stands" in answer.json()["detail"]
    assert client.get(f"{API}/{made.id}/versions/1/sr").status_code == 200


def test_every_page_that_names_it_says_by_whom_when_and_why(client, app_context):
    made = withdrawn(app_context, department="Göğüs Hastalıkları")
    everybody = sign_in(client, app_context, *Role)
    patient_id = client.get(f"/api/v1/cases/{made.case_id}").json()["patient_id"]
    pages = [
        client.get(path).text
        for path in (
            f"/reports/{made.id}",
            "/reports?state=withdrawn",
            f"/cases/{made.case_id}",
            f"/patients/{patient_id}",
            f"/read/{made.case_id}",
            "/worklist",
        )
    ]
    pages.append(client.post("/search", data={"words": "Gülçin"}).text)
    for page in pages:
        assert "Dr. Gül Işık" in page and "wrong patient" in page
    assert BODY["words"] in pages[0] and 'data-dialog="withdraw"' not in pages[0]
    assert f"/reports/{made.id}/versions/1/rejection" in pages[0]
    assert f"/reports/{made.id}/versions/1/sr" not in pages[0]
    steps = client.get(f"/audit/cases/{made.case_id}").text
    assert "withdrew the report" in steps and f"/api/v1/reports/{made.id}/versions/1/signed" in steps
    with app_context.records.write(everybody) as tx:
        sign(tx, made.id, everybody)
    after = client.get(f"/reports/{made.id}").text
    assert "Version 1 was withdrawn, and this one was signed in its place" in after
    assert 'data-dialog="withdraw"' in after
    assert "Version 1 was withdrawn: do not go by it" in client.get(f"/reports/{made.id}/compare").text
