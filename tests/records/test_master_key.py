"""The master key from a file, from a credential of systemd, from a command."""

from __future__ import annotations

import os
import shlex
import sys

import pytest

from tests.records.kit import made_case, made_user
from tetkik.errors import SettingError
from tetkik.records.database import Records, master_key, open_records
from tetkik.records.keyring import CREDENTIAL, MasterKey, kept_as, put, read
from tetkik.records.vault import fingerprint
from tetkik.settings import Settings
from tetkik.values import Role

KEY, NEXT = bytes(range(32)), bytes(range(1, 33))


def says(text, status=0):
    """A command that prints `text`, as the client of a vault would."""
    program = f"import sys; sys.stdout.write({text!r}); sys.exit({status})"
    return shlex.join([sys.executable, "-c", program])


def test_a_new_hospital_makes_a_key_for_its_owner_alone(tmp_path):
    file = tmp_path / "keys" / "master.key"
    source = MasterKey(file)
    key = source.first()
    assert source.first() == key == source.fitting(fingerprint(key))
    assert file.stat().st_mode & 0o077 == 0
    assert [path.name for path in file.parent.iterdir()] == ["master.key"]


def test_a_link_leads_to_where_keys_are_kept_and_stays_a_link(tmp_path):
    volume, link = tmp_path / "volume" / "hospital.key", tmp_path / "data" / "master.key"
    for folder in (volume.parent, link.parent):
        folder.mkdir()
    link.symlink_to(volume)
    source = MasterKey(link)
    before = source.first()
    source.stage(NEXT)
    assert source.staged(fingerprint(NEXT))
    source.settle(NEXT)
    assert [path.name for path in link.parent.iterdir()] == ["master.key"] and link.is_symlink()
    assert read(link) == read(volume) == NEXT and read(source.kept(fingerprint(before))) == before
    assert source.kept(fingerprint(before)).parent == volume.parent


@pytest.mark.parametrize("is_link", [False, True])
def test_nobody_lays_a_file_ready_to_read_the_key_in(tmp_path, is_link):
    file, theirs = tmp_path / "master.key", tmp_path / "theirs"
    part = tmp_path / f".master.key.{os.getpid()}.part"
    theirs.touch(0o666)
    part.symlink_to(theirs) if is_link else os.link(theirs, part)
    put(file, KEY)
    assert read(file) == KEY and theirs.read_bytes() == b""
    assert not file.is_symlink() and file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", ["", "00", "zz" * 32, "00" * 33, "ş" * 64])
def test_a_file_that_is_no_key_is_told_in_a_sentence(tmp_path, content):
    file = tmp_path / "master.key"
    file.write_text(content)
    with pytest.raises(SettingError, match="64 hexadecimal digits"):
        MasterKey(file).first()


def test_a_command_gives_the_key(tmp_path):
    command = says(KEY.hex() + "\n")
    chosen = Settings(data_dir=tmp_path, master_key_command=command)
    records = open_records(chosen)
    case_id = made_case(records, made_user(records, Role.RECEPTION))
    records.close()
    assert (
        not (tmp_path / "keys").exists() and KEY.hex().encode() not in (tmp_path / "tetkik.db").read_bytes()
    )
    again = open_records(chosen)
    assert again.vault.held.fingerprint == fingerprint(KEY) and case_id
    again.close()
    with pytest.raises(SettingError, match=f"{fingerprint(NEXT)}.*{fingerprint(KEY)}"):
        open_records(Settings(data_dir=tmp_path, master_key_command=says(NEXT.hex())))


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (says("not a key"), "exit status 0"),
        (says(KEY.hex(), status=3), "exit status 3"),
        ("/no/such/program --secret", "could not be run"),
        ("vault 'get", "quotation mark"),
        (" ", "could not be run"),
    ],
)
def test_a_command_that_gives_none_is_told_without_what_it_said(tmp_path, command, fault):
    with pytest.raises(SettingError, match=fault) as result:
        Records(f"sqlite:///{tmp_path}/tetkik.db", tmp_path, MasterKey(None, command, ours=False))
    assert "not a key" not in str(result.value) and KEY.hex() not in str(result.value)
    assert "--secret" not in str(result.value)


def test_a_credential_of_systemd_comes_before_a_file_of_ours(tmp_path, monkeypatch):
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path / "credentials"))
    chosen = Settings(data_dir=tmp_path)
    assert master_key(chosen) == MasterKey(tmp_path / "keys" / "master.key")
    (tmp_path / "credentials").mkdir()
    put(tmp_path / "credentials" / CREDENTIAL, KEY)
    source = master_key(chosen)
    assert (source.first(), source.ours) == (KEY, False)
    named = Settings(data_dir=tmp_path, master_key_file=tmp_path / "own.key")
    assert master_key(named) == MasterKey(tmp_path / "own.key")


def test_two_places_are_refused(tmp_path):
    with pytest.raises(SettingError, match="one master key"):
        master_key(
            Settings(data_dir=tmp_path, master_key_file=tmp_path / "k", master_key_command="vault get")
        )


def test_a_staged_key_counts_only_where_it_fits(tmp_path):
    file = tmp_path / "master.key"
    source = MasterKey(file)
    put(file, KEY)
    source.stage(NEXT)
    assert source.fitting(fingerprint(KEY)) == KEY
    assert source.fitting(fingerprint(NEXT)) == NEXT
    assert read(file) == KEY
    source.settle(NEXT)
    assert read(file) == NEXT
    assert read(kept_as(file, fingerprint(KEY))) == KEY
    assert len(list(tmp_path.iterdir())) == 2
    with pytest.raises(SettingError, match=fingerprint(KEY)):
        source.fitting(fingerprint(KEY))
