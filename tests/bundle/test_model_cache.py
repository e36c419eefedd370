"""A loaded model follows its files: the new bundle for whoever comes next, the old one for whoever has it."""

from __future__ import annotations

import gc
import shutil
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tetkik.bundle import ModelCache, resolve, sha256_of, staged_folder, store, write_manifest
from tetkik.bundle.manifest import Manifest, Task
from tetkik.errors import BundleCorrupt, BundleNotFound


class Loaded:
    """A model of these tests: what its only file says, and the version of its manifest."""

    def __init__(self, name: str) -> None:
        bundle = resolve(name)
        self.version = bundle.manifest.version
        self.words = bundle.file("words.txt").read_text("utf-8")


def put(folder: Path, version: str) -> None:
    """A bundle in the place of the one that is there, as training and importing do it."""
    with staged_folder(folder) as stage:
        (stage / "words.txt").write_text(f"of {version}", "utf-8")
        write_manifest(
            stage,
            Manifest(
                id=folder.name,
                version=version,
                task=Task.TRIAGE,
                kind="linear",
                labels=("a",),
                created="2026-11-21",
            ),
        )


@pytest.fixture
def folder(tmp_path):
    put(tmp_path / "words", "1.0")
    return tmp_path / "words"


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(store, "_PAUSE", 0.0)


def test_it_is_loaded_once_and_names_its_bundle(folder):
    cache = ModelCache(Loaded)
    first = cache.get(str(folder))
    assert cache.get(str(folder)) is first
    assert first.sha256 == sha256_of(folder / "manifest.json")


def test_a_new_bundle_under_the_name_is_taken_next_and_the_old_one_leaves_the_memory(folder):
    cache = ModelCache(Loaded)
    running = cache.get(str(folder))
    old = weakref.ref(running.model)
    put(folder, "2.0")
    fresh = cache.get(str(folder))
    assert (fresh.model.version, fresh.model.words) == ("2.0", "of 2.0")
    assert fresh.sha256 == sha256_of(folder / "manifest.json") != running.sha256
    assert running.model.words == "of 1.0"
    del running
    gc.collect()
    assert old() is None


def test_an_import_in_the_middle_of_loading_mixes_no_two_bundles(folder):
    versions = iter(("2.0", "3.0"))

    def load(name: str) -> Loaded:
        loaded = Loaded(name)
        if (version := next(versions, None)) is not None:
            put(folder, version)
            loaded.words = (folder / "words.txt").read_text("utf-8")  # a file that is read late
        return loaded

    taken = ModelCache(load).get(str(folder))
    assert (taken.model.version, taken.model.words) == ("3.0", "of 3.0")
    assert taken.sha256 == sha256_of(folder / "manifest.json")


def test_the_moment_between_two_renamings_is_waited_for(folder):
    aside = folder.with_name("aside")

    def load(name: str) -> Loaded:
        try:
            return Loaded(name)
        except BundleNotFound:
            aside.rename(folder)
            raise

    cache = ModelCache(load)
    cache.get(str(folder))
    put(folder, "2.0")
    folder.rename(aside)
    assert cache.get(str(folder)).model.version == "2.0"


def test_a_model_that_was_taken_away_is_not_given_any_more(folder):
    cache = ModelCache(Loaded)
    old = weakref.ref(cache.get(str(folder)).model)
    shutil.rmtree(folder)
    with pytest.raises(BundleNotFound):
        cache.get(str(folder))
    gc.collect()
    assert old() is None
    put(folder, "2.0")
    assert cache.get(str(folder)).model.version == "2.0"


def test_one_that_was_altered_is_refused(folder):
    cache = ModelCache(Loaded)
    cache.get(str(folder))
    (folder / "words.txt").write_text("of nobody", "utf-8")
    with pytest.raises(BundleCorrupt, match="SHA-256"):
        cache.get(str(folder))


def test_one_that_never_stands_still_is_told_of(folder):
    def load(name: str) -> Loaded:
        loaded = Loaded(name)
        put(folder, loaded.version)
        return loaded

    with pytest.raises(BundleCorrupt, match="changes while it is being loaded"):
        ModelCache(load).get(str(folder))


def test_many_at_once_load_it_once(folder):
    count, together = [], threading.Barrier(8)

    def load(name: str) -> Loaded:
        count.append(name)
        return Loaded(name)

    cache = ModelCache(load)

    def take(_: int) -> object:
        together.wait()
        return cache.get(str(folder))

    with ThreadPoolExecutor(8) as pool:
        taken = set(pool.map(take, range(8)))
    assert len(taken) == len(count) == 1
