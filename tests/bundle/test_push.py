"""`tetkik models push`: a bundle into a folder in a hub's layout, or to a hub."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tetkik.bundle import open_bundle
from tetkik.bundle.push import push_bundle
from tetkik.cli.app import app
from tetkik.errors import OutputError, UsageError


@pytest.fixture
def bundle(make_bundle, own_settings):
    """One with notes beside it that are no part of it."""
    made = make_bundle(own_settings / "ornek")
    (made.path / "config.yaml").write_text("table: mine/labels.csv\n")
    return made


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["models", "push", *map(str, words)], prog_name="tetkik")
    return result.exit_code, result.output


def names(bundle) -> set[str]:
    return {"manifest.json", *bundle.manifest.files}


def test_a_folder_gets_what_the_manifest_names(bundle, tmp_path):
    target = tmp_path / "hub" / "ornek"
    status, said = run("ornek", target)
    assert status == 0 and str(target) in said.replace("\n", "")
    files = [path for path in target.rglob("*") if path.is_file()]
    assert {path.relative_to(target).as_posix() for path in files} == names(bundle)
    assert open_bundle(target).manifest == bundle.manifest


def test_what_is_there_stays(bundle, tmp_path):
    (tmp_path / "README.md").write_text("mine")
    with pytest.raises(OutputError, match="exists already; choose another name"):
        push_bundle(bundle, str(tmp_path))
    assert (tmp_path / "README.md").read_text() == "mine"


def test_nothing_is_sent_unless_it_is_allowed(bundle, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a network was asked for"))
    with pytest.raises(UsageError, match=r"offline is on, so nothing is sent .* such as \./hospital/ornek"):
        push_bundle(bundle, "hospital/ornek")
    assert push_bundle(bundle, "./hospital/ornek") == "hospital/ornek"
    assert push_bundle(bundle, "hospital/other") == "hospital/other"  # its parent is a folder now


class Hub(BaseHTTPRequestHandler):
    """As much of a hub as a commit needs."""

    commits: dict[str, bytes]
    created: list[dict[str, str]]
    refuses = False
    private = True

    def do_POST(self):
        length = self.headers.get("Content-Length")
        body = self.rfile.read(int(length)) if length else b"".join(self._chunks())
        place = f"http://{self.headers['Host']}/hospital/ornek"
        answer: dict[str, Any] = {}
        if self.path == "/api/repos/create":
            self.created.append(json.loads(body))
            answer = {"url": place}
        elif self.path.endswith("/preupload/main"):
            files = json.loads(body)["files"]
            answer = {"files": [{**file, "uploadMode": "regular", "shouldIgnore": False} for file in files]}
        elif self.path == "/api/models/hospital/ornek/commit/main":
            lines = [json.loads(line) for line in body.splitlines()]
            files = [line["value"] for line in lines if line["key"] == "file"]
            self.commits |= {file["path"]: base64.b64decode(file["content"]) for file in files}
            answer = {"commitUrl": f"{place}/commit/{'a' * 40}", "commitOid": "a" * 40}
        self._answer(403 if self.refuses else 200, answer)

    def do_GET(self):
        there = self.path == "/api/models/hospital/ornek"
        self._answer(
            200 if there else 404, {"id": "hospital/ornek", "private": self.private} if there else {}
        )

    def _chunks(self):
        while size := int(self.rfile.readline(), 16):
            yield self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()

    def _answer(self, status, content):
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    from huggingface_hub import constants

    handler = type("Handler", (Hub,), {"commits": {}, "created": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("HF_TOKEN", "hf_invented")
    monkeypatch.setenv("TETKIK_OFFLINE", "false")
    yield handler
    server.shutdown()
    server.server_close()


def test_a_hub_gets_the_same_in_a_private_repository(bundle, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, said = run("ornek", "hospital/ornek")
    assert status == 0, said
    assert "/hospital/ornek" in said
    assert [(one["name"], one["organization"], one["visibility"]) for one in hub.created] == [
        ("ornek", "hospital", "private")
    ]
    assert hub.commits == {name: Path(bundle.path / name).read_bytes() for name in names(bundle)}


def test_a_hub_that_refuses_is_one_sentence(bundle, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hub.refuses = True
    status, said = run("ornek", "hospital/ornek")
    assert status == 1 and "The hub did not take hospital/ornek (" in said and "Traceback" not in said
    assert hub.commits == {}


@pytest.mark.attack
def test_nothing_goes_to_a_public_repository_that_was_there_before(bundle, hub, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    hub.private = False
    status, said = run("ornek", "hospital/ornek")
    assert status == 1 and "hospital/ornek is there already and is not private" in said
    assert hub.commits == {}
