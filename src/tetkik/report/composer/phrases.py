"""The words of the composer, read once from `tr.toml` and `en.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from tetkik import turkish
from tetkik.language import Language
from tetkik.report.facts import Facts, Present
from tetkik.values import NORMAL_LABELS, Certainty, Section, Side, finding_label, label_name


@dataclass(frozen=True, slots=True)
class Phrases:
    """What a report is said with, in one language."""

    language: Language
    table: dict[str, Any]

    def technique(self, key: str) -> str:
        return str(self.table["technique"][key])

    def sentence(self, name: str, **values: str) -> str:
        """A sentence with its slots filled, beginning with a capital letter."""
        return capital(str(self.table["sentences"][name]).format(**values), self.language)

    def normal(self, label: str, section: Section, certainty: Certainty) -> str:
        """That nothing is wrong, as surely as its certainty allows."""
        key = "no_tumor" if label == "No_Tumor" else "normal"
        return str(self.table[key][section][certainty])

    def asserted(self, items: Sequence[Present]) -> str:
        """The sentence that asserts findings of one form, place, side and certainty."""
        first = items[0]
        return self.stated([item.label for item in items], first.certainty, first.side)

    def stated(self, labels: Sequence[str], certainty: Certainty, side: Side | None) -> str:
        """The same of labels; a normal one says that nothing is wrong."""
        if labels[0] in NORMAL_LABELS:
            return self.normal(labels[0], Section.FINDINGS, certainty)
        return self._filled("forms", labels, self.listed(labels, "and", articles=True), certainty, side)

    def concluded(self, item: Present) -> str:
        return self.line(item.label, item.certainty, item.side)

    def line(self, label: str, certainty: Certainty, side: Side | None) -> str:
        """The line of an impression about a label."""
        if label in NORMAL_LABELS:
            return self.normal(label, Section.IMPRESSION, certainty)
        return self._filled("lines", [label], self.name(label), certainty, side)

    def name(self, label: str) -> str:
        """The finding as it is named inside a sentence; a label of the model's own as it is spelt."""
        name = label_name(label, self.language)
        # "COVID-19" and other names in capitals stay.
        if not name[1:].islower():
            return name
        return (turkish.lower(name[0]) if self.language is Language.TR else name[0].lower()) + name[1:]

    def listed(self, labels: Sequence[str], joint: str, *, articles: bool = False) -> str:
        """Names as a list: commas, and before the last the word `joint`, `and` or `or`."""
        articles = articles and self.language is Language.EN
        names = [
            f"{finding_label(label).article if articles else ''} {self.name(label)}".strip()
            for label in labels
        ]
        comma, last = self.table["lists"]["comma"], self.table["lists"][joint]
        return comma.join(names[:-1]) + last + names[-1] if len(names) > 1 else "".join(names)

    def _filled(
        self, kind: str, labels: Sequence[str], findings: str, certainty: Certainty, side: Side | None
    ) -> str:
        known, appearances = finding_label(labels[0]), self.table.get("appearance", {})
        where = "" if side is None or not known.paired else self.table["where"][known.place][side]
        seen = {appearances.get(label) for label in labels}
        appearance = (seen.pop() if len(seen) == 1 else None) or appearances.get("others")
        form = str(self.table[kind][known.form][certainty])
        sentence = form.format(where=where, findings=findings, appearance=appearance)
        return capital(sentence, self.language)


@cache
def phrases(language: Language) -> Phrases:
    """The words of one language."""
    text = resources.files(__package__).joinpath(f"{language.value}.toml").read_text("utf-8")
    return Phrases(language, tomllib.loads(text))


def definite(label: str, side: Side | None, language: Language) -> str:
    """The sentence of the findings about one finding that a person has accepted: it is there."""
    return phrases(language).stated([label], Certainty.CERTAIN, side)


def definite_impression(label: str, side: Side | None, language: Language) -> str:
    """The line of the impression about the same."""
    return phrases(language).line(label, Certainty.CERTAIN, side)


def hedged(label: str, certainty: Certainty, side: Side | None, language: Language) -> str:
    """The sentence about one finding alone, as surely as it was drafted together with others."""
    return phrases(language).stated([label], certainty, side)


def asked_sentence(facts: Facts, language: Language) -> str | None:
    """The clinical question in the report's own words; None where the history names no finding by itself."""
    words, asked = phrases(language), facts.asked
    return words.sentence("asked", findings=words.listed(asked, "or")) if asked else None


def capital(text: str, language: Language) -> str:
    """`text` with a capital letter first; in Turkish `i` becomes `İ`."""
    first = text[:1]
    if language is Language.TR and first == "i":
        return "İ" + text[1:]
    return first.upper() + text[1:]
