"""The file store over each place where its files may lie: what goes in comes out, and damage is told."""

from __future__ import annotations

import shutil
from io import BytesIO

import pytest

from tests.records.kit import made_sqlite
from tests.records.whole import SCAN, made_whole
from tetkik.errors import InputError, RecordsError
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.images import images
from tetkik.records.lifecycle import retention
from tetkik.records.lifecycle.backup import make_backup
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.integrity import verify_stored
from tetkik.records.lifecycle.restore import restore_backup
from tetkik.records.storage.folder import FolderStorage, name_of, path_of
from tetkik.records.storage.s3 import S3Storage
from tetkik.records.vault import PIECE
from tetkik.values import SYSTEM

_BUCKET = pytest.mark.program("radosgw")
PLACES = ("folder", pytest.param("bucket", marks=_BUCKET), pytest.param("versions", marks=_BUCKET))


def opened(request, kind, folder):
    """A fresh place: a folder, a bucket, or a bucket that keeps versions."""
    if kind == "folder":
        return FolderStorage(folder / "files", folder / "tmp")
    gateway = request.getfixturevalue("object_storage")
    return S3Storage(gateway.bucket(versions=kind == "versions"), folder)


@pytest.fixture(params=PLACES)
def storage(request, tmp_path):
    return opened(request, request.param, tmp_path)


@pytest.fixture
def hospital(storage, tmp_path):
    records = Records(made_sqlite(tmp_path / "tetkik.db"), tmp_path, storage=storage)
    yield records
    records.close()


@pytest.fixture
def store(hospital):
    """A maker of files of a patient, and the patient's key."""
    with hospital.write(SYSTEM) as tx:
        patient_id = patients.create(tx, Person("Gülçin ŞAHİN", "", "H-1", "19700101"))
        key = tx.key(patient_id)
    return lambda content: hospital.files.put(key, patient_id, BytesIO(content)).name, key


def write(storage, name, content):
    with storage.write(name) as file:
        file.write(content)


def read(storage, name):
    with storage.read(name) as (file, size):
        content = file.read()
    assert len(content) == size
    return content


def everything(storage):
    return {name: read(storage, name) for name in storage.names()}


def test_what_was_stored_comes_back_and_lies_sealed(hospital, store):
    put, key = store
    files = hospital.files
    for size in (0, 1, PIECE - 1, PIECE, PIECE + 1, 9 * PIECE + 5):
        content = (b"SENTETIK " * (size // 9 + 1))[:size]
        name = put(content)
        assert put(content) == name and name_of(path_of(name)) == name
        assert files.get(key, name) == content
        assert max(map(len, files.chunks(key, name))) <= PIECE
        with files.plain(key, name) as path:
            assert path.read_bytes() == content
        assert b"SENTETIK" not in read(files.storage, name)
    assert len(list(files.storage.names())) == 6


def test_damage_and_loss_are_told(hospital, store):
    put, key = store
    name, other = put(bytes(2 * PIECE)), put(b"another")
    storage = hospital.files.storage
    sealed = read(storage, name)
    spoilt = (
        *(sealed[:-1], sealed[:-20] + bytes(20), sealed[: PIECE + 50], sealed[:5]),
        *(b"x" * 40, sealed[:8] + b"\xff" * 40, read(storage, other)),
    )
    for content in spoilt:
        write(storage, name, content)
        with pytest.raises(RecordsError, match=r"damaged|cannot be opened"):
            hospital.files.get(key, name)
    write(storage, name, b"")
    with pytest.raises(RecordsError, match=r"damaged|missing"):
        hospital.files.get(key, name)
    storage.remove(name)
    with pytest.raises(RecordsError, match="missing"):
        hospital.files.get(key, name)
    assert hospital.files.get(key, other) == b"another"


@pytest.mark.parametrize("size", [10, 9 * PIECE])
def test_a_file_that_was_not_written_to_its_end_is_not_there(storage, tmp_path, size):
    name = "ab" * 32
    with pytest.raises(ZeroDivisionError), storage.write(name) as file:
        file.write(bytes(size))
        raise ZeroDivisionError
    assert storage.modified(name) is None and not storage.touch(name) and list(storage.names()) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    with pytest.raises(FileNotFoundError), storage.read(name):
        pass
    storage.remove(name)


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a/b", "a.b"])
def test_no_name_leads_elsewhere(storage, name):
    for act in (storage.modified, storage.touch, storage.remove, lambda name: write(storage, name, b"")):
        with pytest.raises(ValueError, match="name"):
            act(name)


def test_a_file_that_nobody_names_goes_once_it_is_old(hospital, store, monkeypatch):
    put, _ = store
    made_whole(hospital)
    named = set(hospital.files.storage.names())
    stray = put(b"stray")
    assert retention.remove_orphaned_files(hospital) == (0, 0, 0), "its row is perhaps still to be written"
    monkeypatch.setattr("tetkik.records.lifecycle.retention.YOUNG", -5)
    assert retention.remove_orphaned_files(hospital) == (1, 0, 0)
    assert set(hospital.files.storage.names()) == named and stray not in named


def test_erased_files_are_gone(hospital, request):
    storage, whole = hospital.files.storage, made_whole(hospital)
    named = set(storage.names())
    if isinstance(storage, S3Storage):  # a delete marker over what was, where the bucket keeps versions
        bucket, gateway = storage.bucket, request.getfixturevalue("object_storage")
        requests = gateway.requests(bucket.name)
        assert requests.ask("DELETE", f"{bucket.prefix}/{path_of(min(named))}")[0] == 204
    else:
        storage.remove(min(named))
    with hospital.read() as tx:
        missing = len(verify_stored(tx).faults)
        assert missing == len(verify_stored(tx, contents=False).faults) > 0
    done = erase(hospital, whole.patient_id, ErasureReason.COURT, years=0)
    assert (done.complete, done.files) == (True, len(named)) and list(storage.names()) == []
    if isinstance(storage, S3Storage):
        status, listed = requests.ask("GET", query={"versions": ""})
        assert status == 200 and b"<Key>" not in listed, "no version and no delete marker is left"


@pytest.mark.parametrize(
    ("source", "target"),
    [pytest.param("folder", "bucket", marks=_BUCKET), pytest.param("bucket", "folder", marks=_BUCKET)],
)
def test_a_backup_of_one_place_is_restored_into_the_other(request, tmp_path, source, target):
    places = {}
    for kind in (source, target):
        folder = tmp_path / kind
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        places[kind] = Records(
            made_sqlite(folder / "tetkik.db"), folder, storage=opened(request, kind, folder)
        )
        if kind == source:
            made_whole(places[kind])
            shutil.copytree(folder / "keys", tmp_path / target / "keys")
    there, back = places[source], places[target]
    manifest = make_backup(there, tmp_path / "backup")
    write(back.files.storage, "ab" * 32, b"somebody's")
    with pytest.raises(InputError, match="empty"):
        restore_backup(back, tmp_path / "backup")
    back.files.storage.remove("ab" * 32)
    assert restore_backup(back, tmp_path / "backup").files == manifest.files
    assert everything(back.files.storage) == everything(there.files.storage)
    with back.read() as tx:
        stored = verify_stored(tx)
    assert stored.files and stored.faults == ()
    for records in places.values():
        records.close()


def test_a_backup_without_files_is_restored_beside_them(tmp_path):
    for kind in ("there", "back"):
        (tmp_path / kind).mkdir()
    there = Records(made_sqlite(tmp_path / "there" / "tetkik.db"), tmp_path / "there")
    whole = made_whole(there)
    manifest = make_backup(there, tmp_path / "backup", without_files=True)
    assert (manifest.files, manifest.missing) == (0, 0) and not [n for n in manifest.hashes if "files/" in n]
    later = next(iter(everything(there.files.storage)))
    shutil.copytree(tmp_path / "there" / "keys", tmp_path / "back" / "keys")
    back = Records(
        made_sqlite(tmp_path / "back" / "tetkik.db"), tmp_path / "back", storage=there.files.storage
    )
    assert restore_backup(back, tmp_path / "backup").files == 0
    with back.read() as tx:
        assert verify_stored(tx).faults == ()
        assert images.read_content(tx, images.load_image(tx, whole.signed_image)) == SCAN
        back.files.storage.remove(later)
        assert verify_stored(tx).faults
    for records in (there, back):
        records.close()


def test_files_are_copied_between_places_under_their_paths(request, tmp_path, object_storage):
    """As `rclone sync` or `aws s3 sync` copy them, which docs/how-to/object-storage.md names."""
    folder = tmp_path / "files"
    records = Records(made_sqlite(tmp_path / "tetkik.db"), tmp_path)
    made_whole(records)
    bucket = object_storage.bucket("hastane")
    requests = object_storage.requests(bucket.name)
    for path in folder.rglob("*/*"):
        key = f"hastane/{path.relative_to(folder).as_posix()}"
        assert requests.ask("PUT", key, content=path.read_bytes())[0] == 200
    before = everything(records.files.storage)
    shutil.rmtree(folder)
    records.close()
    moved = Records(f"sqlite:///{tmp_path / 'tetkik.db'}", tmp_path, storage=S3Storage(bucket, tmp_path))
    assert everything(moved.files.storage) == before
    with moved.read() as tx:
        assert verify_stored(tx).faults == ()
    moved.close()
