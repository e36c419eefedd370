"""A normal film by keyboard, from the worklist to the signature and the next film: keys, and Tetkik's time.

    python benchmarks/reading_keys.py [--films 12]

`tetkik serve` runs with so many synthetic normal films of 2,048 x 2,048, each of a patient of its own, read
by the built-in model; Chromium presses the keys in a window of 1,440 x 900. Each film begins at the worklist
and ends when the next one's image is drawn and its draft stands beside it. A key's time runs until the page
shows what it asked for: the chosen row, the image with its draft, the window of the signature, the next
image. The key that proves who signs (`Enter` for a passkey, which a virtual authenticator answers at once) is
not counted among the keys; the time that it takes is.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pydicom
from playwright.sync_api import Browser, Page, expect

from service_upload import another, through_the_service

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.phantom import write_phantom
from tests.records.kit import made_records, made_user
from tests.service.browser import add_passkey, authenticator, chord, chromium
from tests.service.chaos import ServedHospital
from tests.service.kit import make_context, opened_session
from tetkik.records.people import users
from tetkik.values import SYSTEM, Role

KEYS, SECONDS = 6, 5
_PASSWORD = "okuma odası 2026"
_READ = "[data-viewer][data-ready]"


class Keyboard:
    """Presses keys in a page, and counts them and what each takes until it is answered."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self.keys = 0
        self.seconds: dict[str, float] = {}

    def press(self, step: str, keys: str, answered: Callable[[], object], *, counted: bool = True) -> None:
        begin = time.perf_counter()
        pressed = keys.split()
        self.keys += counted * len(pressed)
        if len(pressed) > 1:
            chord(self._page, *pressed)
        else:
            self._page.keyboard.press(keys)
        answered()
        self.seconds[step] = time.perf_counter() - begin


def sent(folder: Path, server: ServedHospital, films: int) -> tuple[str, str]:
    """Films of so many patients, read; gives the name and the value of the radiologist's session."""
    records = made_records(folder)
    sender = made_user(records, Role.TECHNICIAN, Role.RADIOLOGIST)
    reader = made_user(records, Role.RADIOLOGIST)
    with records.write(SYSTEM) as tx:
        users.set_password(tx, reader.user_id or "", _PASSWORD)
    context = make_context(folder, records)
    (cookie, csrf), (own, _) = opened_session(context, sender), opened_session(context, reader)
    records.close()
    server.start()
    client = httpx.Client(
        base_url=f"{server.address}/api/v1",
        cookies={"tetkik": cookie},
        headers={"X-CSRF-Token": csrf},
        timeout=120,
    )
    file = folder / "film.dcm"
    for number in range(films):
        write_phantom(file, number, (), rows=2048, columns=2048)
        file.write_bytes(another(pydicom.dcmread(file), number))
        through_the_service(client, file)
    return "tetkik", own


def one_film(page: Page) -> tuple[int, dict[str, float]]:
    """Read and sign the first film of the worklist; gives the keys and the seconds of each step."""
    page.goto("/worklist")
    page.locator("tr.case").first.wait_for()
    board = Keyboard(page)
    board.press("row", "j", page.locator("tr.case.current a.open:focus").wait_for)

    def shown() -> None:
        page.wait_for_url("**/read/*")
        page.locator(_READ).wait_for()
        page.locator("[data-draft]").wait_for()

    board.press("open", "Enter", shown)
    # The built-in model rules nothing out, so of a normal film its draft says nothing.
    lines = page.locator("[data-lines=findings] [data-line]")
    board.press("normals", "Alt+n", lines.first.wait_for)
    here = page.url
    dialog = page.locator("#sign[open]")
    board.press("window", "s s", dialog.wait_for)
    stated, passkey = dialog.locator("[data-accept-stated]"), dialog.locator("[data-passkey-sign]")
    if stated.is_visible():
        board.press("stated", "Enter", lambda: expect(passkey).to_be_focused())

    def next_film() -> None:
        page.wait_for_url(lambda url: url != here)
        shown()

    board.press("sign, next film", "Enter", next_film, counted=False)
    return board.keys, board.seconds


def prepared(browser: Browser, address: str, cookie: tuple[str, str]) -> Page:
    """A window of the reader, with a passkey."""
    context = browser.new_context(base_url=address, viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": cookie[0], "value": cookie[1], "url": address}])
    context.set_default_timeout(120_000)
    page = context.new_page()
    authenticator(page)
    add_passkey(page, "Masa 3", _PASSWORD)
    return page


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--films", type=int, default=12)
    films = parser.parse_args().films
    with tempfile.TemporaryDirectory(prefix="tetkik-bench-") as name:
        server = ServedHospital(Path(name), "2")
        try:
            cookie = sent(Path(name), server, films + 1)
            with chromium() as browser:
                # A passkey belongs to a name.
                page = prepared(browser, server.address.replace("127.0.0.1", "localhost"), cookie)
                done = [one_film(page) for _ in range(films)]
        finally:
            server.end()
            server.close()
    keys = max(count for count, _ in done)
    times = [sum(seconds.values()) for _, seconds in done]
    for step in done[0][1]:
        each = [1000 * seconds[step] for _, seconds in done]
        print(f"{step}: median {statistics.median(each):.0f} ms, longest {max(each):.0f} ms")
    median, longest = statistics.median(times), max(times)
    print(
        f"{keys} keys; median {median:.2f} s, longest {longest:.2f} s, n = {films} films; "
        f"load {os.getloadavg()[0]:.1f}"
    )
    reached = judged(f"{keys} keys; {median:.1f} s", met=keys <= KEYS and longest < SECONDS)
    record(
        "reading-room/normal-film", {"reached": f"{reached} (longest {longest:.1f} s)", "n": f"{films} films"}
    )


if __name__ == "__main__":
    main()
