"""A release: the same bytes twice, and a signature that openssl checks as the page about releases says."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "how-to" / "release.md").read_text("utf-8")
PROJECT = """
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"
[project]
name = "tetkik"
version = "9.9"
[tool.setuptools]
packages = ["tetkik"]
[[tool.setuptools.ext-modules]]
name = "tetkik._c"
sources = ["tetkik/_c.c"]
"""
C_FILE = """
#include <assert.h>
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_c", NULL, -1, NULL};
PyMODINIT_FUNC PyInit__c(void) { assert(module.m_size == -1); return PyModule_Create(&module); }
"""


def git(folder, *arguments):
    who = ("-c", "user.name=n", "-c", "user.email=e@localhost")
    subprocess.run(["git", *who, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def tools():
    """`docs/release.py`, and a small project of git that is built with it."""
    sys.path.insert(0, str(ROOT / "docs"))
    try:
        import release
    finally:
        sys.path.remove(str(ROOT / "docs"))
    return release


@pytest.mark.program("cc")
def test_built_twice_it_has_the_same_bytes(tools, tmp_path):
    project = tmp_path / "project"
    (project / "tetkik").mkdir(parents=True)
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "tetkik" / "_c.c").write_text(C_FILE)
    for name in ("__init__", "b", "a"):
        (project / "tetkik" / f"{name}.py").write_text(f"NAME = {name!r}\n")
    git(project, "init", "--quiet")
    git(project, "add", ".")
    git(project, "commit", "--quiet", "-m", "all")
    git(tmp_path, "clone", "--quiet", "project", "another place")
    another = tmp_path / "another place"
    (another / "tetkik" / "a.py").chmod(0o600)  # as a strict umask leaves it
    (another / "tetkik" / "stray.py").write_text("")  # not of the commit
    first, second = (tools.build_wheel(source, tmp_path / source.name[:2]) for source in (project, another))
    assert first.name == second.name and first.read_bytes() == second.read_bytes()


@pytest.fixture
def release(tools, tmp_path):
    """A signed release with the public key beside it, and the folder in which its wheel is installed."""
    folder, site = tmp_path / "dist", tmp_path / "site"
    folder.mkdir()
    (site / "tetkik").mkdir(parents=True)
    (site / "tetkik" / "a.py").write_text("X = 1\n")
    with zipfile.ZipFile(folder / "tetkik-9.9-py3-none-any.whl", "w") as wheel:
        wheel.write(site / "tetkik" / "a.py", "tetkik/a.py")
    (folder / "sbom.cdx.json").write_text("{}")
    tools.write_sums(folder)
    for script in (
        "openssl genpkey -algorithm ed25519 -out ../release-key.pem",
        "openssl pkey -in ../release-key.pem -pubout -out release-key.pub.pem",
        "openssl pkeyutl -sign -rawin -inkey ../release-key.pem -in SHA256SUMS -out SHA256SUMS.sig",
    ):
        subprocess.run(script.split(), cwd=folder, check=True, capture_output=True)
    return folder, site


def told(folder, number, site=None):
    """The status of what the page says, in its block `number`."""
    script = re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)[number]
    script = script.replace("/opt/tetkik/current/lib/python3.*/site-packages", str(site))
    return subprocess.run(["sh", "-ec", script], cwd=folder, capture_output=True, check=False).returncode


def test_a_sound_release_passes(release):
    assert told(release[0], 0) == 0


def test_an_installation_that_was_altered_shows(release):
    folder, site = release
    assert told(folder, 1, site) == 0
    (site / "tetkik" / "a.py").write_text("X = 2\n")
    assert told(folder, 1, site) == 1


@pytest.mark.parametrize("changed", ["wheel", "sums", "signature", "other key", "no wheel"])
def test_a_release_that_was_altered_is_refused(release, changed):
    folder, _ = release
    wheel = folder / "tetkik-9.9-py3-none-any.whl"
    match changed:
        case "wheel":
            wheel.write_bytes(wheel.read_bytes() + b" ")
        case "sums":
            (folder / "other.whl").write_bytes(b"x")
            with (folder / "SHA256SUMS").open("a") as file:
                file.write(hashlib.sha256(b"x").hexdigest() + "  other.whl\n")
        case "signature":
            signature = bytearray((folder / "SHA256SUMS.sig").read_bytes())
            signature[5] ^= 1
            (folder / "SHA256SUMS.sig").write_bytes(signature)
        case "other key":
            for script in (
                "openssl genpkey -algorithm ed25519 -out ../other.pem",
                "openssl pkey -in ../other.pem -pubout -out release-key.pub.pem",
            ):
                subprocess.run(script.split(), cwd=folder, check=True, capture_output=True)
        case _:
            wheel.unlink()
    assert told(folder, 0) != 0
