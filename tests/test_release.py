"""A release: the same bytes twice, and a signature that `doctor` checks without a network."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from typer.testing import CliRunner

from tetkik.cli.app import app

ROOT = Path(__file__).parents[1]
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


def sealed(folder: Path, key: Ed25519PrivateKey) -> Path:
    """The public key in a file, after the release in `folder` was signed."""
    (folder / "SHA256SUMS.sig").write_bytes(key.sign((folder / "SHA256SUMS").read_bytes()))
    public = folder.parent / "release.pub.pem"
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return public


def doctor(folder, key):
    arguments = ["doctor", "--json", "--release", str(folder), "--release-key", str(key)]
    ran = CliRunner().invoke(app, arguments)
    return ran.exit_code, json.loads(ran.stdout)["release"] if ran.stdout else " ".join(ran.stderr.split())


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
def release(tools, tmp_path, monkeypatch):
    """A release of a wheel, whose files are installed beside it, with its key."""
    import zipfile

    folder, site = tmp_path / "dist", tmp_path / "site"
    folder.mkdir()
    info = site / "tetkik-9.9.dist-info"
    info.mkdir(parents=True)
    (site / "tetkik.py").write_text("X = 1\n")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tetkik\nVersion: 9.9\n")
    from tetkik.cli.release_check import _record_digest

    rows = [
        f"{p.relative_to(site)},{_record_digest(p.read_bytes())},1\n"
        for p in (site / "tetkik.py", info / "METADATA")
    ]
    (info / "RECORD").write_text("".join([*rows, "tetkik-9.9.dist-info/RECORD,,\n"]))
    with zipfile.ZipFile(folder / "tetkik-9.9-py3-none-any.whl", "w") as wheel:
        for file in sorted(site.rglob("*")):
            if file.is_file():
                wheel.write(file, str(file.relative_to(site)))
    (folder / "sbom.cdx.json").write_text("{}")
    tools.write_sums(folder)
    here = importlib.metadata.PathDistribution(info)
    monkeypatch.setattr(importlib.metadata, "distribution", lambda name: here)
    real = importlib.metadata.version
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "9.9" if name == "tetkik" else real(name))
    return folder, sealed(folder, Ed25519PrivateKey.generate()), site


def test_a_sound_release_that_is_installed(release):
    folder, key, _ = release
    status, said = doctor(folder, key)
    assert status == 0
    assert (said["wheel"], said["files"]) == ("tetkik-9.9-py3-none-any.whl", 2)
    assert said["installed"] and said["same_version"] and len(said["key"]) == 64
    text = CliRunner().invoke(app, ["doctor", "--release", str(folder), "--release-key", str(key)])
    assert "has every file of this release, unchanged" in " ".join(text.stdout.split())


def test_openssl_signs_and_checks_it_too(release, tmp_path):
    folder, _, _ = release
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    sums, signature = folder / "SHA256SUMS", folder / "SHA256SUMS.sig"
    for arguments in (
        ["genpkey", "-algorithm", "ed25519", "-out", key],
        ["pkey", "-in", key, "-pubout", "-out", public],
        ["pkeyutl", "-sign", "-rawin", "-inkey", key, "-in", sums, "-out", signature],
        ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public, "-in", sums, "-sigfile", signature],
    ):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
    assert doctor(folder, public)[0] == 0


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ("wheel", "is not the file that was signed"),
        ("sums", "is not of this key"),
        ("signature", "is not of this key"),
        ("empty signature", "is not of this key"),
        ("other key", "is not of this key"),
        ("no key", "is no public Ed25519 key"),
        ("no wheel", "There is no file"),
    ],
)
def test_a_release_that_was_altered_is_refused(release, tmp_path, changed, words):
    folder, key, _ = release
    wheel = folder / "tetkik-9.9-py3-none-any.whl"
    match changed:
        case "wheel":
            wheel.write_bytes(wheel.read_bytes() + b" ")
        case "sums":
            (folder / "other.whl").write_bytes(b"x")
            with (folder / "SHA256SUMS").open("a") as file:
                file.write("0" * 64 + "  other.whl\n")
        case "signature":
            signature = bytearray((folder / "SHA256SUMS.sig").read_bytes())
            signature[5] ^= 1
            (folder / "SHA256SUMS.sig").write_bytes(signature)
        case "empty signature":
            (folder / "SHA256SUMS.sig").write_bytes(b"")
        case "other key":
            public = Ed25519PrivateKey.generate().public_key()
            key.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        case "no key":
            key.write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
        case _:
            wheel.unlink()
    status, said = doctor(folder, key)
    assert status == 1 and words in said


def test_an_installation_that_was_altered_shows(release):
    folder, key, site = release
    (site / "tetkik.py").write_text("X = 2\n")
    status, said = doctor(folder, key)
    assert status == 1 and said["same_version"] and not said["installed"]


def test_a_release_is_checked_with_its_key(release):
    assert CliRunner().invoke(app, ["doctor", "--release", str(release[0])]).exit_code == 2
