"""The master key replaced: everything opens, nothing was sealed anew, and older copies need the older key."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading

import pytest
from sqlalchemy import event, func, select

from tests.records.kit import made_case, made_user
from tests.records.whole import SCAN, made_whole
from tetkik.errors import InputError, RecordsError, SettingError, UsageError
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.keyring import MasterKey, kept_as, put, read
from tetkik.records.lifecycle.backup import backup_tables, make_backup, read_header
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.lifecycle.key_rotation import rotate_master_key
from tetkik.records.lifecycle.restore import restore_backup
from tetkik.records.schema import AuditRow, Patient, RingKey
from tetkik.records.trail.verify import verify
from tetkik.records.vault import KeyRing, fingerprint
from tetkik.values import Role

pytestmark = pytest.mark.both_databases

_CHANGED = {"keyring", "patients", "audit", "audit_head"}


@pytest.fixture
def reopened(both_records):
    """A maker of another opening of the same hospital, as another process would have it."""
    made: list[Records] = []

    def make(master=None):
        url = both_records.engine.url.render_as_string(hide_password=False)
        made.append(Records(url, both_records.folder, master))
        return made[-1]

    yield make
    for records in made:
        records.close()


def key_file(records):
    return records.folder / "keys" / "master.key"


def rows(records):
    with records.engine.connect() as connection:
        return {
            table.name: connection.execute(select(table).order_by(*table.primary_key)).all()
            for table in backup_tables()
        }


def files(records):
    return {name: records.files.storage.path(name).read_bytes() for name in records.files.storage.names()}


def told_by(records):
    """The fingerprints in the database as it is now."""
    with records.engine.connect() as connection:
        return set(connection.scalars(select(RingKey.master)))


def name_of(records, patient_id):
    with records.read() as tx:
        return patients.load_person(tx, patient_id).name


def created(records, name="Ömer IŞIK"):
    with records.write(made_user(records, Role.RECEPTION)) as tx:
        return patients.create(tx, Person(name))


def test_everything_opens_and_nothing_was_sealed_anew(both_records, reopened):
    there = made_whole(both_records)
    before, contents = rows(both_records), files(both_records)
    done = rotate_master_key(both_records)
    assert (done.patients, done.now) == (1, both_records.vault.held.fingerprint)
    after = rows(both_records)
    assert {name for name in before if before[name] != after[name]} == _CHANGED
    assert [row.identity for row in after["patients"]] == [row.identity for row in before["patients"]]
    assert after["audit"][:-1] == before["audit"]
    assert files(both_records) == contents
    again = reopened()
    with again.read() as tx:
        assert patients.find(tx, "10000000146") == (there.patient_id,)
        assert images.read_content(tx, images.load_image(tx, there.signed_image)) == SCAN
        assert verify(tx).whole and verify_stored(tx).faults == ()


def test_it_is_in_the_trail_and_the_files_tell_old_from_new(both_records):
    done = rotate_master_key(both_records)
    file = key_file(both_records)
    assert fingerprint(read(file)) == done.now
    assert fingerprint(read(kept_as(file, done.before))) == done.before
    assert {path.name for path in file.parent.iterdir()} == {file.name, kept_as(file, done.before).name}
    assert all(path.stat().st_mode & 0o077 == 0 for path in file.parent.iterdir())
    with both_records.read() as tx:
        entry = tx.session.scalars(select(AuditRow).order_by(AuditRow.seq.desc())).first()
        assert entry.action == Action.MASTER_KEY_REPLACED
        result = json.loads(entry.content)["detail"]
        assert result == {"key": done.now, "replaced": done.before, "count": 0}


def test_a_process_that_runs_meanwhile_goes_on(both_records, reopened, tmp_path):
    """It reads, makes patients and backs up with the keys that another process put in place."""
    serving, other = both_records, reopened()
    known = created(serving, "Gülçin ŞAHİN")
    for _ in range(2):
        done = rotate_master_key(other)
        assert name_of(serving, known) == "Gülçin ŞAHİN"
        rotate_master_key(other)
        born = created(serving)
        done = rotate_master_key(other)
        make_backup(serving, tmp_path / "backup")
        with (tmp_path / "backup").open("rb") as file:
            assert read_header(file).key == done.now
    fresh = reopened()
    assert (name_of(fresh, known), name_of(fresh, born)) == ("Gülçin ŞAHİN", "Ömer IŞIK")
    with fresh.read() as tx:
        assert verify(tx).whole


def test_a_transaction_that_began_before_sees_it_through(both_records, reopened):
    known = created(both_records, "Gülçin ŞAHİN")
    other = reopened()
    before = both_records.vault.held.fingerprint
    replacing = threading.Thread(target=rotate_master_key, args=(other,))
    with both_records.read(still=True) as tx:
        assert tx.session.scalar(select(func.count()).select_from(Patient)) == 1  # here its moment begins
        replacing.start()  # on SQLite it waits for this transaction before it cuts the log
        while before in told_by(both_records):
            pass
        assert name_of(both_records, known) == "Gülçin ŞAHİN"
        assert patients.load_person(tx, known).name == "Gülçin ŞAHİN"
    replacing.join()


def test_patients_who_come_meanwhile_are_kept(both_records, reopened):
    other, born, stop = reopened(), [], threading.Event()

    def receive():
        born.append(created(both_records))  # one at least, however late this thread begins
        while not stop.is_set():
            born.append(created(both_records))

    workers = [threading.Thread(target=receive) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(4):
            rotate_master_key(other)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    fresh = reopened()
    assert born and {name_of(fresh, one) for one in born} == {"Ömer IŞIK"}


def test_who_was_erased_is_gone_from_older_copies_once_the_old_key_is(both_records, reopened):
    gone = created(both_records, "Gülçin ŞAHİN")
    with both_records.engine.connect() as connection:  # a copy of the database from before
        stolen = connection.scalar(select(Patient.key).where(Patient.id == gone))
        ring = {row.purpose: row.wrapped for row in connection.execute(select(RingKey.__table__))}
    erase(both_records, gone, ErasureReason.REQUEST, years=0)
    file, done = key_file(both_records), rotate_master_key(both_records)
    fresh = reopened()
    with pytest.raises(RecordsError):
        fresh.vault.unwrap(gone, stolen)
    with pytest.raises(RecordsError):
        KeyRing.opened(1, ring, read(file))
    KeyRing.opened(1, ring, read(kept_as(file, done.before)))  # the old key is what has to be destroyed
    with fresh.read() as tx:
        assert tx.session.get_one(Patient, gone).key is None


def test_killed_at_any_step_the_hospital_opens(make_url, tmp_path):
    """At every fifth line of the replacement's own code; `tests.records.killed … 1` kills at each."""
    program = [sys.executable, "-m", "tests.records.killed", make_url(), str(tmp_path), "5"]
    ran = subprocess.run(program, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    result = json.loads(ran.stdout)
    assert result["undone"] >= 10 and result["done"] >= 3


def test_a_failed_replacement_changes_nothing(both_records, reopened):
    known, before = created(both_records), rows(both_records)

    def fail(_connection, _cursor, statement, *_rest):
        if statement.startswith("UPDATE keyring"):
            raise OSError("the disk is gone")

    event.listen(both_records.engine, "before_cursor_execute", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        rotate_master_key(both_records)
    event.remove(both_records.engine, "before_cursor_execute", fail)
    assert rows(both_records) == before
    assert name_of(both_records, known) == name_of(reopened(), known) == "Ömer IŞIK"
    assert rotate_master_key(both_records).patients == 1
    assert len(list(key_file(both_records).parent.iterdir())) == 2


def test_a_key_of_elsewhere_is_given(both_records, reopened, tmp_path):
    known, file = created(both_records), key_file(both_records)
    served = reopened(MasterKey(file, ours=False))
    with pytest.raises(UsageError, match="--to"):
        rotate_master_key(served)
    with pytest.raises(InputError, match="present one"):
        rotate_master_key(served, read(file))
    key = bytes(range(32))
    assert rotate_master_key(served, key).now == fingerprint(key)
    with pytest.raises(SettingError, match=fingerprint(key)):
        reopened()
    # A process that runs says what is missing until its place gives the next key; then it goes on.
    with pytest.raises(RecordsError, match="was replaced"):
        name_of(both_records, known)
    put(file, key)
    assert name_of(both_records, known) == name_of(reopened(), known) == "Ömer IŞIK"


def test_a_backup_of_before_comes_back_with_the_key_of_its_time(both_records, make_url, tmp_path):
    there = made_whole(both_records)
    make_backup(both_records, tmp_path / "backup")
    done = rotate_master_key(both_records)
    folder = tmp_path / "again"
    (folder / "keys").mkdir(parents=True)
    file = folder / "keys" / "master.key"
    shutil.copy(key_file(both_records), file)
    back = Records(make_url(), folder)
    with pytest.raises(SettingError, match=done.before):
        restore_backup(back, tmp_path / "backup")
    back.close()
    folder = tmp_path / "again too"
    (folder / "keys").mkdir(parents=True)
    shutil.copy(kept_as(key_file(both_records), done.before), folder / "keys" / "master.key")
    back = Records(make_url(), folder)
    restore_backup(back, tmp_path / "backup")
    assert name_of(back, there.patient_id) == "Gülçin ŞAHİN"
    assert rotate_master_key(back).before == done.before
    made_case(back, made_user(back, Role.RECEPTION))
    with back.read() as tx:
        assert verify(tx).whole
    back.close()
