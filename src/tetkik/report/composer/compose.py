"""From the facts to a draft: technique, findings, impression, recommendation, as a report is read.

How sure a sentence sounds follows the calibrated probability (`report.facts.certainty_of`):

| probability | word | Turkish | English |
|---|---|---|---|
| 0.90 and more | certain | izlenmektedir | there is |
| 0.60 to 0.90 | probable | büyük olasılıkla … ile uyumlu | there is probably |
| below 0.60, none, or uncertain | possible | … ile uyumlu olabilecek | there may be |

One word, the last, stands for all three where the bundle's held-out precision does not tell them apart.
A diagnosis is never seen itself: *pnömoni ile uyumlu görünüm*, *appearances are consistent with pneumonia*.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Any

from tetkik import turkish
from tetkik.language import Language, Sentence
from tetkik.report.facts import ChangeKind, Facts, Present
from tetkik.values.finding_labels import NORMAL_LABELS, finding_label, label_name
from tetkik.values.radiograph import Route
from tetkik.values.report import (
    Basis,
    BasisKind,
    Certainty,
    Draft,
    DraftSentence,
    Passage,
    PassageKind,
    Section,
    Side,
)

# The words of the composer, read once from `tr.toml` and `en.toml`.


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


_HISTORY, _IMAGE = "history:text", Basis(BasisKind.TECHNIQUE, "image").id
IMPRESSIONS = 3
SLICES = "SLICES"
"""The technique of a brain MRI of which several slices were read."""
_PROJECTIONS = frozenset({"PA", "AP", "PA, LATERAL", "AP, LATERAL"})


def compose(facts: Facts, passages: Sequence[Passage], language: Language) -> Draft:
    """Write a draft; the same facts give the same draft. Of an image that no model reads it has no sentence.

    What `passages` say of follow-up becomes the recommendation, word for word.
    """
    notices = tuple(_notices(facts))
    if facts.refused:
        return Draft(language, (), facts.bases(), model=facts.model, notices=notices)
    words = phrases(language)
    sentences = (
        *_technique(facts, words),
        *_findings(facts, words),
        *_impression(facts, words),
        *_recommendation(facts, passages, words),
    )
    return Draft(
        language,
        sentences,
        facts.bases(),
        cited(passages, sentences),
        model=facts.model,
        notices=notices,
        not_assessed=facts.not_assessed,
    )


def _notices(facts: Facts) -> Iterator[Sentence]:
    """What the reader is told beside the draft: none of it is a sentence of a report."""
    if facts.refused:
        yield Sentence("No model reads this image; choose a template, or write the report.")
    elif not facts.present:
        if facts.suggested:
            yield Sentence(
                "What the model found does not reach the certainty that a draft asks for; it is among the "
                "findings."
            )
        else:
            yield Sentence(
                "No finding reaches the model's threshold; that does not mean that the image is normal."
            )
    yield from facts.warnings
    if facts.inputs.caption:
        yield Sentence("An automatic caption was given; a caption adds no finding.")


def cited(passages: Sequence[Passage], sentences: Sequence[DraftSentence]) -> tuple[Passage, ...]:
    """Those of `passages` that a sentence cites."""
    ids = {name for sentence in sentences for name in sentence.evidence}
    return tuple(passage for passage in passages if f"passage:{passage.id}" in ids)


def _technique(facts: Facts, words: Phrases) -> Iterator[DraftSentence]:
    if facts.route is Route.BRAIN_MRI:
        key = "brain_mri_slices" if facts.inputs.technique == SLICES else "brain_mri"
    elif facts.route is Route.CHEST:
        key = facts.inputs.technique if facts.inputs.technique in _PROJECTIONS else "chest"
    else:
        key = "unknown"
    yield DraftSentence(words.technique(key), Section.TECHNIQUE, (_IMAGE,))
    if text := asked_sentence(facts, words.language):
        yield DraftSentence(text, Section.TECHNIQUE, (_HISTORY,))
    if facts.changes:
        prior = Basis(BasisKind.PRIOR, "image")
        yield DraftSentence(words.sentence("compared"), Section.TECHNIQUE, (prior.id,))


def _findings(facts: Facts, words: Phrases) -> Iterator[DraftSentence]:
    """Region by region what is there and what is not; then what changed."""
    for item in facts.present if facts.normal else ():
        text = words.normal(item.label, Section.FINDINGS, item.certainty)
        yield _sentence(text, Section.FINDINGS, (item,))
    absent = [basis.key for basis in facts.absent]
    labels = [item.label for item in facts.abnormal] + absent
    for region in sorted({_region(label) for label in labels}):
        here = [item for item in facts.abnormal if _region(item.label) == region]
        for group in _joined(here):
            yield _sentence(words.asserted(group), Section.FINDINGS, group)
        if gone := sorted((label for label in absent if _region(label) == region), key=_place):
            text = words.sentence("absent", findings=words.listed(gone, "or"))
            ids = tuple(f"{BasisKind.ABSENCE}:{label}" for label in gone)
            yield DraftSentence(text, Section.FINDINGS, ids)
    yield from _changes(facts, words)


def _joined(items: Iterable[Present]) -> Iterator[tuple[Present, ...]]:
    """Findings that one sentence can assert: the same place, side, form and certainty; the surest first."""
    sure = list(Certainty)

    def alike(item: Present) -> tuple[int, bool, str, str]:
        known = finding_label(item.label)
        return (sure.index(item.certainty), known.form == "compatible", known.place, item.side or "")

    ordered = sorted(items, key=lambda item: (alike(item), *_place(item.label)))
    for _, group in groupby(ordered, key=alike):
        yield tuple(group)


def _changes(facts: Facts, words: Phrases) -> Iterator[DraftSentence]:
    for kind in ChangeKind:
        labels = sorted((label for label, found in facts.changes.items() if found is kind), key=_place)
        if labels:
            name = "gone_many" if kind is ChangeKind.GONE and len(labels) > 1 else kind
            text = words.sentence(name, findings=words.listed(labels, "and"))
            ids = tuple(f"{BasisKind.PRIOR}:{label}" for label in labels)
            yield DraftSentence(text, Section.FINDINGS, ids)


def _impression(facts: Facts, words: Phrases) -> Iterator[DraftSentence]:
    """At most `IMPRESSIONS`: whoever reads only this part reads what somebody must act on."""
    for item in _by_urgency(facts)[:IMPRESSIONS]:
        yield _sentence(words.concluded(item), Section.IMPRESSION, (item,))
    for item in facts.present if facts.normal else ():
        text = words.normal(item.label, Section.IMPRESSION, item.certainty)
        yield _sentence(text, Section.IMPRESSION, (item,))


def _recommendation(facts: Facts, passages: Sequence[Passage], words: Phrases) -> Iterator[DraftSentence]:
    """One: what is usually recommended for the most urgent finding, in the words of its passage.

    The passages about the other impressions are cited with it, for a reader who wants their advice.
    """
    about = {
        passage.label: passage
        for passage in reversed(passages)
        if passage.kind is PassageKind.FOLLOW_UP and passage.language is words.language
    }
    found = [item for item in _by_urgency(facts)[:IMPRESSIONS] if item.label in about]
    if found:
        ids = [f"{BasisKind.PASSAGE}:{about[item.label].id}" for item in found]
        text = about[found[0].label].text
        yield DraftSentence(text, Section.RECOMMENDATION, (found[0].basis.id, *dict.fromkeys(ids)))


def _by_urgency(facts: Facts) -> list[Present]:
    """What was found, what somebody must act on first before the rest; then the more probable."""
    return sorted(facts.abnormal, key=lambda item: finding_label(item.label).urgency)


def _sentence(text: str, section: Section, items: Sequence[Present]) -> DraftSentence:
    return DraftSentence(text, section, tuple(item.basis.id for item in items), items[0].certainty)


def _region(label: str) -> int:
    return finding_label(label).reading_order[0]


def _place(label: str) -> tuple[tuple[int, int], str]:
    return (finding_label(label).reading_order, label)
