"""A text cut into sentences, and into folded words with their places.

Sentences mind abbreviations, ordinals, decimals, lists, and lines without a full stop. Among the words
punctuation stays, for clauses end there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from tetkik import turkish

_BULLETS = frozenset("•‣▪●○◦")
# A mark that may end a sentence, or the end of a line.
_END = re.compile(r"[.!?…]+[\"'”’)\]]*|\n+|[•‣▪●○◦]")
_BULLET = re.compile(r"[ \t]*(?:[-–—*•‣▪●○◦]+|\(?\d{1,2}[.)]|\(?[a-zA-Z]\))(?=[ \t]|[^\W\d_])[ \t]*")
# Titles and words of both languages that are written short, folded.
_SHORT_WORDS = """dr prof doc uzm op av sn no nr num yakl bkz orn vb vs vd fig approx cf eg ie resp incl max
min std lat inf sup ant post"""
_ABBREVIATIONS = frozenset(_SHORT_WORDS.split())
_SHORT = re.compile(r"[^\W\d_]{1,8}$|\d{1,4}$")
_LONGEST_WORD = 12
_INDENT = 4
_CACHED = 64
LONGEST = 1200
"""Characters after which a sentence is cut wherever it stands: text without any mark is no sentence."""


def spans(text: str) -> Iterator[tuple[int, int]]:
    """The (start, end) of each sentence of `text`, in order, without spaces around it or bullet."""
    start = 0
    for match in _END.finditer(text):
        place, end = match.span()
        mark = match.group()
        if mark in _BULLETS:
            end = place
        elif not (_ends_line(text, place, end) if mark[0] == "\n" else _ends(text, start, place, end)):
            continue
        yield from _pieces(text, start, end)
        start = end
    yield from _pieces(text, start, len(text))


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > LONGEST:
        space = text.rfind(" ", start + 1, start + LONGEST)
        cut = space if space > 0 else start + LONGEST
        yield from _trimmed(text, start, cut)
        start = cut
    yield from _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    bullet = _BULLET.match(text, start, end)
    while start < end and text[start].isspace():
        start += 1
        bullet = _BULLET.match(text, start, end)
    if bullet and bullet.end() < end:
        start = bullet.end()
    while end > start and text[end - 1].isspace():
        end -= 1
    if any(char.isalnum() for char in text[start:end]):
        yield start, end


def _ends(text: str, start: int, place: int, end: int) -> bool:
    """Whether the marks at `place` end the sentence that began at `start`."""
    mark = text[place]
    if end == len(text):
        return True
    following = text[end]
    before = _SHORT.search(text, max(start, place - _LONGEST_WORD), place)
    word = before.group() if before else ""
    if not following.isspace():
        # "opacity.There is", but not "0.5", "e.g.", "www.x.com".
        return mark == "." and following.isupper() and len(word) > 1 and word[-1].islower()
    upcoming = _next_char(text, end)
    if mark != ".":
        # "infiltrasyon? atelektazi?" is one sentence.
        return not upcoming.islower()
    if word.isdigit():
        # "5. kotta" is an ordinal and "1. Normal" a list; "in 2014. The" ends.
        if place - len(word) - start <= _INDENT and not text[start : place - len(word)].strip():
            return False
        return not (upcoming.islower() or (len(word) < 3 and not upcoming.isupper()))
    if turkish.fold(word) in _ABBREVIATIONS:
        return False
    if len(word) == 1 and word.isupper() and place - 2 >= start and not text[place - 2].isalnum():
        # An initial, "J. Smith".
        return not upcoming.isupper()
    return True


def _ends_line(text: str, place: int, end: int) -> bool:
    """Whether a line's end is the sentence's: a blank line, or a next line that begins like a sentence."""
    if end - place > 1 or end == len(text):
        return True
    if _BULLET.match(text, end):
        return True
    return not _next_char(text, end).islower()


def _next_char(text: str, place: int) -> str:
    for index in range(place, min(len(text), place + 40)):
        if not text[index].isspace():
            return text[index]
    return ""


_DASHES = "-‐‑‒–—−"
_LINE_MARKS = "•‣▪●○◦·*"
_KEPT = frozenset(".,;:?!()[]+/%<>=\n\"'&")
_TOKEN = re.compile(r"\(\s?[-+]\s?\)|\d+(?:[.,]\d+)+|[^\W_]+|[^\w\s]")
_SIGNED = {"-": "minussign", "+": "plussign"}
"""How a list says whether something is there: `effusion (-)`."""


def _fold(char: str) -> str:
    if char in _KEPT:
        return char
    if char in _DASHES:
        return "-"
    if char in _LINE_MARKS:
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


@lru_cache(maxsize=_CACHED)
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
        tuple(_read(folded[first:last]) for first, last in found),
        tuple(places[first] for first, _ in found),
        tuple(places[last - 1] + 1 for _, last in found),
    )


def _read(token: str) -> str:
    return _SIGNED[token.strip("() ")] if len(token) > 1 and token[0] == "(" else token


def _inside(folded: str, place: int) -> bool:
    return 0 < place < len(folded) - 1 and folded[place - 1].isalnum() and folded[place + 1].isalnum()
