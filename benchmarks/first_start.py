"""From a clone to a reading view with a case in it: `git clone`, `make serve`, one click.

    python benchmarks/first_start.py [--turns 3]

Each turn clones this checkout's last commit into an empty folder and runs `make serve` there: a new virtual
environment, the packages, `tetkik serve --demo` on an empty database. Chromium becomes the radiologist and
opens the first case; the time ends when its image is drawn and its draft stands there. An installation before
the first turn, not counted, brings the packages into pip's cache: what is counted is the work of this machine
and pip's questions to its index, no download.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Error

sys.path.insert(0, str(Path(__file__).parent.parent))

from figures import judged, record
from tests.ports import free_port
from tests.service.browser import chromium

ROOT = Path(__file__).parent.parent
ASKED = 120
_LONGEST = 1800
_SERVICE = ".venv/.service"


@contextmanager
def made(clone: Path, target: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """`make target` in a clone, with a home of its own; ended with everything that it started."""
    own = {"XDG_DATA_HOME": str(clone.parent / "data"), "TETKIK_LISTEN_PORT": str(port)}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TETKIK_", "PYTHON"))}
    process = subprocess.Popen(
        ["make", "--silent", target],
        cwd=clone,
        env=kept | own | {"TETKIK_ALLOW_ROOT": "true"},
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()


def cloned(folder: Path) -> Path:
    """A clone of the last commit."""
    clone = folder / "tetkik"
    subprocess.run(["git", "clone", "--quiet", ROOT.as_uri(), clone], check=True)
    return clone


def answering(address: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the demonstration answers."""
    until = time.monotonic() + _LONGEST
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{address}/login", timeout=60).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise RuntimeError("make serve does not come up; run it by hand to see why")


def first_case(browser: Browser, address: str) -> None:
    """Become the radiologist, and open the first case as soon as it has an image and a draft."""
    with browser.new_context(viewport={"width": 1440, "height": 900}) as context:
        page = context.new_page()
        page.goto(f"{address}/login")
        page.locator("form:has([value=radiologist]) button").click()
        page.wait_for_url(lambda url: "/login" not in url)
        until = time.monotonic() + _LONGEST
        while time.monotonic() < until:
            with suppress(Error):  # the page goes on by itself in between
                page.goto(f"{address}/demo/read")
            if (
                "/read/" in page.url
                and page.locator("[data-viewer]").count()
                and page.locator("[data-draft]").count()
            ):
                page.wait_for_selector("[data-viewer][data-ready]")
                return
            time.sleep(0.2)
        raise RuntimeError("the first case does not come")


def turn(browser: Browser) -> tuple[float, float, float]:
    """Seconds to the clone and its packages, from there to the first answer, and to the case."""
    with tempfile.TemporaryDirectory(prefix="tetkik-bench-") as name:
        port, begin = free_port(), time.perf_counter()
        clone = cloned(Path(name))
        with made(clone, "serve", port) as process:
            while not (clone / _SERVICE).exists() and process.poll() is None:
                time.sleep(0.05)
            installed = time.perf_counter()
            answering(f"http://localhost:{port}", process)
            answered = time.perf_counter()
            first_case(browser, f"http://localhost:{port}")
            seen = time.perf_counter()
    return installed - begin, answered - installed, seen - answered


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=3)
    turns = parser.parse_args().turns
    with (
        tempfile.TemporaryDirectory(prefix="tetkik-bench-") as name,
        made(cloned(Path(name)), _SERVICE, 0) as process,
    ):
        process.wait()
    with chromium() as browser:
        times = [turn(browser) for _ in range(turns)]
    for parts in times:
        print("installed {:.1f} s, answers {:.1f} s, case open {:.1f} s".format(*parts))
    median = statistics.median(map(sum, times))
    longest = max(map(sum, times))
    steps = " + ".join(f"{statistics.median(part):.0f}" for part in zip(*times, strict=True))
    print(f"median {median:.0f} s ({steps}), longest {longest:.0f} s, n = {turns}")
    cell = judged(f"{median:.0f} s", met=longest < ASKED)
    record(
        "reading-room/first-start", {"reached": f"{cell} ({steps}; longest {longest:.0f} s)", "n": str(turns)}
    )


if __name__ == "__main__":
    main()
