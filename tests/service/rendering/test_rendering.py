"""A complaint in pieces: all of it, in order, marked where it must be, and nothing hidden in it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

import tetkik.service
from tests.service.kit import make_context, served, sign_in
from tetkik.language import Sentence
from tetkik.service.app import create_app, routers
from tetkik.service.kit.access.authorization import Guard, guards
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.rendering.templates import NavigationEntry, asset, bundled, current_entry
from tetkik.service.kit.rendering.words import Piece, pieces, plain
from tetkik.values.access import Permission, Role
from tetkik.values.complaint import Evidence, RedFlag, Span, TriageResult, Urgency, UrgencyLevel


def answer(text, flags=(), evidence=()):
    return TriageResult(
        text,
        (),
        Urgency(
            UrgencyLevel.KIRMIZI,
            tuple(RedFlag("r", level, level.value, Span(*place), "s") for level, place in flags),
        ),
        True,
        None,
        None,
        tuple(Evidence(Span(*place), text[slice(*place)], 0.1) for place in evidence),
        "m 1",
    )


def test_the_worst_flag_marks_and_evidence_shows_within_it():
    result = answer(
        "göğsüm çok ağrıyor", [(UrgencyLevel.SARI, (0, 18)), (UrgencyLevel.KIRMIZI, (7, 10))], [(0, 6)]
    )
    assert pieces(result) == (
        Piece("göğsüm", "sari", True, "sari"),
        Piece(" ", "sari", False, "sari"),
        Piece("çok", "kirmizi", False, "kirmizi"),
        Piece(" ağrıyor", "sari", False, "sari"),
    )
    assert [piece.classes for piece in pieces(result)][:2] == ["sari evidence", "sari"]


def test_no_mark_is_one_piece():
    assert pieces(answer("hiç")) == (Piece("hiç"),)
    assert pieces(answer("")) == ()


places = st.tuples(st.integers(0, 30), st.integers(1, 31)).filter(lambda place: place[0] < place[1])


@given(
    st.text(min_size=31, max_size=31),
    st.lists(st.tuples(st.sampled_from(UrgencyLevel), places), max_size=5),
    st.lists(places, max_size=5),
)
def test_the_pieces_are_the_text(text, flags, evidence):
    cut = pieces(answer(text, flags, evidence))
    assert "".join(piece.text for piece in cut) == text
    assert all(piece.text for piece in cut)


@pytest.mark.parametrize(
    "hidden", ["\u202e", "\u2066", "\u200b", "\u200f", "\x00", "\x1b", "\u2028", "\ufeff"]
)
def test_what_hides_shows(hidden):
    assert plain(f"a{hidden}ş\n\tİ") == "a\ufffdş\n\tİ"


# The bar: declared beside the pages, in one order, each entry a page with the same permission.


def entry(path: str) -> NavigationEntry:
    return NavigationEntry(path, Permission.SYSTEM, "server", Sentence("System"), "g s", position=1)


def test_every_entry_is_a_page_with_its_permission(tmp_path):
    entries = create_app(make_context(tmp_path), work=False).state.navigation
    pages = {
        route.path: guard.permission
        for router in routers("pages")
        for route in router.routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or ())
        for guard in guards(route)
        if isinstance(guard, Guard)
    }
    assert {item.path: item.permission for item in entries}.items() <= pages.items()
    assert (
        len({item.position for item in entries}) == len({item.shortcut for item in entries}) == len(entries)
    )


def test_a_page_belongs_to_the_deepest_entry_above_it():
    admin, users = entry("/admin"), entry("/admin/users")
    assert current_entry((admin, users), "/admin/users/7") is users
    assert current_entry((admin, users), "/admin/other") is admin
    assert current_entry((admin, users), "/administrator") is None


# Words can be read and borders can be seen in both themes (WCAG 2.2, 1.4.3 and 1.4.11).


CSS = Path(tetkik.service.__file__).parent / "static" / "css"
TOKENS = dict(
    re.findall(
        r"--([a-z-]+): light-dark\((#[0-9a-f]{6}, #[0-9a-f]{6})\)", (CSS / "tokens.css").read_text("utf-8")
    )
)
GROUNDS = ("ground", "surface", "sunken", "hover")
COLOURS = ("red", "amber", "green")
WORDS = [
    *((words, ground) for words in ("ink", "ink-quiet", "accent") for ground in (*GROUNDS, "accent-soft")),
    *(("accent-strong", ground) for ground in ("surface", "accent-soft")),
    *((f"{name}-ink", ground) for name in COLOURS for ground in ("surface", f"{name}-soft")),
    *(("ink", f"{name}-soft") for name in COLOURS),
    ("on-accent", "accent"),
    ("on-accent", "accent-strong"),
    ("on-red", "red"),
    ("on-red", "red-ink"),
]
SHAPES = [
    *(("line-strong", ground) for ground in ("surface", "ground")),
    *((name, ground) for name in ("accent", *COLOURS) for ground in ("surface", "sunken")),
    *((name, f"{name}-soft") for name in COLOURS),
]


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str, theme: int) -> float:
    values = sorted(luminance(TOKENS[name].split(", ")[theme]) for name in (one, other))
    return (values[1] + 0.05) / (values[0] + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_words_can_be_read(theme):
    faint = {f"{a} on {b}": contrast(a, b, theme) for a, b in WORDS if contrast(a, b, theme) < 4.5}
    assert not faint


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_shapes_can_be_seen(theme):
    faint = {f"{a} on {b}": contrast(a, b, theme) for a, b in SHAPES if contrast(a, b, theme) < 3}
    assert not faint


def test_no_other_file_names_a_colour():
    for file in sorted(CSS.glob("*.css")):
        if file.name != "tokens.css":
            rules = re.sub(r"/\*.*?\*/", "", file.read_text("utf-8"), flags=re.DOTALL)
            found = re.findall(r"#[0-9a-fA-F]{3,8}\b(?=[^{}]*[;}])|\brgba?\(|\bhsla?\(", rules)
            assert not found, f"{file.name}: {found}"


def test_every_token_that_is_used_exists():
    known = set(
        re.findall(r"--([a-z0-9-]+):", "".join(path.read_text("utf-8") for path in CSS.glob("*.css")))
    )
    for file in sorted(CSS.glob("*.css")):
        used = set(re.findall(r"var\(--([a-z0-9-]+)", file.read_text("utf-8")))
        assert used <= known, f"{file.name}: {used - known}"


def test_the_shell_is_small():
    assert sum((CSS / name).stat().st_size for name in ("tokens.css", "base.css", "components.css")) < 40_000


# What comes from elsewhere is exactly what was locked, with its licence beside it.


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


# What the web server gives away: the pages' own files and nothing else.


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


# Browsers keep a file as long as its address names its content, and ask again for every other.


def test_a_named_content_is_kept_and_a_bare_name_asked_for_again(tmp_path):
    with served(make_context(tmp_path)) as client:
        assert "immutable" in client.get(asset("css/base.css")).headers["cache-control"]
        bare = client.get("/static/js/shell.js")
        assert bare.headers["cache-control"] == "no-cache"
        again = client.get("/static/js/shell.js", headers={"If-None-Match": bare.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        other = client.get(re.sub("v=.*", "v=0123456789ab", asset("css/base.css")))  # of another version
        assert (other.status_code, other.headers["cache-control"]) == (200, "no-cache")
        assert (
            client.get(re.sub("v=.*", "", bundled("js/shell.js")[1])).headers["cache-control"] == "no-cache"
        )


def test_a_script_comes_with_all_that_it_imports(tmp_path):
    text, address = bundled("js/reading/reading.js")
    assert not re.search(r"^(import|export)\b", text, re.MULTILINE)
    assert text.index("modules['js/viewer/view.js'] =") < text.index("modules['js/viewer/viewer.js'] =")
    assert text.count("modules['js/viewer/preferences.js'] =") == 1  # asked for by several
    with served(make_context(tmp_path)) as client:
        answer = client.get(address)
        assert answer.text == text and "immutable" in answer.headers["cache-control"]
        assert client.get("/static/bundle/js/missing.js").status_code == 404
