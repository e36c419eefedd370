"""The words that the grounding check looks for, read once from `words.toml`."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Any


@cache
def vocabulary() -> dict[str, dict[str, list[str]]]:
    """The tables of `words.toml`."""
    text = resources.files(__package__).joinpath("words.toml").read_text("utf-8")
    tables: dict[str, Any] = tomllib.loads(text)
    return tables


@cache
def words(table: str, name: str) -> re.Pattern[str]:
    """One list of `words.toml`, as a pattern for folded text."""
    return re.compile(alternatives(vocabulary()[table][name]))


def alternatives(entries: Iterable[str]) -> str:
    """A regular expression for whole words; a trailing `*` takes any ending. It has no nested repeats."""
    longest_first = sorted(entries, key=len, reverse=True)
    parts = (
        re.escape(entry.rstrip("*")) + (r"\w*" if entry.endswith("*") else r"(?!\w)")
        for entry in longest_first
    )
    return rf"(?<!\w)(?:{'|'.join(parts)})"
