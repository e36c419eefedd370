"""The day of the hospital, played in a real Chromium against `tetkik serve`.

`DAY_SHOTS=DIR` keeps a picture of each page; `DAY_PYTHON=…/bin/python` serves with another installation, such
as a built wheel in an empty environment (`python tests/service/installed.py`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.patience import PATIENCE
from tests.ports import free_port
from tests.service.browser import chromium
from tests.service.day import Day

LINK = re.compile(r"http://\S+/setup/\S+")


@contextmanager
def installation(folder: Path) -> Iterator[tuple[str, str]]:
    """An installation that serves; gives its address and the link of its first start."""
    port, log = free_port(), folder / "serve.log"
    settings = {
        "DATA_DIR": str(folder / "hospital"),
        "LANGUAGE": "tr",
        "LISTEN_PORT": str(port),
        "ALLOW_ROOT": "true",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TETKIK_", "PYTHON"))}
    with log.open("w") as out:
        process = subprocess.Popen(
            [os.environ.get("DAY_PYTHON", sys.executable), "-m", "tetkik", "serve"],
            env={**kept, **{f"TETKIK_{name}": value for name, value in settings.items()}},
            cwd=folder,  # not the source: an installation must stand alone
            stdout=out,
            stderr=subprocess.STDOUT,
        )
        try:
            link = _link(process, log)
            yield link.partition("/setup/")[0], link
        finally:
            process.terminate()
            process.wait(timeout=PATIENCE)


def _link(process: subprocess.Popen[bytes], log: Path) -> str:
    """Wait until the link stands in the log and is answered."""
    while process.poll() is None:
        found = LINK.search(log.read_text("utf-8"))
        if found and _answers(found.group()):
            return found.group()
        time.sleep(0.05)
    raise AssertionError(log.read_text("utf-8"))


def _answers(link: str) -> bool:
    try:
        with urlopen(link, timeout=PATIENCE) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.program("chromium")
def test_the_day(tmp_path):
    shots = os.environ.get("DAY_SHOTS")
    if shots:
        Path(shots).mkdir(parents=True, exist_ok=True)
    with chromium() as browser, installation(tmp_path) as (address, link):
        Day(browser, address, link, Path(shots) if shots else None).play()
        assert "Traceback" not in (tmp_path / "serve.log").read_text("utf-8")
