"""What every request keeps to: hosts, proxies, sizes, headers; and the log, which names nobody."""

from __future__ import annotations

import io
import json
import logging
import re
from typing import Any

import pytest
import structlog
from fastapi import APIRouter, FastAPI, Request, UploadFile
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from tests.service.kit import make_context, served, sign_in
from tetkik.errors import SettingError
from tetkik.records.people import invites
from tetkik.records.schema import User
from tetkik.service.kit.access.authorization import public
from tetkik.service.kit.access.connections import TrustedProxyMiddleware, networks
from tetkik.service.kit.access.middleware import ORDINARY, POLICY, BodyLimitMiddleware, takes_files
from tetkik.service.kit.access.rate_limits import Limiter
from tetkik.service.kit.http import problems
from tetkik.service.kit.logging import configure
from tetkik.values import Role


@pytest.fixture
def log():
    """The log of the service, as it goes to standard error."""
    root = logging.getLogger()
    before, level = root.handlers, root.level
    stream = io.StringIO()
    configure(stream)
    yield stream
    structlog.reset_defaults()
    root.handlers, root.level = before, level


def lines(log: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


# Headers


def test_every_answer_has_security_headers(tmp_path):
    with served(make_context(tmp_path)) as client:
        for path in ("/login", "/nowhere", "/api/v1/health", "/api/v1/account", "/static/css/base.css"):
            headers = client.get(path).headers
            assert headers["content-security-policy"] == POLICY, path
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "same-origin"
            assert len(headers["x-request-id"]) == 26
            assert "server" not in headers
    assert "unsafe" not in POLICY


@pytest.mark.attack
def test_no_json_is_kept_by_browsers(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        sign_in(client, app_context, Role.ADMINISTRATOR)
        paths = client.app.openapi()["paths"].items()  # type: ignore[attr-defined]
        read = [path for path, methods in paths if "get" in methods and "events" not in path]
        asked = [client.get(re.sub(r"{\w+}", "01m896a0wd76723k7hjjn0aj5g", path)) for path in read]
        told = [answer for answer in asked if "json" in answer.headers["content-type"]]
        assert len(told) > 40
        assert {answer.headers["cache-control"] for answer in told} == {"no-store"}


def test_pages_are_not_kept_by_browsers(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context) as client:
        sign_in(client, app_context, Role.ADMINISTRATOR)
        for path in ("/account", "/admin/users", "/login"):
            assert client.get(path, follow_redirects=True).headers["cache-control"] == "no-store"


# Hosts and proxies


def test_another_name_for_the_hospital_is_refused(tmp_path):
    with served(make_context(tmp_path, public_url="https://tetkik.example")) as client:
        for host, status in (
            ("tetkik.example", 200),
            ("TETKIK.example:443", 200),
            ("127.0.0.1:8000", 200),
            ("evil.example", 400),
            ("tetkik.example.evil.example", 400),
            ("tetkik.example@evil.example", 400),
            ("", 400),
        ):
            assert client.get("/api/v1/health", headers={"host": host}).status_code == status, host


def seen_through(trusted: str, peer: str, **headers: str) -> dict[str, str]:
    """What an application sees of a request that `peer` sends."""
    import asyncio

    seen: dict[str, str] = {}

    async def unread(*_: object) -> Any:
        """Nobody reads or answers."""

    async def app(scope, receive, send):
        seen.update(client=scope["client"][0], scheme=scope["scheme"])

    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "client": (peer, 5), "scheme": "http", "headers": raw}
    asyncio.run(TrustedProxyMiddleware(app, trusted=networks(trusted))(scope, unread, unread))
    return seen


def test_only_a_trusted_proxy_is_believed():
    said = {"x_forwarded_for": "203.0.113.9", "x_forwarded_proto": "https"}
    assert seen_through("10.0.0.0/8", "10.1.2.3", **said) == {"client": "203.0.113.9", "scheme": "https"}
    assert seen_through("10.0.0.0/8", "192.0.2.1", **said) == {"client": "192.0.2.1", "scheme": "http"}
    assert seen_through("", "127.0.0.1", **said) == {"client": "127.0.0.1", "scheme": "http"}


def test_what_the_browser_said_before_the_proxies_is_not_believed():
    chain = "198.51.100.1, 203.0.113.9, 10.9.9.9"
    assert seen_through("10.0.0.0/8", "10.1.2.3", x_forwarded_for=chain)["client"] == "203.0.113.9"
    assert (
        seen_through("10.0.0.0/8", "10.1.2.3", x_forwarded_for="203.0.113.9, <script>")["client"]
        == "10.1.2.3"
    )
    assert seen_through("10.0.0.0/8", "10.1.2.3", x_forwarded_proto="javascript")["scheme"] == "http"


@pytest.mark.parametrize("text", ["proxy.example", "10.0.0.0/99", "10.0.0.1/8"])
def test_what_is_no_network_is_refused(text):
    with pytest.raises(SettingError, match="trusted_proxies"):
        networks(text)


# Sizes


def sized_app(most: int) -> FastAPI:
    app = FastAPI()
    router = APIRouter(prefix="/in", dependencies=[public()])

    @router.post("/json")
    async def json_in(request: Request) -> int:
        return len(await request.body())

    @router.post("/files/{number}")
    @takes_files
    async def files_in(number: int, file: UploadFile) -> int:
        return len(await file.read())

    app.include_router(router)
    problems.install(app)
    app.add_middleware(BodyLimitMiddleware, routes=app.router, most=most)
    return app


@pytest.fixture
def sized(tmp_path):
    from fastapi.testclient import TestClient

    app = sized_app(3_000_000)
    app.state.context = make_context(tmp_path)
    with TestClient(app) as client:
        yield client


def test_an_ordinary_request_carries_a_megabyte(sized):
    assert sized.post("/in/json", content=b"x" * ORDINARY).status_code == 200
    assert sized.post("/in/json", content=b"x" * (ORDINARY + 1)).status_code == 413


def test_an_upload_carries_what_the_setting_says(sized):
    assert sized.post("/in/files/1", files={"file": b"x" * 2_500_000}).json() == 2_500_000
    assert sized.post("/in/files/1", files={"file": b"x" * 3_500_000}).status_code == 413


def test_a_request_that_does_not_tell_its_size_is_counted(sized):
    def pieces(count: int):
        for _ in range(count):
            yield b"x" * 100_000

    assert sized.post("/in/json", content=pieces(10)).status_code == 200
    assert sized.post("/in/json", content=pieces(11)).status_code == 413


# Limits


def test_a_bucket_fills_again_with_time():
    now = [0.0]
    limiter = Limiter(60, 2, lambda: now[0])
    assert [limiter.take("a"), limiter.take("a")] == [0, 0]
    assert limiter.take("a") == 1
    assert limiter.take("b") == 0
    now[0] = 1
    assert [limiter.take("a"), limiter.take("a")] == [0, 1]


def test_requests_of_one_person_are_limited(tmp_path):
    app_context = make_context(tmp_path, requests_per_minute=10)
    with served(app_context) as client:
        sign_in(client, app_context, Role.ENGINEER)
        answers = [client.get("/api/v1/account").status_code for _ in range(12)]
        assert answers.count(200) == 10 and answers[-1] == 429
        sign_in(client, app_context, Role.ENGINEER)
        assert client.get("/api/v1/account").status_code == 200


# The log


def test_a_request_is_logged_by_the_template_of_its_route(tmp_path, log):
    with served(make_context(tmp_path)) as client:
        client.get("/setup/a-secret-link?name=Gülçin")
        client.get("/nowhere/gizli")
    said = [line for line in lines(log) if line["event"] == "request"]
    assert [(line["method"], line["route"], line["status"]) for line in said] == [
        ("GET", "/setup/{token}", 404),
        ("GET", "-", 404),
    ]
    assert all(line["ms"] >= 0 and len(line["id"]) == 26 for line in said)
    assert "secret" not in log.getvalue() and "gizli" not in log.getvalue() and "Gül" not in log.getvalue()


def test_an_unexpected_error_is_logged_without_its_words(log):
    for logger in (logging.getLogger("uvicorn.error"), structlog.get_logger()):
        try:
            raise ValueError("Gülçin ŞAHİN")
        except ValueError:
            logger.error("failed", exc_info=True)
    assert "Gül" not in log.getvalue()
    assert [line["error"] for line in lines(log)] == ["ValueError", "ValueError"]
    assert "test_middleware.py" in lines(log)[0]["places"][0]


def test_a_fault_of_the_database_names_no_value(tmp_path):
    app_context = make_context(tmp_path)
    with app_context.records.read() as tx, pytest.raises(IntegrityError) as fault:
        tx.session.execute(insert(User).values(id="x", login="gizli"))
    assert "gizli" not in str(fault.value)


def test_what_breaks_unexpectedly_tells_nobody_what(tmp_path, log, monkeypatch):
    def broken(*_: object) -> None:
        raise ValueError("Gülçin ŞAHİN")

    monkeypatch.setattr(invites, "load_invitation", broken)
    with served(make_context(tmp_path)) as client:
        client._transport.raise_server_exceptions = False  # type: ignore[attr-defined]
        answer = client.get("/setup/a-secret-link")
    assert answer.status_code == 500 and "Gül" not in answer.text
    assert "Gül" not in log.getvalue() and "secret" not in log.getvalue()
    assert [line["kind"] for line in lines(log) if line["event"] == "unexpected"] == ["ValueError"]
