"""A real browser before a really served hospital: pages signed in by role, and what is wrong with a page."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import (
    Browser,
    BrowserContext,
    CDPSession,
    ConsoleMessage,
    Page,
    Request,
    expect,
    sync_playwright,
)
from starlette.types import ASGIApp

from tests.patience import PATIENCE
from tests.programs import program
from tests.records.kit import made_user
from tests.service.kit import opened_session
from tetkik.service.app import create_app
from tetkik.service.kit.access.connections import BoundedServer, ConnectionLimits
from tetkik.service.kit.context import AppContext
from tetkik.values import Actor, Role

ARGUMENTS = ("--no-sandbox", "--disable-gpu")
"""There is no GPU, and emulating one takes more of the processor than the pages do."""
AXE = Path(__file__).parent / "vendor" / "axe-core" / "axe.min.js"
PATIENT = 1000 * PATIENCE
"""The same in milliseconds, as Playwright counts."""
expect.set_options(timeout=PATIENT)
_TELLS = """addEventListener('DOMContentLoaded', () => {
    window.notices = [];
    const place = document.getElementById('toasts');
    if (place) new MutationObserver((changes) => {
        const nodes = changes.flatMap(({ addedNodes }) => [...addedNodes]);
        window.notices.push(...nodes.map((one) => one.textContent));
    }).observe(place, { childList: true });
})"""
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
        # A breach of the Content-Security-Policy is reported on the console as an error.
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
def serving(app_context: AppContext, *, work: bool = False) -> Iterator[str]:
    """Serve a hospital on a free port of this machine; gives its address."""
    with at_a_port(create_app(app_context, work=work)) as address:
        yield address


@contextmanager
def at_a_port(app: ASGIApp) -> Iterator[str]:
    """Serve any application on a free port of this machine; gives its address."""
    # asyncio sets TCP_NODELAY only where the protocol is named; without it many answers wait 40 ms for an
    # acknowledgement.
    with socket.socket(proto=socket.IPPROTO_TCP) as free:
        free.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, log_config=None, timeout_graceful_shutdown=1, loop="asyncio", ws="none")
        server = BoundedServer(config, ConnectionLimits(1000, 1000))
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
def chromium(*arguments: str) -> Iterator[Browser]:
    """The Chromium of this machine, without a window; with arguments of its own, or those of most tests."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program("chromium"), args=list(arguments or ARGUMENTS), timeout=PATIENT
        )
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
    browser: Browser,
    address: str,
    *,
    width: int = 1440,
    theme: str = "light",
    language: str = "tr",
    touch: bool = False,
) -> Iterator[BrowserContext]:
    """A browser's window of its own, without cookies."""
    context = browser.new_context(
        base_url=address,
        viewport={"width": width, "height": SIZES[width]},
        color_scheme="dark" if theme == "dark" else "light",
        locale=language,
        reduced_motion="reduce",
        accept_downloads=True,
        has_touch=touch,
    )
    context.set_default_timeout(PATIENT)
    context.add_init_script(_TELLS)
    try:
        yield context
    finally:
        context.close()


def signed_in(
    context: BrowserContext, app_context: AppContext, *roles: Role, actor: Actor | None = None
) -> Actor:
    """Sign a window in, as a fresh user with these roles or as `actor`."""
    actor = actor or made_user(app_context.records, *roles)
    cookie, _ = opened_session(app_context, actor)
    context.add_cookies(
        [{"name": "tetkik", "value": cookie, "domain": "127.0.0.1", "path": "/", "httpOnly": True}]
    )
    return actor


def arrived(page: Page, path: str) -> None:
    """Wait until a page is at this path, whatever follows it: an address may name another one behind `?`."""
    page.wait_for_url(lambda url: urlsplit(url).path == path)


def wait_for_notice(page: Page, sentence: str) -> None:
    """Wait until the page has shown a message; messages go by themselves, maybe before one looks."""
    page.wait_for_function("sentence => window.notices?.some((one) => one.includes(sentence))", arg=sentence)


def chord(page: Page, *keys: str) -> None:
    """Keys right after one another: what is meant together must not wait for this machine in between."""
    page.evaluate(
        """keys => keys.forEach((key) => document.activeElement.dispatchEvent(
            new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true })))""",
        list(keys),
    )


def authenticator(page: Page) -> tuple[CDPSession, str]:
    """Give a page an authenticator that says yes by itself; gives what it is spoken to by: session and id."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    given = session.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    return session, given["authenticatorId"]


def add_passkey(page: Page, name: str, password: str) -> None:
    """Add a passkey on the page of one's account."""
    page.goto("/account")
    page.click("[data-dialog=add-passkey]")
    page.fill("#passkey-name", name)
    page.fill("#passkey-password", password)
    page.click("#add-passkey [type=submit]")
    page.get_by_text(name, exact=True).wait_for()


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
