"""A real browser before a really served house: pages signed in by role, and what is wrong with a page."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright

from tests.records.kit import made_user
from tests.service.kit import opened_session
from tetkik.service.app import create_app
from tetkik.service.house import House
from tetkik.values import Actor, Role

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ("--no-sandbox", "--disable-gpu")
"""There is no GPU, and emulating one takes more of the processor than the pages do."""
AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
_LEFT = ("htmx:sendAbort", "htmx:afterRequest")
SIZES = {1440: 900, 768: 1024, 390: 844}
"""Width of a desk, a tablet and a phone: height."""


@dataclass
class Watch:
    """What a page complains of while it is used."""

    complaints: list[str] = field(default_factory=list)

    def over(self, page: Page) -> None:
        """Begin to listen."""
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("requestfailed", self._request)

    def _console(self, message: ConsoleMessage) -> None:
        # A breach of the Content-Security-Policy is told on the console as an error.
        # htmx also tells of requests that ended because their page was left: that is no fault.
        if message.type in ("error", "warning") and not message.text.startswith(_LEFT):
            place = message.location
            self.complaints.append(
                f"{message.type}: {message.text} ({place.get('url')}:{place.get('lineNumber')})"
            )

    def _request(self, request: Request) -> None:
        # A stream of events or a download ends with its page.
        if request.failure != "net::ERR_ABORTED":
            self.complaints.append(f"request: {request.url} {request.failure}")


@contextmanager
def serving(house: House, *, work: bool = False) -> Iterator[str]:
    """Serve a house on a free port of this machine; gives its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        server = uvicorn.Server(
            uvicorn.Config(create_app(house, work=work), log_config=None, timeout_graceful_shutdown=1)
        )
        free.listen()
        thread = threading.Thread(target=server.run, args=([free],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{free.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for the tests of a file; each opens windows of its own."""
    with chromium() as found:
        yield found


@contextmanager
def opened(
    browser: Browser, address: str, *, width: int = 1440, theme: str = "light", language: str = "tr"
) -> Iterator[BrowserContext]:
    """A browser's window of its own, without cookies."""
    context = browser.new_context(
        base_url=address,
        viewport={"width": width, "height": SIZES[width]},
        color_scheme="dark" if theme == "dark" else "light",
        locale=language,
        reduced_motion="reduce",
        accept_downloads=True,
    )
    context.set_default_timeout(15_000)
    try:
        yield context
    finally:
        context.close()


def signed_in(context: BrowserContext, house: House, *roles: Role, actor: Actor | None = None) -> Actor:
    """Sign a window in, as a fresh user with these roles or as `actor`."""
    actor = actor or made_user(house.records, *roles)
    cookie, _ = opened_session(house, actor)
    context.add_cookies(
        [{"name": "tetkik", "value": cookie, "domain": "127.0.0.1", "path": "/", "httpOnly": True}]
    )
    return actor


def axe(page: Page, *rules: str) -> list[str]:
    """What axe-core objects to: WCAG 2.2 up to AA, and its own good practice; or some rules alone."""
    options: dict[str, object] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = list(rules)
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{one['id']}: {node['html'][:160]} ({node['failureSummary'][:200]})"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def overflow(page: Page) -> int:
    """By how many pixels a page is wider than its window."""
    wider: int = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return wider
