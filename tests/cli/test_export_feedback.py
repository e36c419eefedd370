"""`tetkik triage export-feedback`: the decisions of the desk as a table that trains."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from tests.records.desk import made_triaged
from tests.records.kit import made_user
from tetkik.cli.app import app
from tetkik.lab.triage.data import read_complaints
from tetkik.records.cases.cases import Admission, admit
from tetkik.records.cases.patients import Person
from tetkik.records.database import open_records
from tetkik.records.schema import AuditRow
from tetkik.settings import settings
from tetkik.values import Role


@pytest.fixture
def hospital(tmp_path, monkeypatch):
    """A hospital with two decisions; the settings name it."""
    monkeypatch.setenv("TETKIK_DATA_DIR", str(tmp_path / "hospital"))
    settings.cache_clear()
    records = open_records(settings())
    desk = made_user(records, Role.RECEPTION)
    for chosen in ("Kardiyoloji", "Dahiliye"):
        with records.write(desk) as tx:
            triaged = made_triaged("Ben Gülçin, göğsüm ağrıyor; telefonum 0532 123 45 67")
            admit(tx, Admission(person=Person("Gülçin Şahin"), complaint=triaged, department=chosen))
    yield records
    records.close()


def run(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["triage", "export-feedback", *map(str, arguments)])
    return result.exit_code, result.stdout, result.stderr


def test_a_table_that_trains(hospital, tmp_path):
    target = tmp_path / "feedback.csv"
    status, said, warned = run("--out", target)
    assert status == 0 and "feedback.csv" in said and "masked: [AD]" in said
    assert "read the table" in warned
    read = read_complaints(target)
    assert read.labels == ("Kardiyoloji", "Dahiliye")
    assert set(read.texts) == {"Ben [AD], göğsüm ağrıyor; telefonum [TELEFON]"}
    with hospital.read() as tx:
        row = tx.session.scalars(select(AuditRow).order_by(AuditRow.seq.desc())).first()
        assert row is not None and row.action == "feedback.exported" and row.user_id is None


def test_figures_for_a_program(hospital, tmp_path):
    status, said, _ = run("--out", tmp_path / "feedback.csv", "--json")
    assert status == 0
    assert json.loads(said) == {
        "rows": 2, "agreed": 1, "urgency_changed": 0, "masked": {"AD": 2, "TELEFON": 2},
        "restricted": 0, "erased": 0,
    }  # fmt: skip


def test_only_some_days(hospital, tmp_path):
    _, said, _ = run("--out", tmp_path / "feedback.csv", "--to", "2020-01-01", "--json")
    assert json.loads(said)["rows"] == 0
    status, _, error = run("--out", tmp_path / "feedback.csv", "--from", "yesterday")
    assert status == 2 and "yesterday is not a day" in error


def test_what_could_not_be_written_was_not_exported(hospital, tmp_path):
    status, _, error = run("--out", tmp_path)
    assert status == 1 and "Traceback" not in error
    with hospital.read() as tx:
        assert "feedback.exported" not in tx.session.scalars(select(AuditRow.action)).all()
