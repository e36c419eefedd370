"""What the web server gives away: the pages' own files and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tetkik.service
from tests.service.kit import make_context, served, sign_in
from tetkik.service.kit.context import AppContext
from tetkik.values import Role

STATIC = Path(tetkik.service.__file__).parent / "static"
TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".json": "application/json",
    ".txt": "text/plain; charset=utf-8",
    ".md": "text/markdown; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".wasm": "application/wasm",
}


@pytest.fixture
def client(tmp_path):
    with served(make_context(tmp_path)) as client:
        yield client


@pytest.mark.parametrize("folder", ["/static", "/static/", "/static/css", "/static/vendor/htmx/"])
def test_a_folder_lists_nothing(client, folder):
    answer = client.get(folder, follow_redirects=True)
    assert answer.status_code == 404 and "LICENSES.txt" not in answer.text


@pytest.mark.parametrize(
    "path", ["/static/../app.py", "/static/%2e%2e/app.py", "/static/..%2fapp.py", "/.git/config", "/app.py"]
)
def test_nothing_outside_is_served(client, path):
    assert client.get(path).status_code == 404


def test_only_what_pages_need_is_served():
    assert {file.suffix for file in STATIC.rglob("*") if file.is_file()} <= set(TYPES)


def test_every_kind_of_file_has_its_type(client):
    for ending in sorted({file.suffix for file in STATIC.rglob("*") if file.is_file()}):
        file = next(file for file in sorted(STATIC.rglob(f"*{ending}")))
        answer = client.get(f"/static/{file.relative_to(STATIC).as_posix()}")
        assert (answer.status_code, answer.headers["content-type"]) == (200, TYPES[ending]), file
    assert client.get("/login").headers["content-type"] == "text/html; charset=utf-8"
    assert client.get("/api/v1/health").headers["content-type"] == "application/json"


def test_no_answer_tells_a_version(client):
    for path in ("/login", "/api/v1/health", "/nowhere", "/static/css/base.css"):
        headers = client.get(path).headers
        assert "server" not in headers and "x-powered-by" not in headers


def test_no_other_origin_is_let_in(client):
    headers = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "GET"}
    for answer in (client.get("/api/v1/health", headers=headers), client.options("/login", headers=headers)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


def test_over_tls_browsers_stay_there(tmp_path):
    app_context = make_context(tmp_path)
    for secure in (True, False):
        with served(AppContext(app_context.records, app_context.settings, secure=secure)) as client:
            said = client.get("/login").headers.get("strict-transport-security", "")
            assert (said == "max-age=31536000") is secure


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PROPFIND", "PUT", "DELETE"])
def test_only_known_methods_are_answered(client, method):
    assert client.request(method, "/login").status_code in (404, 405)


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x"])
def test_a_body_of_another_kind_is_refused(tmp_path, kind):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        sign_in(client, app_context, Role.RECEPTION)
        answer = client.post("/api/v1/triage", content=b'{"text": "ates"}', headers={"Content-Type": kind})
        assert answer.status_code in (415, 422)


def test_scripts_import_only_what_others_export():
    """One name that is not there, and a browser runs nothing of the page's script."""
    missing = []
    for script in (STATIC / "js").rglob("*.js"):
        for names, place in re.findall(r"import \{([^}]*)\} from '(\.[^']+)'", script.read_text("utf-8")):
            target = (script.parent / place).resolve()
            if "vendor" in target.parts:
                continue
            exported = re.findall(
                r"export (?:async )?(?:function\*?|const|let|class) (\w+)", target.read_text("utf-8")
            )
            wanted = [name.split(" as ")[0].strip() for name in names.split(",") if name.strip()]
            missing += [f"{script.name}: {name}" for name in wanted if name not in exported]
    assert not missing
