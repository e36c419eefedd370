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
from tetkik.values import Certainty, Section, finding_label, label_name


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
        return self._filled("forms", items, self.listed([item.label for item in items], "and", articles=True))

    def concluded(self, item: Present) -> str:
        return self._filled("lines", [item], self.name(item.label))

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

    def _filled(self, kind: str, items: Sequence[Present], findings: str) -> str:
        first, known = items[0], finding_label(items[0].label)
        place = self.table["where"][known.place]
        where = place[first.side] if first.side is not None else ""
        form = str(self.table[kind][known.form][first.certainty])
        return capital(form.format(where=where, findings=findings), self.language)


@cache
def phrases(language: Language) -> Phrases:
    """The words of one language."""
    text = resources.files(__package__).joinpath(f"{language.value}.toml").read_text("utf-8")
    return Phrases(language, tomllib.loads(text))


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
