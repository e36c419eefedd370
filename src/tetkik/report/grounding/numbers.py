"""Numbers that nobody measured: sizes, counts, percentages."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from tetkik.report.grounding.vocabulary import alternatives, vocabulary
from tetkik.turkish import flat

_NUMBER = r"(?:\d{1,9}(?:[.,]\d{1,9})?|[½¼¾])"
_LIST = re.compile(r"\s*\(?\d{1,2}[.)]\s")


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    numbers = vocabulary()["numbers"]
    units = alternatives(numbers["units"])
    return (
        re.compile(alternatives(numbers["names"])),
        re.compile(
            rf"(?P<share>%\s?){_NUMBER}|{_NUMBER}(?P<by>\s?[x×]\s?{_NUMBER}){{0,3}}(?P<unit>\s?{units})?"
        ),
        re.compile(rf"{alternatives(numbers['words'])}\s(?:\w+\s){{0,2}}?{alternatives(numbers['counted'])}"),
    )


def numbers_in(text: str, *, bare: bool = True) -> Iterator[tuple[int, int]]:
    """Where a number stands, in digits or in words that count something.

    A number that is part of a name (COVID-19, T2) or that numbers a line of a list is none.

    Args:
        bare: whether a number without a unit counts too; in a person's text it may be a date or a rib.
    """
    plain = flat(text).replace("-", " ")
    names, digits, words = _patterns()
    taken = [match.span() for match in names.finditer(plain)]
    if listed := _LIST.match(plain):
        taken.append(listed.span())
    found = [
        match
        for match in digits.finditer(plain)
        if bare or any(match[part] for part in ("share", "by", "unit"))
    ]
    for match in (*found, *words.finditer(plain)):
        inside_word = match.start() and plain[match.start() - 1].isalpha()
        if not inside_word and not any(start < match.end() and match.start() < end for start, end in taken):
            yield match.span()


def spoken_numbers(text: str) -> set[str]:
    """The numbers of a text, to be compared with those of another."""
    plain = flat(text)
    return {" ".join(plain[start:end].split()) for start, end in numbers_in(text)}
