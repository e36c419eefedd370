"""What comes from elsewhere is exactly what was locked, with its licence beside it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import tetkik.service

ROOT = Path(__file__).parents[3]
VENDOR = Path(tetkik.service.__file__).parent / "static" / "vendor"
FOLDERS = sorted(
    path for path in (*VENDOR.iterdir(), ROOT / "tests/service/vendor/axe-core") if path.is_dir()
)
LOCKS = {"htmx": "web", "axe-core": "web", "cornerstone": "viewer"}


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_there_is_something_to_check():
    assert {"htmx", "axe-core"} <= {folder.name for folder in FOLDERS}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_files_are_those_of_the_manifest(folder):
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    files.pop("manifest.json")
    assert {name: sha256(path) for name, path in files.items()} == manifest["files"]
    assert len(files["LICENSES.txt"].read_text("utf-8")) > 500
    assert all(
        package["name"] and package["version"] and package["licence"] for package in manifest["packages"]
    )


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)
def test_the_manifest_is_of_the_lock_file(folder):
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    lock = ROOT / LOCKS[folder.name] / "package-lock.json"
    assert manifest["lock"] == sha256(lock)
    locked = json.loads(lock.read_text("utf-8"))["packages"]
    for package in manifest["packages"]:
        entry = locked[f"node_modules/{package['name']}"]
        assert (entry["version"], entry["integrity"]) == (package["version"], package["integrity"])


def test_nothing_lies_beside_the_folders():
    assert [path.name for path in VENDOR.iterdir() if path.is_file()] == ["README.md"]
