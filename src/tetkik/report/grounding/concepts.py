"""What `concepts.toml` names, and what histories and passages name of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from tetkik.report.labeler import read_report
from tetkik.report.labeler.phrases import Hit, Lexicon
from tetkik.report.labeler.text import words_of

_NUMBER_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve",
    "sifir bir iki uc dort bes alti yedi sekiz dokuz on",
)
NUMBERS = {word: str(value) for line in _NUMBER_WORDS for value, word in enumerate(line.split())} | {
    "a": "1",
    "an": "1",
    "first": "1",
}

_DIVIDING_WORDS = ", ; . but while whereas although ise ancak fakat olup and ve"
_DIVIDING = frozenset(_DIVIDING_WORDS.split())


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("concepts.toml").read_text("utf-8"))


@cache
def _lexicon(part: str) -> Lexicon[str]:
    """The phrases of one part of `concepts.toml`; of a phrase that stands twice the first counts."""
    entries: dict[str, str] = {}
    for name, phrases in _table()[part].items():
        for phrase in phrases:
            entries.setdefault(phrase, name)
    return Lexicon(entries.items())


def hits_in(words: Sequence[str]) -> dict[str, list[Hit[str]]]:
    """By part of `concepts.toml` what folded words name of it."""
    return {part: _lexicon(part).find(words) for part in _table()}


@lru_cache(maxsize=256)
def named_in(text: str) -> frozenset[str]:
    """The things of `concepts.toml` that a history or a passage names."""
    words = words_of(text).texts
    return frozenset(hit.value for part in ("symptoms", "actions") for hit in _lexicon(part).find(words))


@lru_cache(maxsize=256)
def told_in(question: str) -> frozenset[str]:
    """The labels that a history names."""
    readings = read_report(question, signs=True)
    return frozenset(mention.label for reading in readings for mention in reading.mentions)


@lru_cache(maxsize=256)
def numbers_of(text: str) -> frozenset[str]:
    """The numbers of a text in digits: *two weeks* is 2, *a month* is 1."""
    words = words_of(text).texts
    spelled = {NUMBERS[word] for word in words if word in NUMBERS}
    return frozenset(spelled.union(*(re.findall(r"\d+", word) for word in words)))


def parts_of(words: Sequence[str]) -> list[int]:
    """The number of the part of a sentence in which each word stands: marks and joining words divide them."""
    parts, part = [], 0
    for word in words:
        part += word in _DIVIDING
        parts.append(part)
    return parts
