"""Words can be read and borders can be seen in both themes (WCAG 2.2, 1.4.3 and 1.4.11)."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tetkik.service

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
