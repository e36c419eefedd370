"""From the facts to a draft: technique, findings, impression, recommendation, as a report is read.

How sure a sentence sounds follows the calibrated probability (`report.facts.certainty_of`):

| probability | word | Turkish | English |
|---|---|---|---|
| 0.90 and more | certain | izlenmektedir | there is |
| 0.60 to 0.90 | probable | büyük olasılıkla … mevcuttur | there is probably |
| below 0.60, none, or uncertain | possible | … olabilir | there may be |

A diagnosis is never seen itself: *pnömoni ile uyumlu görünüm*, *the appearance is consistent with pneumonia*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from tetkik.language import Language, Sentence
from tetkik.report.composer.phrases import Phrases, phrases, standing_sentence
from tetkik.report.facts import ChangeKind, Facts, Present
from tetkik.settings import Unproven, settings
from tetkik.values import (
    Basis,
    BasisKind,
    Certainty,
    Draft,
    DraftSentence,
    Passage,
    PassageKind,
    Route,
    Section,
    finding_label,
)

_QUALITY, _HISTORY = "quality:image", "history:text"
_IMAGE, _LABELS = Basis(BasisKind.TECHNIQUE, "image").id, Basis(BasisKind.NOT_ASSESSED, "labels").id
SLICES = "SLICES"
"""The technique of a brain MRI of which several slices were read."""
_PROJECTIONS = frozenset({"PA", "AP", "PA, LATERAL", "AP, LATERAL"})


def compose(facts: Facts, passages: Sequence[Passage], language: Language) -> Draft:
    """Write a draft; the same facts give the same draft, and other facts another.

    What `passages` say of follow-up becomes the recommendation, word for word.
    """
    words = phrases(language)
    sentences = (
        *_technique(facts, words),
        *_findings(facts, words),
        *_impression(facts, words),
        *_recommendation(facts, passages, words),
    )
    notices: tuple[Sentence, ...] = ()
    if facts.inputs.caption:
        notices = (Sentence("An automatic caption was given; a caption adds no finding."),)
    return Draft(
        language,
        sentences,
        facts.bases(),
        cited(passages, sentences),
        model=facts.model,
        notices=notices,
    )


def cited(passages: Sequence[Passage], sentences: Sequence[DraftSentence]) -> tuple[Passage, ...]:
    """Those of `passages` that a sentence cites."""
    ids = {name for sentence in sentences for name in sentence.evidence}
    return tuple(passage for passage in passages if f"passage:{passage.id}" in ids)


def _technique(facts: Facts, words: Phrases) -> Iterator[DraftSentence]:
    if facts.refused:
        key = "refused"
    elif facts.route is Route.BRAIN_MRI:
        key = "brain_mri_slices" if facts.inputs.technique == SLICES else "brain_mri"
    elif facts.route is Route.CHEST:
        key = facts.inputs.technique if facts.inputs.technique in _PROJECTIONS else "chest"
    else:
        key = "unknown"
    yield DraftSentence(words.technique(key), Section.TECHNIQUE, (_QUALITY if facts.refused else _IMAGE,))
    for text in facts.warnings_in(words.language):
        yield DraftSentence(text, Section.TECHNIQUE, (_QUALITY,))
    if facts.question:
        text = words.sentence("history", text=facts.question)
        yield DraftSentence(text, Section.TECHNIQUE, (_HISTORY,))
    if facts.compared:
        prior = Basis(BasisKind.PRIOR, "image")
        yield DraftSentence(words.sentence("compared"), Section.TECHNIQUE, (prior.id,))


def _findings(facts: Facts, words: Phrases) -> Iterator[DraftSentence]:
    """Region by region what is there and what is not; then what changed, and what nothing can be said of."""
    if facts.refused:
        return
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
    yield from _silences(facts, words)


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


def _silences(facts: Facts, words: Phrases) -> Iterator[DraftSentence]:
    """What nothing can be said about, each kind once."""
    groups = {"not_assessed": facts.not_assessed}
    if settings().report_unproven is Unproven.NAMED:
        # An image that is called normal is so as a whole; that no single finding is excluded is said with it.
        groups = {"overall" if facts.normal else "unproven": facts.unproven, **groups}
    for name, labels in groups.items():
        if labels:
            listed = words.listed(sorted(labels, key=_place), "and")
            yield DraftSentence(words.sentence(name, findings=listed), Section.FINDINGS, (_LABELS,))


def _impression(facts: Facts, words: Phrases) -> Iterator[DraftSentence]:
    for item in _by_urgency(facts):
        yield _sentence(words.concluded(item), Section.IMPRESSION, (item,))
    for item in facts.present if facts.normal else ():
        text = words.normal(item.label, Section.IMPRESSION, item.certainty)
        yield _sentence(text, Section.IMPRESSION, (item,))
    if standing := standing_sentence(facts, words.language):
        yield DraftSentence(standing, Section.IMPRESSION, (_QUALITY if facts.refused else _IMAGE,))


def _recommendation(facts: Facts, passages: Sequence[Passage], words: Phrases) -> Iterator[DraftSentence]:
    """What is usually recommended, in the words of the passages, each finding once."""
    if facts.refused:
        if not facts.other_kind:
            yield DraftSentence(words.sentence("repeat"), Section.RECOMMENDATION, (_QUALITY,))
        return
    about = {
        passage.label: passage
        for passage in reversed(passages)
        if passage.kind is PassageKind.FOLLOW_UP and passage.language is words.language
    }
    for item in _by_urgency(facts):
        passage = about.get(item.label)
        if passage is not None:
            ids = (item.basis.id, f"{BasisKind.PASSAGE}:{passage.id}")
            yield DraftSentence(passage.text, Section.RECOMMENDATION, ids)


def _by_urgency(facts: Facts) -> list[Present]:
    """What was found, what somebody must act on first before the rest; then the more probable."""
    return sorted(facts.abnormal, key=lambda item: finding_label(item.label).urgency)


def _sentence(text: str, section: Section, items: Sequence[Present]) -> DraftSentence:
    return DraftSentence(text, section, tuple(item.basis.id for item in items), items[0].certainty)


def _region(label: str) -> int:
    return finding_label(label).reading_order[0]


def _place(label: str) -> tuple[tuple[int, int], str]:
    return (finding_label(label).reading_order, label)
