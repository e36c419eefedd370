"""Where a request is sent to and where it comes from: its Host header, its path, its origin."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

import tetkik.service
from tests.service.kit import make_context, served, sign_in
from tetkik.service.kit.access.middleware import HostOriginMiddleware
from tetkik.values import Role

pytestmark = pytest.mark.attack


def test_a_host_that_is_no_host_is_refused(tmp_path):
    """Older versions of Starlette took the path of `request.url` from such a header (CVE-2026-48710)."""
    with served(make_context(tmp_path)) as client:
        for host in (
            "localhost/account/passkey?x=",
            "localhost?",
            "localhost#",
            "localhost\\account",
            "user@localhost",
            "localhost:80:80",
            "localhost:port",
            "[::1",
            "local host",
            "locälhost",
        ):
            answer = client.get("/api/v1/health", headers={b"host": host.encode("latin-1")})
            assert answer.status_code == 400, host
        for host in ("localhost", "tetkik.hastane.local:8443", "[::1]:8000", "10.0.0.5"):
            assert client.get("/api/v1/health", headers={"host": host}).status_code == 200, host


@pytest.mark.parametrize(
    ("path", "hosts"),
    [
        ("@evil.example", ["localhost"]),
        ("http://evil.example/login", ["localhost"]),
        ("/login", ["localhost", "evil.example"]),
    ],
)
def test_a_request_has_one_address(tmp_path, path, hosts):
    """A path without a slash at its front moved the host of `request.url` (PYSEC-2026-248)."""
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async def app(*_: object) -> None:
        raise AssertionError("it went through")

    application = FastAPI()
    application.state.context = make_context(tmp_path)
    scope = {
        "type": "http",
        "app": application,
        "method": "GET",
        "scheme": "http",
        "server": ("127.0.0.1", 8000),
        "path": path,
        "query_string": b"",
        "headers": [(b"host", host.encode()) for host in hosts],
        "state": {},
    }
    asyncio.run(HostOriginMiddleware(app, public_url="", secure=False)(scope, receive, send))
    assert sent[0]["status"] == 400


def test_a_role_that_needs_a_passkey_goes_nowhere_by_its_host(tmp_path):
    app_context = make_context(tmp_path, passkey_roles="administrator")
    with served(app_context) as client:
        sign_in(client, app_context, Role.ADMINISTRATOR)
        assert client.get("/admin/users").headers["location"].startswith("/account/passkey")
        for host in ("localhost/account/passkey?x=", "localhost/account/password?x="):
            assert client.get("/admin/users", headers={"host": host}).status_code == 400


def test_nothing_is_decided_by_the_path_of_a_url_that_was_put_together():
    """Routes are found by the path of the scope, and so is everything else."""
    folder = Path(tetkik.service.__path__[0])
    guilty = [file.name for file in folder.rglob("*.py") if "url.path" in file.read_text("utf-8")]
    assert not guilty


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"origin": "http://testserver"}, 303),
        ({"origin": "http://TESTSERVER:80"}, 303),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, 303),
        ({"sec-fetch-site": "none"}, 303),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://testserver:8080"}, 403),
        ({"origin": "http://testserver.evil.example"}, 403),
        ({"origin": "http://evil.example@testserver.evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"origin": "http://testserver", "sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "elsewhere"}, 403),
    ],
)
def test_a_change_comes_from_a_page_of_this_server(tmp_path, headers, status):
    """Browsers send Sec-Fetch-Site over TLS and to this machine alone, and old ones never."""
    with served(make_context(tmp_path)) as client:
        assert client.post("/logout", headers=headers).status_code == status


def test_the_address_that_browsers_see_is_one_of_this_server(tmp_path):
    with served(make_context(tmp_path, public_url="https://tetkik.example:8443")) as client:
        for origin, status in (("https://tetkik.example:8443", 303), ("https://tetkik.example", 403)):
            answer = client.post("/logout", headers={"origin": origin, "host": "127.0.0.1"})
            assert answer.status_code == status, origin
