"""A patient's own data through the page: found by number, exported, erased; and the day of retention."""

from __future__ import annotations

import io
import re
import time
import zipfile

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from tests.patience import PATIENCE
from tests.service.kit import sign_in
from tests.service.moving import moved
from tetkik.errors import RecordsError
from tetkik.records.audit_chain import Action
from tetkik.records.lifecycle import retention
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.retention import is_due
from tetkik.records.schema.cases import Case, Patient
from tetkik.records.schema.reports import ReportVersion
from tetkik.records.schema.trail import AuditRow, IdempotentRequest
from tetkik.service.kit.background.threads import RetentionThread
from tetkik.values.access import Role

_EN = {"Accept-Language": "en"}


@pytest.fixture
def client(application, app_context, there):
    moved(application, app_context)
    sign_in(application, app_context, Role.ADMINISTRATOR)
    return application


def test_a_number_finds_whose_data_it_is(client, there):
    assert client.get("/admin/privacy").status_code == 200
    page = client.post("/admin/privacy/find", data={"number": " 10000000146 "}, headers=_EN).text
    assert "Gülçin ŞAHİN" in page and "1970" in page
    assert "10000000146" not in page
    assert re.search(rf"/admin/privacy/{there.patient_id}/(export|erase)", page)
    for other in ("Gülçin", "1", " ", "10000000147"):
        page = client.post("/admin/privacy/find", data={"number": other}, headers=_EN).text
        assert "Gülçin" not in page and "No patient has this number" in page


def test_the_export_is_a_zip_under_a_name_that_tells_nothing(client, app_context, there):
    answer = client.post(f"/admin/privacy/{there.patient_id}/export")
    assert answer.headers["content-type"] == "application/zip"
    assert re.search(r'filename="export-[0-9-]+\.zip"', answer.headers["content-disposition"])
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert {"patient.json", "fhir.json", "access.json"} <= set(archive.namelist())
    assert list(app_context.records.files.temporary.iterdir()) == []
    assert client.post(f"/admin/privacy/{'0' * 26}/export").status_code == 404


def test_erasure_needs_a_reason_a_number_and_a_word(client, app_context, there):
    path = f"/admin/privacy/{there.patient_id}/erase"
    whole = {"ground": "request", "reference": "KVKK-2026/7", "sure": "1"}
    for missing in ("reference", "sure"):
        answer = client.post(path, data={key: whole[key] for key in whole if key != missing}, headers=_EN)
        assert answer.status_code == 422 and "give all three" in answer.text
    assert client.post(path, data=whole | {"ground": "retention"}).status_code == 422
    assert client.post(path, data=whole | {"reference": "Gülçin; Şahin"}).status_code == 422
    assert client.get(path).status_code in (404, 405)
    with app_context.records.read() as tx:
        assert tx.session.get_one(Patient, there.patient_id).erase_after is None
    answer = client.post(path, data=whole, headers=_EN)
    assert answer.status_code == 200 and "Erased but for the signed reports (1)" in answer.text
    assert there.patient_id in answer.text  # in the list of those that wait
    with app_context.records.read() as tx:
        row = tx.session.scalars(select(AuditRow).where(AuditRow.action == Action.ERASURE_POSTPONED)).one()
        assert row.content is not None and "KVKK-2026/7" in row.content and row.user_id
        assert tx.session.scalars(select(ReportVersion)).one()
    assert client.post(path, data=whole).status_code == 409


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.ADMINISTRATOR])
def test_nobody_else_may(application, app_context, there, role):
    client = moved(application, app_context)
    sign_in(client, app_context, role)
    assert client.get("/admin/privacy").status_code == 403
    assert client.post("/admin/privacy/find", data={"number": "10000000146"}).status_code == 403
    for what in ("export", "erase"):
        data = {"ground": "request", "reference": "1", "sure": "1"}
        assert client.post(f"/admin/privacy/{there.patient_id}/{what}", data=data).status_code == 403


def test_the_service_applies_retention_by_itself(app_context):
    assert is_due(app_context.records)
    upkeep = RetentionThread(app_context, first=0)
    upkeep.start()
    end = time.monotonic() + PATIENCE
    while is_due(app_context.records) and time.monotonic() < end:
        time.sleep(0.02)
    upkeep.stop()
    assert not is_due(app_context.records)


def test_a_database_that_is_away_does_not_end_the_thread(app_context, monkeypatch):
    def away(*_):
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(retention, "apply_if_due", away)
    RetentionThread(app_context).run_once()


def test_no_kept_answer_speaks_of_the_erased(client, app_context):
    sign_in(client, app_context, Role.RECEPTION)
    key = {"Idempotency-Key": "k-1"}
    body = {"patient": {"name": "Ali Kaya"}, "question": "Kalp?"}
    made = client.post("/api/v1/cases", json=body, headers=key).json()
    stranger = client.post(
        "/api/v1/cases", json={"patient": {"name": "Veli Demir"}}, headers={"Idempotency-Key": "k-2"}
    ).json()
    with app_context.records.read() as tx:
        patient_id = tx.session.get_one(Case, made["id"]).patient_id
        assert b"Veli" not in tx.session.scalars(select(IdempotentRequest.body)).all()[1]
    copies = _answers(app_context)
    erase(app_context.records, patient_id, ErasureReason.REQUEST, years=20)
    assert len(_answers(app_context)) == 1
    assert client.post("/api/v1/cases", json=body, headers=key).json()["id"] != made["id"]
    again = client.post(
        "/api/v1/cases", json={"patient": {"name": "Veli Demir"}}, headers={"Idempotency-Key": "k-2"}
    )
    assert again.json() == stranger
    # A copy of the row, as in a backup, is under the patient's key, which is gone.
    for user, name, sealed in copies:
        place = f"idempotent_requests.body:{user}:{name}"
        with pytest.raises(RecordsError):
            app_context.records.vault.open(sealed, place)


def _answers(app_context):
    with app_context.records.read() as tx:
        rows = tx.session.execute(
            select(IdempotentRequest.user_id, IdempotentRequest.key, IdempotentRequest.body)
        )
        return [tuple(row) for row in rows]
