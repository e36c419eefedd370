"""Structured normals: the normal sentence of each part of an image that nothing is said of yet."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources

from tetkik.language import Language
from tetkik.report.labeler import Context, read_report
from tetkik.turkish import flat
from tetkik.values import DraftSentence, Section

_CLAIMS = (Section.FINDINGS, Section.IMPRESSION)


@dataclass(frozen=True, slots=True)
class NormalPart:
    """A part of an image with its normal sentence in one language."""

    route: str
    language: Language
    labels: frozenset[str]
    abbreviation: str
    name: str
    text: str
    words: re.Pattern[str]


@cache
def normal_parts(language: Language) -> tuple[NormalPart, ...]:
    """Every part, in the order in which a report speaks of them."""
    table = tomllib.loads(resources.files("tetkik.report").joinpath("normals.toml").read_text("utf-8"))
    return tuple(
        NormalPart(
            item["route"],
            language,
            frozenset(item["labels"]),
            **{key: item[language][key] for key in ("abbreviation", "name", "text")},
            words=re.compile(item[language]["words"]),
        )
        for item in table["part"]
    )


def unmentioned(
    route: str, language: Language, sentences: Iterable[tuple[DraftSentence, bool]], found: Collection[str]
) -> tuple[NormalPart, ...]:
    """The parts of which nothing speaks.

    Args:
        sentences: each with whether a person wrote it.
        found: labels that are positive or uncertain.
    """
    spoken = [
        _subjects(item, by_person, language) for item, by_person in sentences if item.section in _CLAIMS
    ]
    return tuple(
        part
        for part in normal_parts(language)
        if part.route == route
        and part.labels.isdisjoint(found)
        and not any(part.labels & labels or part.words.search(text) for labels, text in spoken)
    )


def _subjects(sentence: DraftSentence, by_person: bool, language: Language) -> tuple[frozenset[str], str]:
    """The findings that a sentence speaks of, and its folded words.

    A machine's sentence that lists what it could not assess says nothing of the image, only of the model.
    """
    readings = read_report(sentence.text, language)
    mentions = [mention for reading in readings for mention in reading.mentions]
    if not by_person and mentions and all(item.context is Context.NOT_ASSESSED for item in mentions):
        return frozenset(), ""
    return frozenset(item.label for item in mentions), flat(sentence.text)
