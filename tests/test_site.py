"""The documentation builds into a site without a warning, and its pages ask no other machine for anything."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("material", reason="needs the extra docs")

ROOT = Path(__file__).parent.parent
FETCHED = {"script": "src", "link": "href", "img": "src", "iframe": "src", "source": "src"}


class Fetched(HTMLParser):
    """The addresses that a browser asks for when it shows a page."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        address = values.get(FETCHED.get(tag, ""))
        if address and values.get("rel") not in {"canonical", "prev", "next"}:
            self.addresses.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Built in strict mode: a page, link or anchor that is not there is an error."""
    folder = tmp_path_factory.mktemp("site")
    result = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


def test_every_page_is_in_the_site(site):
    for page in (ROOT / "docs").rglob("*.md"):
        assert (site / page.relative_to(ROOT / "docs")).with_suffix(".html").is_file(), page
    for name in ("turkce", "changes", "contributing", "reporting"):
        assert (site / f"{name}.html").is_file()


def test_pages_fetch_nothing_from_elsewhere(site):
    for page in site.rglob("*.html"):
        reader = Fetched()
        reader.feed(page.read_text("utf-8"))
        foreign = [address for address in reader.addresses if re.match(r"(?:https?:)?//", address)]
        assert not foreign, page.relative_to(site)
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\([\"']?(?:https?:)?//|@import", sheet.read_text("utf-8")), sheet.name


def test_what_pages_fetch_is_there(site):
    for page in site.rglob("*.html"):
        if page.name == "404.html":
            continue
        reader = Fetched()
        reader.feed(page.read_text("utf-8"))
        for address in reader.addresses:
            if not address.startswith("data:"):
                assert (page.parent / re.sub(r"[?#].*", "", address)).exists(), f"{page.name}: {address}"
