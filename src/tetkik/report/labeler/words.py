"""A text as folded words with their places; punctuation stays, for clauses end there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tetkik import turkish

_DASHES = "-‐‑‒–—−"
_BULLETS = "•‣▪●○◦·*"
_KEPT = frozenset(".,;:?!()[]+/%<>=\n\"'&")
_TOKEN = re.compile(r"\d+(?:[.,]\d+)+|[^\W_]+|[^\w\s]")


def _fold(char: str) -> str:
    if char in _KEPT:
        return char
    if char in _DASHES:
        return "-"
    if char in _BULLETS:
        return "\n"
    if char in "’‘`´":  # apostrophes as they are typed
        return "'"
    return turkish.fold(char)


class _Table(dict[int, str]):
    def __missing__(self, code: int) -> str:
        folded = _fold(chr(code))
        if code < 0x2100:
            self[code] = folded
        return folded


_TABLE = _Table()


@dataclass(frozen=True, slots=True)
class Words:
    """The words and punctuation marks of a piece of text, folded to lower-case ASCII, and their places."""

    texts: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def span(self, first: int, last: int) -> tuple[int, int]:
        return self.starts[first], self.ends[last]


def words_of(text: str, start: int = 0) -> Words:
    """The words and punctuation marks of `text`, folded; a hyphen inside a word only divides it."""
    folded = text.translate(_TABLE)
    places: Sequence[int]
    if len(folded) == len(text):
        places = range(start, start + len(text))
    else:
        places = [start + index for index, char in enumerate(text) if _TABLE[ord(char)]]
    found = [
        match.span()
        for match in _TOKEN.finditer(folded)
        if match.group() != "-" or not _inside(folded, match.start())
    ]
    return Words(
        tuple(folded[first:last] for first, last in found),
        tuple(places[first] for first, _ in found),
        tuple(places[last - 1] + 1 for _, last in found),
    )


def _inside(folded: str, place: int) -> bool:
    return 0 < place < len(folded) - 1 and folded[place - 1].isalnum() and folded[place + 1].isalnum()
