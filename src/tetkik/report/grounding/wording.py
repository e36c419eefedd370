"""What the grounding check finds by words alone: numbers, names, what is no sentence of a report."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import resources

from tetkik.language import Language
from tetkik.privacy import find_personal
from tetkik.report.facts import Facts
from tetkik.report.labeler.read import words_of
from tetkik.report.labeler.rules import rules_of
from tetkik.turkish import flat
from tetkik.values import FINDING_LABELS, label_name

LONGEST = 1200
"""Characters of a sentence; a longer one is none."""
_NUMBER = r"(?:\d{1,9}(?:[.,]\d{1,9})?|[½¼¾])"
_LIST = re.compile(r"\s*\(?\d{1,2}[.)]\s")
_CODE = re.compile(r"<[a-z/!][^>]{0,80}>?|\{\{?|\}\}?|https?:|www\.|```|\$\{|\\u00|&(?:#\d|[a-z]{2,6};)")
_HOLE = re.compile(r"\bx{3,}\b|_{3,}")
# What is not seen (marks of direction, characters without width, controls) or is of another script: either
# may hide a word from its reader or from this check.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffd"
    "\u0400-\u1cff\u2c00-\ufb4f\ufe00-\ufe0f\uff00-\uffef\U00010000-\U0010ffff]+"
)


_OWN = re.compile("[^A-Za-zÇĞİÖŞÜçğıöşüÂÎÛâîûÉéµ\\W\\d_]+|[\u0300-\u036f]+")
"""Letters that neither Turkish nor English has, and loose accents: whole words of them look like ours."""
_SPACED = re.compile(r"(?<!\w)(?:[^\W\d_][ .\-·*_]{1,2}){2,}[^\W\d_](?!\w)")
_ALONE = r"(?<!\w)"
_UNIT = re.compile(r"(\d)([^\W\d_]|%)")
_HYPHENED = re.compile(r"[^\W\d_]+-\s+(?!(?:and|or|to|ve|veya|ya)\b)[^\W\d_]+")
"""A word over two lines; not *right- and left-sided*."""
_BETWEEN = frozenset("/'’`´·-~|\\")
_LONGEST_SPLIT = 4
_SHORTEST_STEM = 5


@cache
def _vocabulary() -> dict[str, dict[str, list[str]]]:
    return tomllib.loads(resources.files(__package__).joinpath("words.toml").read_text("utf-8"))


def entries(table: str, name: str) -> list[str]:
    """One list of `words.toml` as it is written."""
    return _vocabulary()[table][name]


@cache
def words(table: str, name: str) -> re.Pattern[str]:
    """One list of `words.toml` as a pattern for whole words of folded text; `*` at the end is any ending."""
    longest_first = sorted(_vocabulary()[table][name], key=len, reverse=True)
    parts = (
        re.escape(entry.rstrip("*")) + (r"\w*" if entry.endswith("*") else r"(?!\w)")
        for entry in longest_first
    )
    return re.compile(rf"{_ALONE}(?:{'|'.join(parts)})")


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Numbers in digits, and in words."""
    units = words("numbers", "units").pattern.removeprefix(_ALONE)
    counted = words("numbers", "counted").pattern
    return (
        re.compile(
            rf"(?P<share>%\s?){_NUMBER}|{_NUMBER}(?P<by>\s?[x×]\s?{_NUMBER}){{0,3}}(?P<unit>\s?{units})?"
        ),
        re.compile(rf"{words('numbers', 'words').pattern}\s(?:\w+\s){{0,2}}?{counted}"),
    )


def overlap(start: int, end: int, places: Iterable[tuple[int, int]]) -> bool:
    """Whether a place has a character in common with one of `places`."""
    return any(first < end and start < last for first, last in places)


def numbers_in(text: str, *, bare: bool = True) -> Iterator[tuple[int, int]]:
    """Where a number stands, in digits or in words that count something.

    A number that is part of a name (COVID-19, T2) or that numbers a line of a list is none; nor, unless
    `bare`, one without a unit, which in a person's text may be a date or a rib.
    """
    plain = flat(text).replace("-", " ")
    digits, spoken = _patterns()
    taken = [match.span() for match in words("numbers", "names").finditer(plain)]
    if listed := _LIST.match(plain):
        taken.append(listed.span())
    found = [
        match
        for match in digits.finditer(plain)
        if bare or any(match[part] for part in ("share", "by", "unit"))
    ]
    for match in (*found, *spoken.finditer(plain)):
        inside_word = match.start() and plain[match.start() - 1].isalpha()
        if not inside_word and not overlap(*match.span(), taken):
            yield match.span()


def spoken_numbers(text: str) -> set[str]:
    """The numbers of a text, to be compared with those of another."""
    plain = flat(text)
    return {_spelled(plain[start:end]) for start, end in numbers_in(text)}


def _spelled(number: str) -> str:
    """A number with its unit behind it: `%91` and `91%` are `91 %`."""
    digits = number.removeprefix("%").strip()
    return " ".join(_UNIT.sub(r"\1 \2", digits + (" %" if digits != number else "")).split())


def foreign_in(text: str, *, holes: bool = True) -> Iterator[tuple[int, int]]:
    """Where a sentence says what no report says; `holes` (`___`) are left alone in a text made anonymous."""
    plain = flat(text)
    for pattern in (words("foreign", "machine"), _CODE, *((_HOLE,) if holes else ())):
        yield from (match.span() for match in pattern.finditer(plain))
    yield from (match.span() for match in _HIDDEN.finditer(text))
    yield from ((found.start, found.end) for found in find_personal(text))
    if len(" ".join(text.split())) > LONGEST or not any(char.isalpha() for char in text):
        yield 0, len(text)


def hidden_in(text: str, language: Language) -> Iterator[tuple[int, int]]:
    """Where letters of no Turkish or English word stand, or a finding's name is taken apart: `pnö mo ni`."""
    yield from (match.span() for match in _OWN.finditer(text))
    yield from (match.span() for match in _SPACED.finditer(text))
    yield from (match.span() for match in _HYPHENED.finditer(text))
    parts = words_of(text)
    rules = rules_of(language, signs=True)
    findings, slips = rules.findings, rules.slips
    pieces = [
        part.isalpha()
        and not (len(part) >= _SHORTEST_STEM and findings.fits(part))
        and not (slips is not None and slips.knows(part))
        for part in parts.texts
    ]
    places = [place for place, part in enumerate(parts.texts) if part not in _BETWEEN]
    unbroken = len(places) == len(parts.texts)
    for first in range(len(places)):
        if unbroken and not pieces[first]:
            continue
        for count in range(2, _LONGEST_SPLIT + 1):
            taken = places[first : first + count]
            if len(taken) < count or not all(parts.texts[place].isalpha() for place in taken):
                break
            signs = taken[-1] - taken[0] >= count  # between the pieces, which may be whole words then
            if not signs and not all(pieces[place] for place in taken):
                break
            split = [parts.texts[place] for place in taken]
            stem = findings.stem("".join(split))
            if len(stem) >= _SHORTEST_STEM and len(stem) > len("".join(split[:-1])):
                yield parts.span(taken[0], taken[-1])


def own_names(text: str, facts: Facts, language: Language) -> dict[str, tuple[int, int]]:
    """The model's own labels that `text` names as the model spells them, with the place of the first time."""
    own = facts.labels - set(FINDING_LABELS)
    plain = flat(text) if own else ""
    found = {}
    for label in sorted(own):
        for name in (label_name(label, language), label.replace("_", " ")):
            place = plain.find(flat(name))
            if place >= 0:
                found[label] = (place, place + len(name))
                break
    return found
