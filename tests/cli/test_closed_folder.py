"""What lies on the disk is the account's own, and what was changed there past Tetkik shows to commands."""

from __future__ import annotations

import os
from hashlib import sha256

import pytest
from asn1crypto import cms
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import delete, select, text, update
from typer.testing import CliRunner

from tests.documents.certificates import certificate, new_key, served_stamps
from tests.records.kit import made_records
from tests.records.whole import made_whole
from tetkik.cli.app import app
from tetkik.records.database import open_records
from tetkik.records.schema import AuditHead, AuditRow, User
from tetkik.settings import Settings, settings

pytestmark = pytest.mark.attack


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of a hospital with one patient; the settings name it."""
    folder = tmp_path / "hospital"
    records = made_records(folder)
    made_whole(records)
    records.close()
    monkeypatch.setenv("TETKIK_DATA_DIR", str(folder))
    monkeypatch.setenv("TETKIK_LANGUAGE", "en")
    settings.cache_clear()
    before = os.umask(0o022)
    yield folder
    os.umask(before)
    settings.cache_clear()


def run(*arguments, typed=None):
    """Exit status, and all that is said."""
    result = CliRunner().invoke(app, list(map(str, arguments)), input=typed)
    return result.exit_code, " ".join(result.output.split())


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701])
def test_a_folder_that_others_may_enter_is_refused(folder, mode):
    folder.chmod(mode)
    status, said = run("users", "list")
    assert status == 2 and "open to other accounts" in said and "chmod 700" in said


def test_everything_that_is_written_is_the_accounts_alone(folder, tmp_path):
    for name in ("tetkik.db", "audit.anchors"):
        (folder / name).rename(tmp_path / name)  # what follows makes all of it anew
    records = open_records(Settings())
    made_whole(records)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"tetkik.db", "tetkik.db-wal", "audit.anchors", "master.key"} <= {path.name for path in files}
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []
    records.close()


def test_an_export_writes_into_no_file_that_lies_there(folder, tmp_path):
    """Whoever may write into the same folder knows the name of the part, and puts a link of theirs there."""
    target, stolen = tmp_path / "export.zip", tmp_path / "stolen"
    stolen.write_bytes(b"")
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    part.symlink_to(stolen)
    status, _ = run("privacy", "export", "--out", target, typed="10000000146\n")
    assert status == 0 and target.stat().st_mode & 0o077 == 0
    assert stolen.read_bytes() == b"" and not part.exists()


def test_verify_says_from_where_to_where_anchors_vouch(folder):
    status, said = run("audit", "verify")
    assert status == 0 and "vouches for the entries up to" in said and "from entry 1 on" in said
    records = open_records(Settings())
    with records.engine.begin() as connection:
        connection.execute(text("DROP TRIGGER audit_delete_refused"))
        head = dict(connection.execute(select(AuditHead.__table__)).mappings().one())
    run("audit", "export", "--out", folder / "trail.ndjson")
    with records.engine.begin() as connection:
        connection.execute(delete(AuditRow).where(AuditRow.seq > head["seq"]))
        connection.execute(update(AuditHead).values(**head))
    records.close()
    status, said = run("audit", "verify")
    assert status == 1 and f"first broken entry is {head['seq'] + 1}" in said
    (folder / "audit.anchors").unlink()
    status, said = run("audit", "verify")
    assert status == 0 and "the word of the database alone" in said


def test_an_altered_account_is_taken_back_from_the_machine(folder):
    assert "No account was altered" in run("users", "repair")[1]
    run("users", "add", "irem", "--name", "İrem Işık", "--role", "reception")
    records = open_records(Settings())
    with records.engine.begin() as connection:
        connection.execute(update(User).where(User.login == "irem").values(roles="administrator"))
    records.close()
    assert "altered" in run("users", "list")[1]
    status, said = run("audit", "verify")
    assert status == 1 and "tetkik users repair" in said
    status, said = run("users", "repair")
    assert status == 1 and "irem (İrem Işık; administrator) was altered." in said
    assert run("users", "repair", "irem")[0] == 2
    status, said = run("users", "repair", "irem", "--role", "reception")
    assert status == 0 and "/setup/" in said
    assert run("users", "repair")[0] == 0 and run("audit", "verify")[0] == 0


def test_an_anchor_gets_a_time_stamp_that_others_verify(folder, tmp_path, monkeypatch):
    root, anchor = ("Deneme kök", new_key()), tmp_path / "anchor.json"
    (tmp_path / "roots.pem").write_bytes(certificate(*root, root, kind="root").public_bytes(Encoding.PEM))
    assert run("audit", "verify", "--anchor", anchor, "--time-stamp")[0] == 2
    with served_stamps(root) as address:
        monkeypatch.setenv("TETKIK_SIGNATURE_TIME_STAMPS", address)
        settings.cache_clear()
        assert run("audit", "verify", "--anchor", anchor, "--time-stamp")[0] == 0
    stamp = anchor.with_name("anchor.json.tst").read_bytes()
    token = cms.ContentInfo.load(stamp)["content"]["encap_content_info"]["content"].parsed
    assert token["message_imprint"]["hashed_message"].native == sha256(anchor.read_bytes()).digest()
    status, said = run("audit", "verify", "--anchor", anchor, "--time-stamp")
    assert status == 1 and "server of time stamps gave none" in said
