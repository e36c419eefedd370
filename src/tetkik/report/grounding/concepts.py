"""What `concepts.toml` names, and what histories and passages name of it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib import resources
from typing import Any

from tetkik.language import Language
from tetkik.report.labeler import read_report
from tetkik.report.labeler.phrases import Hit, Lexicon
from tetkik.report.labeler.text import words_of

_SINGLE = ("a", "an", "first")
_WORDS = {
    Language.EN: "zero one two three four five six seven eight nine ten eleven twelve",
    Language.TR: "sifir bir iki uc dort bes alti yedi sekiz dokuz",
}
_TENS = {
    Language.EN: {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90},
    Language.TR: {"on": 10, "yirmi": 20, "otuz": 30, "kirk": 40, "elli": 50, "altmis": 60, "doksan": 90},
}
_NUMBERS = {
    language: {word: value for value, word in enumerate(line.split())} for language, line in _WORDS.items()
}
_NUMBERS[Language.EN] |= dict.fromkeys(_SINGLE, 1)
_UNITS = {
    "hour": r"hours?|hourly|saat\w*",
    "day": r"days?|daily|gun\w*",
    "week": r"weeks?|weekly|hafta\w*",
    "month": r"months?|monthly|ay|ay(?:lik|da|dan|i|in|a)",
    "year": r"years?|yearly|yil\w*",
}
_TO = frozenset(("-", "–", "to", "and", "or", "ila", "ile", "ve", "veya", "ya", "da"))

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
def numbers_of(text: str, language: Language) -> frozenset[str]:
    """The numbers of a text in digits: *two weeks* is 2, *a month* is 1.

    Turkish ones in words only as how long: *altı* is below as well, and *uç* and *ön* are folded to numbers.
    """
    words, english = words_of(text).texts, _NUMBERS[Language.EN]
    spelled = {str(english[word]) for word in words if word in english}
    spelled |= {str(number) for (number, _), _ in intervals_in(words, language)}
    return frozenset(spelled.union(*(re.findall(r"\d+", word) for word in words)))


def intervals_in(words: Sequence[str], language: Language) -> Iterator[tuple[tuple[int, str], int]]:
    """Numbers of hours, days, weeks, months and years, each with the place of its last word."""
    ones, tens = _NUMBERS[language], _TENS[language]
    found: list[tuple[int, int]] = []
    for place, word in enumerate(words):
        if word.isdecimal() or word in ones or word in tens:
            number = int(word) if word.isdecimal() else ones.get(word, tens.get(word, 0))
            before = words[place - 1] if found else ""
            if before in _SINGLE:
                found.pop()  # "a 6-week interval"
            elif before in tens and word in ones:
                number += found.pop()[0]  # "on iki" is 12
            found.append((number, place))
        else:
            unit = next((name for name, form in _UNITS.items() if re.fullmatch(form, word)), None)
            yield from (((each, unit), where) for each, where in found if unit)
            found = found if word in _TO else []


def parts_of(words: Sequence[str]) -> list[int]:
    """The number of the part of a sentence in which each word stands: marks and joining words divide them."""
    parts, part = [], 0
    for word in words:
        part += word in _DIVIDING
        parts.append(part)
    return parts
