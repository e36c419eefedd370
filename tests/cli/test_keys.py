"""`tetkik keys`: as an administrator types it."""

from __future__ import annotations

import shlex
import sys

import pytest
from typer.testing import CliRunner

from tests.records.kit import made_case, made_records, made_user
from tetkik.cli.app import app
from tetkik.records.keyring import MasterKey
from tetkik.settings import settings
from tetkik.values import Role


@pytest.fixture
def hospital(tmp_path, monkeypatch):
    """The folder of a hospital with one patient; the settings name it."""
    folder = tmp_path / "hospital"
    records = made_records(folder)
    made_case(records, made_user(records, Role.RECEPTION))
    records.close()
    monkeypatch.setenv("TETKIK_DATA_DIR", str(folder))
    settings.cache_clear()
    return folder


def run(*arguments):
    """Exit status, standard output, standard error."""
    result = CliRunner().invoke(app, list(map(str, arguments)))
    return result.exit_code, result.stdout, result.stderr


def shown(*arguments):
    """The fingerprint that `keys show` tells."""
    status, said, fault = run("keys", "show", *arguments)
    assert status == 0, fault
    return said.partition(":")[0]


def test_the_key_is_replaced_and_a_backup_says_which_it_needs(hospital, tmp_path):
    file = hospital / "keys" / "master.key"
    before = shown()
    assert before == shown(file)
    assert run("backup", tmp_path / "old.tetkik")[0] == 0
    status, said, note = run("keys", "rotate")
    assert status == 0 and "1 patient's key" in said
    (kept,) = file.parent.glob("master.key.old.*")
    assert str(kept) in note.replace("\n", "")
    now = shown()
    assert now == shown(file) != before
    assert shown(tmp_path / "old.tetkik") == shown(kept) == before
    assert run("audit", "verify")[0] == 0
    assert "master_key.replaced" in run("audit", "list", "--limit", 1)[1]
    key = file.read_text().strip()
    assert key not in said + note + run("keys", "show")[1]


def test_a_key_that_a_command_gives_is_put_there_by_hand(hospital, tmp_path, monkeypatch):
    held, following = tmp_path / "held.key", tmp_path / "next.key"
    (hospital / "keys" / "master.key").rename(held)
    program = "import sys; print(open(sys.argv[1]).read())"
    monkeypatch.setenv("TETKIK_MASTER_KEY_COMMAND", shlex.join([sys.executable, "-c", program, str(held)]))
    settings.cache_clear()
    status, _, fault = run("keys", "rotate")
    assert status == 2 and "--to" in fault
    status, _, note = run("keys", "rotate", "--to", following)
    assert status == 0 and str(following) in note.replace("\n", "")
    assert following.stat().st_mode & 0o077 == 0
    status, _, fault = run("keys", "show")
    assert status == 2 and shown(following) in fault
    held.write_bytes(following.read_bytes())
    assert shown() == shown(following)
    status, _, fault = run("keys", "rotate", "--to", held)
    assert status == 1 and "present one" in fault


def test_what_is_neither_key_nor_backup(hospital, tmp_path):
    wrong = tmp_path / "wrong"
    wrong.write_text("nonsense")
    status, _, fault = run("keys", "show", wrong)
    assert status == 2 and "not a master key" in fault
    assert MasterKey(hospital / "keys" / "master.key").first().hex() not in fault
