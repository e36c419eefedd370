"""A backup gives back every row and every file, into either database, whatever was written meanwhile."""

from __future__ import annotations

import io
import shutil
import threading

import pytest
from sqlalchemy import func, select

from tests.records.kit import made_case, made_records, made_user
from tetkik.errors import InputError, RecordsError, SettingError
from tetkik.records.audit_chain import Action
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.images.images import ImageMetadata
from tetkik.records.keyring import MasterKey
from tetkik.records.lifecycle import backup
from tetkik.records.lifecycle.backup import backup_tables, dump_rows, make_backup, read_header
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.lifecycle.restore import examine_backup, require_key, restore_backup
from tetkik.records.metrics import last_backup
from tetkik.records.schema import AuditHead, AuditRow, Case, Event, Image, Patient
from tetkik.records.trail.verify import verify
from tetkik.values import FileFormat, Role

pytestmark = pytest.mark.both_databases

_OWN = {"notes", "notices", "audit", "audit_head"}
"""What making and restoring a backup adds to itself."""


def add_image(records, actor, case_id, content):
    with records.write(actor) as tx:
        patient_id = tx.session.get_one(Case, case_id).patient_id
        stored = images.store_file(tx, patient_id, io.BytesIO(content))
        images.add_image(tx, case_id, stored, ImageMetadata(FileFormat.PNG, 10, 12, name="Gülçin.png"))


@pytest.fixture
def hospital(both_records):
    """Three cases, one with an image of more than a mebibyte and one with a small one."""
    actor = made_user(both_records, Role.RECEPTION, Role.TECHNICIAN)
    cases = [made_case(both_records, actor, question="nefes darlığı") for _ in range(3)]
    add_image(both_records, actor, cases[0], bytes(range(256)) * 5000)
    add_image(both_records, actor, cases[1], b"small")
    return both_records


@pytest.fixture
def empty(tmp_path, make_url):
    """A maker of empty hospitals under the same master key, of the same kind of database or at `url`."""
    made: list[Records] = []

    def make(url=None):
        folder = tmp_path / f"empty{len(made)}"
        (folder / "keys").mkdir(parents=True)
        shutil.copy(tmp_path / "keys" / "master.key", folder / "keys" / "master.key")
        made.append(Records(url or make_url(), folder))
        return made[-1]

    yield make
    for records in made:
        records.close()


def rows(records, without=frozenset()):
    with records.engine.connect() as connection:
        return {
            table.name: connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in backup_tables()
            if table.name not in without
        }


def files(records):
    return {name: records.files.storage.path(name).read_bytes() for name in records.files.storage.names()}


def test_every_row_and_file_comes_back(hospital, empty, tmp_path):
    before = rows(hospital)
    target = tmp_path / "hospital.tetkik"
    manifest = make_backup(hospital, target)
    assert (manifest.files, manifest.missing) == (2, 0)
    back = empty()
    result = restore_backup(back, target)
    assert (
        result.files == 2
        and result.erased == ()
        and result.rows == sum(len(found) for found in before.values())
    )
    after = rows(back)
    assert {name: found for name, found in after.items() if name not in _OWN} == {
        name: found for name, found in before.items() if name not in _OWN
    }
    assert after["audit"][:-1] == before["audit"]
    assert after["audit"][-1].action == Action.BACKUP_RESTORED
    assert files(back) == files(hospital)
    with back.read() as tx:
        assert verify(tx).whole
        stored = verify_stored(tx)
        assert (stored.files, stored.faults) == (2, ())
    made_case(back, made_user(back, Role.RECEPTION))


def test_from_sqlite_into_postgresql_and_back(tmp_path, empty, postgres):
    first = made_records(tmp_path)
    actor = made_user(first, Role.RECEPTION, Role.TECHNICIAN)
    add_image(first, actor, made_case(first, actor), b"pixels")
    make_backup(first, tmp_path / "one")
    second = empty(postgres.fresh())
    restore_backup(second, tmp_path / "one")
    make_backup(second, tmp_path / "two")
    third = empty(f"sqlite:///{tmp_path / 'third.db'}")
    restore_backup(third, tmp_path / "two")
    assert rows(first, _OWN) == rows(second, _OWN) == rows(third, _OWN)
    assert files(first) == files(third)
    with third.read() as tx:
        assert verify(tx).whole
    first.close()


def test_it_is_one_moment_while_others_write(hospital, empty, tmp_path):
    actor = made_user(hospital, Role.RECEPTION)
    stop = threading.Event()

    def work():
        while not stop.is_set():
            made_case(hospital, actor)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for n in range(3):
            make_backup(hospital, tmp_path / f"{n}")
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    back = empty()
    restore_backup(back, tmp_path / "2")
    with back.read() as tx:
        assert verify(tx).whole
        assert tx.session.scalar(select(func.count()).select_from(Case)) >= 3
        created = select(func.count()).select_from(AuditRow).where(AuditRow.action == Action.CASE_CREATED)
        assert tx.session.scalar(created) == tx.session.scalar(select(func.count()).select_from(Case))
        assert tx.session.scalar(select(AuditHead.seq)) == tx.session.scalar(select(func.max(AuditRow.seq)))


def test_nothing_of_a_patient_and_no_key_lies_in_it(hospital, tmp_path):
    make_backup(hospital, tmp_path / "backup")
    content = (tmp_path / "backup").read_bytes()
    key = (tmp_path / "keys" / "master.key").read_text().strip()
    for secret in ("ŞAHİN", "10000000146", "case.created", "user-", key):
        assert secret.encode() not in content
    assert bytes.fromhex(key) not in content
    assert (tmp_path / "backup").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("change", ["cut", "altered", "lengthened", "empty", "header"])
def test_a_damaged_backup_is_refused_and_writes_nothing(hospital, empty, tmp_path, change):
    target = tmp_path / "backup"
    make_backup(hospital, target)
    content = bytearray(target.read_bytes())
    if change == "cut":
        content = content[: len(content) // 2]
    elif change == "altered":
        content[-100] ^= 1
    elif change == "lengthened":
        content += b"more"
    elif change == "header":
        content = content.replace(b'"made_at": "20', b'"made_at": "19')
    else:
        content = bytearray()
    target.write_bytes(content)
    back = empty()
    before = rows(back)
    with pytest.raises((RecordsError, InputError), match="backup"):
        restore_backup(back, target)
    assert rows(back) == before and files(back) == {}


def test_a_cut_at_a_piece_shows(hospital, tmp_path):
    make_backup(hospital, tmp_path / "backup")
    content = (tmp_path / "backup").read_bytes()
    (tmp_path / "backup").write_bytes(content[: 8 + 4 + 400 + (1 << 20)])
    with pytest.raises(RecordsError, match="cut short"):
        examine_backup(tmp_path / "backup", hospital.vault)


def test_a_hospital_that_is_not_empty_is_left_alone(hospital, tmp_path):
    make_backup(hospital, tmp_path / "backup")
    before = rows(hospital)
    with pytest.raises(InputError, match="not empty"):
        restore_backup(hospital, tmp_path / "backup")
    assert rows(hospital) == before


def test_another_master_key_is_refused(hospital, empty, tmp_path):
    make_backup(hospital, tmp_path / "backup")
    key, wanted = tmp_path / "other.key", hospital.vault.held.fingerprint
    with pytest.raises(SettingError, match=f"no master key.*{wanted}"):
        require_key(tmp_path / "backup", MasterKey(key))
    assert not key.exists()
    key.write_text("00" * 32)
    with pytest.raises(SettingError, match=f"another master key.*{wanted}"):
        require_key(tmp_path / "backup", MasterKey(key))
    require_key(tmp_path / "backup", MasterKey(tmp_path / "keys" / "master.key"))
    (tmp_path / "keys" / "master.key").write_text("00" * 32)
    with pytest.raises(SettingError, match=f"another master key.*{wanted}"):
        restore_backup(empty(), tmp_path / "backup")


def test_an_interrupted_backup_leaves_nothing(hospital, tmp_path):
    def stop(step, done, total):
        if step == "files":
            raise KeyboardInterrupt

    (tmp_path / "out").mkdir()
    with pytest.raises(KeyboardInterrupt):
        make_backup(hospital, tmp_path / "out" / "backup", progress=stop)
    assert list((tmp_path / "out").iterdir()) == []
    with hospital.read() as tx:
        assert last_backup(tx) is None


def test_an_interrupted_restore_leaves_nothing(hospital, empty, tmp_path):
    make_backup(hospital, tmp_path / "backup")
    back = empty()
    before = rows(back)

    def stop(step, done, total):
        if files(back):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        restore_backup(back, tmp_path / "backup", progress=stop)
    assert rows(back) == before and files(back) == {}
    assert restore_backup(back, tmp_path / "backup").files == 2


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"\xff",
        b"[]\n[1]",
        b'{"id": "plain"}\n["a", "b"]',
        b'{"x": "plain"}\n[1]',
        b'{"id": "bytes"}\n["a"]',
    ],
    ids=["nothing", "no text", "no columns", "another number", "an unknown column", "no base 64"],
)
def test_what_was_sealed_and_is_no_row_is_one_sentence_and_writes_nothing(
    hospital, empty, tmp_path, monkeypatch, lines
):
    def changed(connection, source):
        return [lines] if source.name == "patients" else dump_rows(connection, source)

    monkeypatch.setattr(backup, "dump_rows", changed)
    make_backup(hospital, tmp_path / "backup")
    back = empty()
    before = rows(back)
    with pytest.raises(RecordsError, match="does not hold what it says"):
        restore_backup(back, tmp_path / "backup")
    assert rows(back) == before and files(back) == {}


def test_a_lost_file_is_told(hospital, tmp_path):
    with hospital.read() as tx:
        name = tx.session.scalars(select(Image.file)).first()
    hospital.files.storage.remove(name)
    assert make_backup(hospital, tmp_path / "backup").missing == 1


def test_the_last_backup_and_what_it_says_without_a_key(hospital, tmp_path):
    make_backup(hospital, tmp_path / "backup")
    with (tmp_path / "backup").open("rb") as file:
        header = read_header(file)
    with hospital.read() as tx:
        last = last_backup(tx)
        assert last is not None and last.isoformat() >= header.made_at
        assert tx.session.scalar(select(func.count()).select_from(Patient)) == 3
        assert tx.session.scalar(select(func.count()).select_from(Event)) > 0
