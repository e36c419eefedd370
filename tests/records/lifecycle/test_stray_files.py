"""The daily sweep of files that no row names: it ends for no locked one, and never empties a full place."""

from __future__ import annotations

import os
import shutil
from contextlib import closing

import pytest

from tests.records.kit import made_sqlite
from tests.records.whole import made_whole
from tetkik.errors import Unavailable
from tetkik.records.database import Records
from tetkik.records.lifecycle import erasure, retention
from tetkik.records.lifecycle.backup import make_backup
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.lifecycle.restore import restore_backup
from tetkik.records.storage.folder import FolderStorage, NoAnswer

TERMS = retention.RetentionTerms(20)


@pytest.fixture
def place(tmp_path):
    return FolderStorage(tmp_path / "bucket", tmp_path / "parts")


@pytest.fixture
def installation(tmp_path, place):
    with closing(installed(tmp_path, place, "a")) as records:
        yield records


def installed(tmp_path, place, name):
    """An empty installation whose files lie in `place`, under the same master key."""
    folder = tmp_path / name
    if name != "a":
        shutil.copytree(tmp_path / "a" / "keys", folder / "keys")
    return Records(made_sqlite(folder / "tetkik.db"), folder, storage=place)


def add_strays(place, count, prefix="f"):
    """Old files that nobody names."""
    names = [f"{prefix}{number:063x}" for number in range(count)]
    for name in names:
        with place.write(name) as file:
            file.write(b"stray")
        os.utime(place.path(name), (0, 0))
    return names


def age(place):
    for name in place.names():
        os.utime(place.path(name), (0, 0))


def test_locked_files_keep_no_other(installation, place, monkeypatch):
    locked = set(add_strays(place, 25, "0"))
    others = add_strays(place, 40)
    remove = FolderStorage.remove

    def removed(self, name, *more):
        if name in locked:
            raise Unavailable("The object storage {place} did not do what it was asked.", place="")
        remove(self, name, *more)

    monkeypatch.setattr(FolderStorage, "remove", removed)
    assert retention.remove_orphaned_files(installation, asked=True) == (40, 25, 0)
    assert set(place.names()) == locked
    add_strays(place, 20)
    assert retention.remove_orphaned_files(installation) == (20, 25, 0), "those that are known are no news"
    add_strays(place, 40)
    installation.files.remove_all([*sorted(locked), *others])
    assert set(place.names()) == locked


def test_a_storage_that_is_away_is_not_asked_for_every_file(installation, place, monkeypatch):
    names, asked = add_strays(place, 60), []

    def away(self, name, *_):
        asked.append(name)
        raise NoAnswer("The object storage {place} did not do what it was asked.", place="")

    monkeypatch.setattr(FolderStorage, "remove", away)
    assert retention.remove_orphaned_files(installation, asked=True) == (0, 20, 0)
    installation.files.remove_all(names)
    assert len(asked) == 21


def test_an_empty_database_before_a_full_place_removes_nothing(installation, tmp_path, place):
    made_whole(installation)
    assert retention.remove_orphaned_files(installation) == (0, 0, 0)
    age(place)
    there = set(place.names())
    with closing(installed(tmp_path, place, "b")) as other:
        done = retention.apply_retention(other, TERMS)
        assert (done.files, done.held) == (0, 1)
    assert there and set(place.names()) == there
    (stray,) = add_strays(place, 1)
    assert retention.remove_orphaned_files(installation) == (1, 0, 0), "the rightful one sweeps as before"
    assert set(place.names()) == there and stray not in there


def test_a_place_without_a_mark_is_nobodys_before_a_row_names_a_file(installation, place):
    strays = add_strays(place, 2)
    assert retention.remove_orphaned_files(installation) == (0, 0, 1)
    assert place.mark() is None and set(place.names()) == set(strays)
    assert retention.remove_orphaned_files(installation, asked=True) == (2, 0, 0)
    mark = place.mark()
    assert mark and retention.remove_orphaned_files(installation) == (0, 0, 0) and place.mark() == mark


def test_more_strays_than_a_day_brings_wait_for_a_person(installation, place):
    made_whole(installation)
    assert retention.remove_orphaned_files(installation) == (0, 0, 0)
    strays = add_strays(place, 21)
    assert retention.remove_orphaned_files(installation) == (0, 0, 1)
    assert set(strays) < set(place.names())
    assert retention.remove_orphaned_files(installation, asked=True) == (21, 0, 0)


def test_after_a_restore_without_files_a_person_is_asked(installation, tmp_path, place):
    made_whole(installation)
    retention.remove_orphaned_files(installation)
    make_backup(installation, tmp_path / "old.tetkik", without_files=True)
    (newer,) = add_strays(place, 1)  # a newer backup names it
    with closing(installed(tmp_path, place, "b")) as back:
        restore_backup(back, tmp_path / "old.tetkik")
        assert retention.remove_orphaned_files(back) == (0, 0, 1) and newer in set(place.names())
        assert retention.remove_orphaned_files(back, asked=True) == (1, 0, 0)
        add_strays(place, 1)
        assert retention.remove_orphaned_files(back) == (1, 0, 0)


def test_a_file_that_is_put_again_while_its_patient_is_erased_stays(installation, place, monkeypatch):
    whole = made_whole(installation)
    with installation.read() as tx:
        names = erasure.list_patient_files(tx, whole.patient_id)
    assert names
    monkeypatch.setattr(erasure, "find_referenced_files", lambda tx, some: set(some))
    erase(installation, whole.patient_id, ErasureReason.COURT, years=0)
    assert names <= set(place.names())
    monkeypatch.undo()
    erasure.remove_unnamed_files(installation, [whole.patient_id], names)
    assert not names & set(place.names())
