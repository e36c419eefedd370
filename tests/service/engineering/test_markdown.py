"""A card is shown, and nothing in it can do anything."""

from __future__ import annotations

import pytest

from tetkik.bundle import available
from tetkik.service.engineering import rendered


def test_front_matter_and_title_are_left_to_the_page():
    html = rendered("---\nlicense: mit\n---\n# A model 1.0\n\nText.\n\n## Use\n")
    assert html == "<p>Text.</p>\n<h2>Use</h2>\n"


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src="x" onerror="alert(1)">',
        "[x](javascript:alert(1))",
        "[x](data:text/html;base64,PHNjcmlwdD4=)",
        "![x](https://elsewhere.example/pixel.png)",
        '[x](https://ok.example "a\\" onclick=\\"alert(1)")',
        "| a |\n|:-:|\n| <b onclick=alert(1)>b</b> |",
    ],
)
def test_nothing_in_a_card_runs_or_loads(hostile):
    html = rendered(f"Text.\n\n{hostile}\n")
    assert "<script" not in html and "<img" not in html and "<b " not in html
    assert 'href="javascript' not in html and 'href="data' not in html
    assert ' onclick="' not in html and " style=" not in html


def test_tables_and_links_are_shown():
    html = rendered("Text.\n\n| a | b |\n|---|--:|\n| 1 | [two](https://example.org) |\n")
    assert '<table tabindex="0">' in html
    assert '<a href="https://example.org" rel="noreferrer noopener" target="_blank">two</a>' in html


def test_every_card_that_ships_can_be_shown():
    for bundle in available():
        assert "<h2>" in rendered((bundle.path / "README.md").read_text("utf-8"))
