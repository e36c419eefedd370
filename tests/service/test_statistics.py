"""The page of whoever heads the department, and its table: figures of readers, and no patient."""

from __future__ import annotations

import csv
import io
import re

import pytest
from sqlalchemy import select

from tests.records.kit import made_user
from tests.records.reports_kit import signed_report
from tests.service.kit import sign_in
from tetkik.records.schema.trail import AuditRow
from tetkik.records.serialization import to_spreadsheet
from tetkik.values.access import Role


@pytest.fixture
def head(client, app_context):
    doctor = made_user(app_context.records, Role.RADIOLOGIST, name="=HYPERLINK(1)")
    signed_report(app_context.records, doctor, pictures=False)
    sign_in(client, app_context, Role.HEAD)
    return client


def test_the_page_says_what_the_department_does(head, app_context):
    page = head.get("/statistics?days=7", headers={"Accept-Language": "tr"}).text
    assert "İstatistikler" in page and "=HYPERLINK(1)" in page
    assert "az sayıda" in page and page.count("<svg") > 2 and "Tablo olarak" in page
    assert "Gülçin" not in page and "10000000146" not in page
    assert re.search(r'href="/statistics\?days=7"[^>]*aria-current="true"', page)
    with app_context.records.read() as tx:
        (entry,) = tx.session.scalars(select(AuditRow).where(AuditRow.action == "statistics.opened"))
    assert '"since":"' in (entry.content or "")


def test_the_table_is_no_formula(head):
    answer = head.get("/statistics/table.csv?days=30", headers={"Accept-Language": "en"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.reader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert ["Arrived", "", "1", *[""] * 5] in rows
    (reader,) = [row for row in rows if row[0] == "Reader"]
    assert reader[1:4] == ["'=HYPERLINK(1)", "1", "1"]
    assert len([row for row in rows if row[0] == "Hour of arrival"]) == 24


@pytest.mark.parametrize("cell", ["=1", "+1", "-1", "@a", "\t=1"])
def test_a_cell_is_never_a_formula(cell):
    assert list(csv.reader(io.StringIO(to_spreadsheet([[cell, "a=1"]])[1:], newline=""))) == [
        [f"'{cell}", "a=1"]
    ]


@pytest.mark.parametrize(
    "period", ["since=2026-03-02&until=2026-03-01", "since=2020-01-01&until=2026-01-01", "until=2199-01-01"]
)
def test_a_period_that_is_none_is_said(head, period):
    page = head.get(f"/statistics?{period}", headers={"Accept-Language": "en"})
    assert page.status_code == 422 and "period" in page.text and "<h1>Statistics</h1>" in page.text
    assert head.get(f"/statistics/table.csv?{period}").status_code == 422


def test_nobody_else_sees_them(client, app_context):
    for role in (Role.RADIOLOGIST, Role.ADMINISTRATOR, Role.ENGINEER, Role.RECEPTION):
        sign_in(client, app_context, role)
        assert client.get("/statistics").status_code == 403
        assert client.get("/statistics/table.csv").status_code == 403
