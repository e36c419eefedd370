"""The list of signed reports: over the API and on its page, filtered, a page at a time."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from tests.records.reports_kit import signed_report
from tests.service.kit import make_context, served, sign_in
from tetkik.records.schema import AuditRow, Case
from tetkik.values import Role

API = "/api/v1/reports"


@pytest.fixture
def app_context(tmp_path):
    return make_context(tmp_path)


@pytest.fixture
def client(app_context):
    with served(app_context) as found:
        found.headers["Accept-Language"] = "en"
        yield found


def test_the_list_is_paged_filtered_and_audited(client, app_context):
    actor = sign_in(client, app_context, Role.RADIOLOGIST)
    for number in range(5):
        signed_report(
            app_context.records,
            actor if number % 2 else None,
            department="Kardiyoloji" if number else "Dahiliye",
        )
    seen, cursor = [], None
    while True:
        page = client.get(API, params={"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
    assert len({item["report_id"] for item in seen}) == 5
    moments = [item["signed_at"] for item in seen]
    assert moments == sorted(moments, reverse=True)
    assert seen[0]["patient"] == "Gülçin ŞAHİN"
    assert len(client.get(API, params={"department": "Dahiliye"}).json()["items"]) == 1
    assert len(client.get(API, params={"own": True}).json()["items"]) == 2
    assert len(client.get(API, params={"state": "amended"}).json()["items"]) == 0
    for broken in ("x", "e30", "WyJhIiwgImIiXQ"):
        assert client.get(API, params={"cursor": broken}).status_code == 422
    with app_context.records.read() as tx:
        assert "cases.listed" in tx.session.scalars(select(AuditRow.action)).all()


def test_a_restricted_report_names_nobody_in_the_list(client, app_context):
    sign_in(client, app_context, Role.RADIOLOGIST)
    signed_report(app_context.records, restricted=True)
    (item,) = client.get(API).json()["items"]
    assert (item["restricted"], item["patient"]) == (True, None)
    assert "Gülçin" not in client.get("/reports").text


def test_the_list_of_a_patient_and_of_a_period(client, app_context):
    sign_in(client, app_context, Role.RADIOLOGIST)
    made, other, hidden = (signed_report(app_context.records, restricted=one) for one in (False, False, True))
    with app_context.records.read() as tx:
        ids = [tx.session.get_one(Case, item.case_id).patient_id for item in (made, hidden)]
    (item,) = client.get(API, params={"patient_id": ids[0]}).json()["items"]
    assert item["report_id"] == made.id != other.id
    assert client.get(API, params={"patient_id": ids[1]}).json()["items"] == []
    signed = datetime.fromisoformat(item["signed_at"])
    for more, found in (
        ({"since": signed}, 1),
        ({"until": signed}, 0),
        ({"since": signed + timedelta(hours=1)}, 0),
    ):
        params = {name: moment.isoformat() for name, moment in more.items()} | {"patient_id": ids[0]}
        assert len(client.get(API, params=params).json()["items"]) == found
    assert client.get(API, params={"since": "0001-01-01T00:00:00+14:00"}).status_code == 422


def test_filters_and_pages_of_the_list(client, app_context):
    actor = sign_in(client, app_context, Role.RADIOLOGIST)
    assert "No signed report yet" in client.get("/reports").text
    signed_report(app_context.records, actor, department="Kardiyoloji")
    assert "Kardiyoloji" in client.get("/reports", params={"own": "1"}).text
    for filters in ({"department": "Üroloji"}, {"state": "amended"}, {"period": "last-month"}):
        assert "No report fits these filters" in client.get("/reports", params=filters).text
    for odd in (
        {"period": "days", "since": "0001-01-01"},
        {"period": "days", "until": "9999-12-31"},
        {"period": "days", "since": "x", "department": "x" * 99},
        {"state": "x"},
        {"own": "1", "period": "x", "until": ""},
    ):
        page = client.get("/reports", params=odd)
        assert page.status_code == 200 and "Gülçin" in page.text, odd
