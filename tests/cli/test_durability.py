"""`tetkik audit | backup | restore | retention | privacy`: as an administrator types them."""

from __future__ import annotations

import json
import os
import shutil
import zipfile

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from tests.records.kit import made_records
from tests.records.whole import made_whole
from tetkik.cli.app import app
from tetkik.records.database import master_key
from tetkik.settings import settings


@pytest.fixture
def hospital(tmp_path, monkeypatch):
    """The folder of a hospital with one patient; the settings name it."""
    folder = tmp_path / "hospital"
    records = made_records(folder)
    made_whole(records)
    records.close()
    name_hospital(monkeypatch, folder)
    return folder


def name_hospital(monkeypatch, folder):
    monkeypatch.setenv("TETKIK_DATA_DIR", str(folder))
    settings.cache_clear()


def put_back(key):
    file = master_key(settings()).file
    assert file is not None
    file.parent.mkdir(parents=True)
    shutil.copy(key, file)


def run(*arguments, typed=None):
    """Exit status, standard output, standard error."""
    result = CliRunner().invoke(app, list(map(str, arguments)), input=typed)
    return result.exit_code, result.stdout, result.stderr


def test_verify_says_whole_and_holds_the_anchor(hospital, tmp_path):
    anchor = tmp_path / "anchor.json"
    status, said, _ = run("audit", "verify", "--anchor", anchor)
    assert status == 0 and "Whole:" in said and "1 signature." in said
    first = json.loads(anchor.read_text())
    run("audit", "export", "--out", tmp_path / "trail.ndjson")
    assert run("audit", "verify", "--anchor", anchor)[0] == 0
    assert json.loads(anchor.read_text())["seq"] == first["seq"] + 1


def test_verify_names_the_first_broken_entry(hospital, tmp_path):
    records = made_records(hospital)
    with records.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_delete_refused"))
        connection.execute(text("DELETE FROM audit WHERE seq IN (2, 4)"))
    records.close()
    anchor = tmp_path / "anchor.json"
    status, said, fault = run("audit", "verify", "--anchor", anchor)
    assert (status, said) == (1, "")
    assert "Entry 2 is missing." in fault and "first broken entry is 2" in fault
    assert not anchor.exists()


def test_verify_finds_a_lost_file(hospital):
    records = made_records(hospital)
    records.files.storage.remove(next(records.files.storage.names()))
    records.close()
    status, _, fault = run("audit", "verify")
    assert status == 1 and "missing or damaged" in fault
    assert run("audit", "verify", "--no-files")[0] == 1


def test_list_and_export(hospital, tmp_path):
    status, said, _ = run("audit", "list", "--limit", 5)
    assert status == 0 and "report.signed" in said and "Elif KAYA" in said
    assert "report.signed" not in run("audit", "list", "--action", "case.created")[1]
    target = tmp_path / "trail.ndjson"
    assert run("audit", "export", "--out", target, "--from", "2020-01-01", "--to", "2020-12-31")[0] == 0
    assert target.read_text() == ""
    assert run("audit", "export", "--out", target)[0] == 0
    assert len(target.read_text("utf-8").splitlines()) > 5
    for wrong in (["--from", "yesterday"], ["--to", "2026-13-01"]):
        status, _, fault = run("audit", "export", "--out", target, *wrong)
        assert status == 2 and "is not a day" in fault
    assert run("audit", "list", "--action", "nothing")[0] == 2


def test_a_hospital_that_is_lost_comes_back(hospital, tmp_path, monkeypatch):
    backup, key = tmp_path / "hospital.tetkik", tmp_path / "kept.key"
    status, said, _ = run("backup", backup, "--key-out", key)
    assert status == 0 and "3 files" in said
    assert key.stat().st_mode & 0o077 == 0
    assert run("backup", backup, "--key-out", key)[0] == 1
    name_hospital(monkeypatch, tmp_path / "new")
    status, _, fault = run("restore", backup)
    assert status == 2 and "no master key" in fault
    assert not (tmp_path / "new" / "tetkik.db").exists()
    put_back(key)
    status, said, _ = run("restore", backup)
    assert status == 0 and "are back" in said
    assert run("audit", "verify")[0] == 0
    status, _, fault = run("restore", backup)
    assert status == 1 and "not empty" in fault


def test_who_was_erased_stays_erased(hospital, tmp_path, monkeypatch):
    backup, key = tmp_path / "hospital.tetkik", tmp_path / "kept.key"
    run("backup", backup, "--key-out", key)
    monkeypatch.setenv("TETKIK_RETENTION_YEARS", "0")
    settings.cache_clear()
    assert run("privacy", "erase", "--yes", typed="10000000146\n")[0] == 0
    name_hospital(monkeypatch, tmp_path / "new")
    put_back(key)
    status, _, note = run("restore", backup, "--ledger", hospital / "erased.jsonl")
    assert status == 0 and "1 patient had been erased since" in note
    assert run("privacy", "export", "--out", tmp_path / "x.zip", typed="10000000146\n")[0] == 1
    assert not (tmp_path / "x.zip").exists()


def test_a_patient_is_exported_and_erased_by_a_number_from_stdin(hospital, tmp_path):
    target = tmp_path / "export.zip"
    status, said, _ = run("privacy", "export", "--out", target, typed="10000000146\n")
    assert status == 0 and "not encrypted" in said
    assert "patient.json" in zipfile.ZipFile(target).namelist()
    assert target.stat().st_mode & 0o077 == 0
    status, _, fault = run("privacy", "erase", typed="10000000146\n")
    assert status == 2 and "--yes" in fault
    status, said, _ = run("privacy", "erase", "--yes", "--reference", "KVKK-1", typed="10000000146\n")
    assert status == 0 and "kept until" in said and "Gülçin" not in said
    status, _, fault = run("privacy", "export", "--out", target, typed="10000000147\n")
    assert status == 1 and "No patient has this number" in fault


@pytest.mark.parametrize("command", [["audit", "verify"], ["backup", "x"], ["retention"]], ids=" ".join)
def test_a_folder_without_a_hospital_stays_empty(tmp_path, monkeypatch, command):
    name_hospital(monkeypatch, tmp_path / "typo")
    status, _, fault = run(*command)
    assert status == 2 and "no database" in fault
    assert not (tmp_path / "typo").exists()


def test_retention(hospital):
    (hospital / "files" / "installation").write_text("another")
    stray = hospital / "files" / "ff" / ("f" * 64)
    stray.parent.mkdir(exist_ok=True)
    stray.write_bytes(b"stray")
    os.utime(stray, (0, 0))
    status, said, warned = run("retention")
    assert status == 0 and "Erased: 0 patients" in said
    assert "--stray-files" in warned and stray.exists()
    status, said, warned = run("retention", "--stray-files")
    assert (status, warned) == (0, "") and "1 stray file" in said and not stray.exists()


@pytest.mark.parametrize("what", ["nonsense", ""])
def test_a_file_that_is_no_backup(hospital, tmp_path, what):
    wrong = tmp_path / "wrong"
    wrong.write_text(what)
    status, _, fault = run("restore", wrong)
    assert status == 1 and "not a backup of Tetkik" in fault
    assert run("restore", tmp_path / "missing")[0] == 1
