"""`doctor --advisories`: what of the installation somebody else has found fault with, without a network."""

from __future__ import annotations

import json
import zipfile

import pytest
from typer.testing import CliRunner

from tetkik.cli import doctor
from tetkik.cli.advisories import Part, find_vulnerabilities, installed_parts
from tetkik.cli.app import app
from tetkik.errors import InputError


def advisory(name="example", ecosystem="PyPI", versions=(), events=(), **more):
    ranges = [{"type": "ECOSYSTEM", "events": list(events)}] if events else []
    package = {
        "package": {"name": name, "ecosystem": ecosystem},
        "versions": list(versions),
        "ranges": ranges,
    }
    made = {"id": "GHSA-1", "modified": "2026-11-20T10:00:00Z", "summary": "A fault.", "affected": [package]}
    return {**made, **more}


def found(tmp_path, content, *parts):
    file = tmp_path / "advisories.json"
    file.write_text(json.dumps(content), "utf-8")
    return [(item.id, item.part.version) for item in find_vulnerabilities(file, parts).found]


SINCE = [{"introduced": "1.2"}, {"fixed": "1.10"}]


@pytest.mark.parametrize(
    ("version", "events", "affected"),
    [
        ("1.1", SINCE, False),
        ("1.2", SINCE, True),
        ("1.9.1", SINCE, True),  # not compared as text
        ("1.10", SINCE, False),
        ("1.10rc1", SINCE, True),
        ("1.9+cpu", SINCE, True),
        ("3.0", [{"introduced": "0"}], True),
        ("2.0", [{"introduced": "0"}, {"last_affected": "2.0"}], True),
        ("2.0.1", [{"introduced": "0"}, {"last_affected": "2.0"}], False),
        ("2.5", [{"fixed": "2.6"}, {"introduced": "2.0"}, {"introduced": "0"}, {"fixed": "1.0"}], True),
        ("1.5", [{"fixed": "2.6"}, {"introduced": "2.0"}, {"introduced": "0"}, {"fixed": "1.0"}], False),
        ("1.0", [{"introduced": "0"}, {"fixed": "nobody-can-read-this"}], True),
    ],
)
def test_a_version_is_affected_as_osv_says(tmp_path, version, events, affected):
    known = Part("PyPI", "example", version)
    assert bool(found(tmp_path, advisory(events=events), known)) is affected


def test_names_and_ecosystems(tmp_path):
    own, script = Part("PyPI", "python-multipart", "0.0.18"), Part("npm", "@a/b", "5.0.0-beta.1")
    listed = [
        advisory("Python_Multipart", versions=["0.0.18"], id="A"),
        advisory("@a/b", "npm", events=[{"introduced": "0"}, {"fixed": "5.0.0"}], id="B"),
        advisory("python-multipart", "npm", versions=["0.0.18"], id="C"),
        advisory("python-multipart", versions=["0.0.18"], id="D", withdrawn="2026-01-01T00:00:00Z"),
    ]
    assert found(tmp_path, listed, own, script) == [("A", "0.0.18"), ("B", "5.0.0-beta.1")]


def test_a_zip_a_folder_and_what_is_neither(tmp_path):
    part = Part("PyPI", "example", "1.0")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "GHSA-1.json").write_text(json.dumps(advisory(versions=["1.0"])))
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(folder / "GHSA-1.json", "GHSA-1.json")
        archive.writestr("GHSA-2.json", json.dumps(advisory("another", id="GHSA-2")))
    assert (
        find_vulnerabilities(folder, [part]).found == find_vulnerabilities(tmp_path / "all.zip", [part]).found
    )
    report = find_vulnerabilities(tmp_path / "all.zip", [part])
    assert (report.advisories, report.newest[:10], len(report.found)) == (2, "2026-11-20", 1)
    (tmp_path / "page.html").write_text("<html>not here</html>")
    (tmp_path / "half.zip").write_bytes((tmp_path / "all.zip").read_bytes()[:-30])
    for name, words in (("page.html", "no advisories"), ("half.zip", "no advisories"), ("x", "no file")):
        with pytest.raises(InputError, match=words):
            find_vulnerabilities(tmp_path / name, [part])


def test_this_installation_is_looked_through():
    parts = {(part.ecosystem, part.name) for part in installed_parts()}
    assert {("PyPI", "pydicom"), ("PyPI", "pyjpegls"), ("npm", "htmx.org")} <= parts


def test_doctor_tells_and_ends_with_status_1(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "installed_parts", lambda: {Part("PyPI", "example", "1.5")})
    file = tmp_path / "a.json"
    for events, status, words in (
        (SINCE, 1, "GHSA-1 CVE-1: A fault."),
        ([{"introduced": "2"}], 0, "1 packages compared with 1 advisories, the newest of 2026-11-20"),
    ):
        file.write_text(json.dumps(advisory(events=events, aliases=["CVE-1"])))
        ran = CliRunner().invoke(app, ["doctor", "--advisories", str(file)], env={"COLUMNS": "200"})
        assert ran.exit_code == status and words in " ".join(ran.stdout.split()), ran.stdout
        ran = CliRunner().invoke(app, ["doctor", "--json", "--advisories", str(file)])
        assert len(json.loads(ran.stdout)["advisories"]["found"]) == status
