"""Structured normals: the normal sentence of each part of an image that nothing is said of yet."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from tetkik.language import Language
from tetkik.report.labeler import Context, read_report
from tetkik.turkish import flat
from tetkik.values import DraftSentence, Route, Section, View

_CLAIMS = (Section.FINDINGS, Section.IMPRESSION)


class Examination(StrEnum):
    """What a normal report is about."""

    CHEST = "chest"
    """Of a projection that nothing states."""
    CHEST_PA = "chest_pa"
    CHEST_AP = "chest_ap"
    """At the bedside."""
    CHEST_LATERAL = "chest_lateral"
    BRAIN_MRI = "brain_mri"
    BRAIN_SLICE = "brain_slice"
    """Of fewer slices than show a whole brain."""


_WHOLE_BRAIN = 10
"""Slices that a study of a whole brain has at the least."""


@dataclass(frozen=True, slots=True)
class ImagedStudy:
    """What a study shows, as its files say: what a normal sentence needs is looked for here.

    Attributes:
        slices: images, and frames of those that have several.
        series: what its series are called, folded.
    """

    route: Route | None
    views: frozenset[View]
    slices: int = 1
    series: str = ""

    @property
    def examination(self) -> Examination | None:
        """Whose normal sentences hold for it; None where there are none."""
        if self.route is Route.BRAIN_MRI:
            return Examination.BRAIN_MRI if self.slices >= _WHOLE_BRAIN else Examination.BRAIN_SLICE
        if self.route is not Route.CHEST:  # a hand has a PA film, too
            return None
        projections = {
            View.PA: Examination.CHEST_PA,
            View.AP: Examination.CHEST_AP,
            View.LATERAL: Examination.CHEST_LATERAL,
        }
        known = (examination for view, examination in projections.items() if view in self.views)
        return next(known, Examination.CHEST)


@dataclass(frozen=True, slots=True)
class NormalPart:
    """A part of an image with its normal sentence in one language."""

    language: Language
    labels: frozenset[str]
    abbreviation: str
    name: str
    text: str
    words: re.Pattern[str]
    needs: re.Pattern[str] | None
    """What a series is called that shows it; None where every image of the examination does."""


@dataclass(frozen=True, slots=True)
class NormalReport:
    """A whole normal report of one examination; `parts` in the order in which a report speaks of them."""

    examination: Examination
    language: Language
    name: str
    technique: str
    impression: str
    parts: tuple[NormalPart, ...]

    @property
    def template(self) -> str:
        """The same as a hospital's template, to be adapted."""
        findings = "\n".join(part.text for part in self.parts)
        own = (("technique", self.technique), ("findings", findings), ("impression", self.impression))
        return "\n\n".join(f"{{{slot}}}\n{text}" for slot, text in own)

    def shown_by(self, study: ImagedStudy) -> NormalReport:
        """The same with the parts alone that a study shows."""
        shown = [part for part in self.parts if part.needs is None or part.needs.search(study.series)]
        return replace(self, parts=tuple(shown))

    def completed(
        self, sentences: Iterable[tuple[DraftSentence, bool]], found: Collection[str]
    ) -> tuple[DraftSentence, ...]:
        """The sentences of a draft with what is normal beside them; arguments as of `unmentioned`.

        Nothing is said of a part that the draft speaks of; a technique or an impression only where there is
        none. An impression that the image is normal is not put under findings that are there.
        """
        given = tuple(sentences)
        draft = [item for item, _ in given]
        there = {item.section for item in draft}
        left = unmentioned(self.parts, given, found)
        added = [DraftSentence(part.text, Section.FINDINGS) for part in left]
        if Section.TECHNIQUE not in there:
            added.append(DraftSentence(self.technique, Section.TECHNIQUE))
        if Section.IMPRESSION not in there and left == self.parts and not found:
            added.append(DraftSentence(self.impression, Section.IMPRESSION))
        return tuple(item for section in Section for item in (*draft, *added) if item.section is section)


@cache
def normal_report(examination: Examination, language: Language) -> NormalReport:
    """The built-in normal report of an examination."""
    table = _table()
    own = table["examination"][examination][language]
    parts = []
    for item in table["part"]:
        if examination in item["examinations"]:
            words = item[language]
            parts.append(
                NormalPart(
                    language,
                    frozenset(item["labels"]),
                    words["abbreviation"],
                    words["name"],
                    words.get(examination, words["text"]),
                    re.compile(words["words"]),
                    re.compile(item["needs"]) if "needs" in item else None,
                )
            )
    return NormalReport(examination, language, **own, parts=tuple(parts))


def normal_parts(language: Language) -> tuple[NormalPart, ...]:
    """Every part of the images that a model reads."""
    whole = (Examination.CHEST_PA, Examination.BRAIN_MRI)
    return tuple(part for item in whole for part in normal_report(item, language).parts)


@cache
def normal_texts(label: str, language: Language) -> frozenset[str]:
    """The normal sentences that cannot stand beside a finding: of its part of an image, and of the whole."""
    reports = [normal_report(examination, language) for examination in Examination]
    parts = {part.text for report in reports for part in report.parts if label in part.labels}
    return frozenset(parts | {report.impression for report in reports})


def unmentioned(
    parts: Iterable[NormalPart], sentences: Iterable[tuple[DraftSentence, bool]], found: Collection[str]
) -> tuple[NormalPart, ...]:
    """Those of `parts` of which nothing speaks.

    Args:
        sentences: each with whether a person wrote it.
        found: labels that are stated, accepted or added.
    """
    parts = tuple(parts)
    if not parts:
        return ()
    language = parts[0].language
    spoken = [
        _subjects(item, by_person, language) for item, by_person in sentences if item.section in _CLAIMS
    ]
    return tuple(
        part
        for part in parts
        if part.labels.isdisjoint(found)
        and not any(part.labels & labels or part.words.search(text) for labels, text in spoken)
    )


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("tetkik.report").joinpath("normals.toml").read_text("utf-8"))


def _subjects(sentence: DraftSentence, by_person: bool, language: Language) -> tuple[frozenset[str], str]:
    """The findings that a sentence speaks of, and its folded words.

    A machine's sentence that lists what it could not assess says nothing of the image, only of the model.
    """
    readings = read_report(sentence.text, language)
    mentions = [mention for reading in readings for mention in reading.mentions]
    if not by_person and mentions and all(item.context is Context.NOT_ASSESSED for item in mentions):
        return frozenset(), ""
    return frozenset(item.label for item in mentions), flat(sentence.text)
