"""Reading a text: sentences, their language, their mentions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tetkik.language import Language
from tetkik.report.labeler.phrases import Hit
from tetkik.report.labeler.reading import Context, Mention, Polarity, SentenceReading
from tetkik.report.labeler.rules import Named, Rules, Structure, rules_of
from tetkik.report.labeler.scope import Judged, Scope
from tetkik.report.labeler.scope_english import EnglishScope
from tetkik.report.labeler.scope_turkish import TurkishScope
from tetkik.report.labeler.text import Words, spans, words_of
from tetkik.values import NORMAL_LABELS, Span
from tetkik.values.finding_labels import REGISTRY
from tetkik.values.report import Side

UNPAIRED = frozenset(label.id for label in REGISTRY.values() if not label.paired) | {
    "Acute_Disease",
    "Enlarged_Mediastinum",
}
"""What has no side."""

_TURKISH_LETTER = re.compile("[çğışöüÇĞİŞÖÜ]")
_ENOUGH = 400
"""Characters, and words, after which the language is known."""
_SAMPLE = 40
_SCOPES: Mapping[Language, type[Scope]] = {Language.EN: EnglishScope, Language.TR: TurkishScope}
_OPPOSITE = {Polarity.PRESENT: Polarity.ABSENT, Polarity.ABSENT: Polarity.PRESENT}
_TUMOURS = frozenset({("Glioma",), ("Meningioma",), ("Pituitary",)})
_MASS = ("Mass",)
_TURNED = {"left": "right", "right": "left"}
_WHOLE = (None, Side.BOTH)
_SAVE = frozenset({"otherwise", "except", "disinda", "haricinde"})
"""Words after which a sweeping statement does not sweep."""


def read_report(
    text: str, language: Language | None = None, *, signs: bool = False
) -> tuple[SentenceReading, ...]:
    """Every sentence of `text` with the findings that it names; each tells its language unless one is given.

    Sentences of a part that is no reading of this image, such as the indication, are there as well; their
    mentions are `Context.HISTORICAL`. It never raises, whatever the text is.

    Args:
        signs: whether signs without the name of their finding (*sharp costophrenic angles*), short forms and
            slips of the keyboard are read as well, as the grounding check does; tags of reports follow names.
    """
    cut = [(start, end, words_of(text[start:end], start)) for start, end in spans(text)]
    whole = language or _language(text, [word for *_, words in cut[:_SAMPLE] for word in words.texts], None)
    background, line = False, 0
    readings = []
    for start, end, written in cut:
        spoken = language or _language(text[start:end], written.texts, whole)
        rules = rules_of(spoken, signs=signs)
        words = replace(written, texts=tuple(map(rules.mended, written.texts)))
        headings = rules.headings.find(words.texts)
        if background and "\n" in text[line:start]:
            background = False
        if headings:
            background = headings[-1].value
        line = end
        mentions = _mentions(text, words, rules, spoken)
        if background:
            mentions = tuple(replace(mention, context=Context.HISTORICAL) for mention in mentions)
        compared = (
            Span(*words.span(hit.first, hit.last)) for hit in rules.comparisons.find(words.texts) if hit.value
        )
        comparison = next(compared, None)
        readings.append(SentenceReading(start, end, text[start:end], spoken, mentions, comparison))
    return tuple(readings)


def _language(text: str, words: Sequence[str], fallback: Language | None) -> Language:
    """Which language is spoken: by its letters, else by its common words, else `fallback`."""
    if _TURKISH_LETTER.search(text, 0, _ENOUGH):
        return Language.TR
    first = words[:_ENOUGH]
    turkish = len(rules_of(Language.TR).marks.find(first))
    english = len(rules_of(Language.EN).marks.find(first))
    if turkish == english:
        return fallback or Language.TR
    return Language.TR if turkish > english else Language.EN


def _mentions(text: str, words: Words, rules: Rules, language: Language) -> tuple[Mention, ...]:
    texts = words.texts
    named = rules.findings.find(texts)
    if not any(isinstance(hit.value, Structure) or hit.value.labels for hit in named):
        return ()
    cues = rules.cues.find(texts)
    brain = bool(rules.brain.find(texts))
    tumour = brain and any(isinstance(hit.value, Named) and hit.value.labels in _TUMOURS for hit in named)
    places = [
        (hit.first, hit.last)
        for hit in named
        if not (
            hit.value.sweeping if isinstance(hit.value, Structure) else tumour and hit.value.labels == _MASS
        )
    ]
    scope = _SCOPES[language](texts, cues, places, loose=rules.signs)
    states, sides = rules.states.find(texts), _resolved(rules.sides.find(texts))
    found: list[Mention] = []
    sweeps = _SAVE.isdisjoint(texts)
    for hit in named:
        for phrase, (polarity, context), first, last in _named_in(hit, scope, states):
            side = scope.side(first, last, sides, polarity is Polarity.ABSENT)
            start, end = words.span(first, last)
            for label in phrase.labels:
                sweeping = phrase.implied or (label in NORMAL_LABELS and polarity is Polarity.PRESENT)
                if sweeping and not (sweeps and side in _WHOLE):
                    continue
                own = None if label in UNPAIRED or phrase.implied else side
                named_by = text[start:end]
                found.append(Mention(label, polarity, own, start, end, named_by, context, phrase.implied))
    if brain:
        found = list(_of_the_brain(found, named=tumour))
    return tuple(sorted(found, key=lambda mention: (mention.start, mention.end)))


def _resolved(sides: Sequence[Hit[str]]) -> list[Hit[str]]:
    """The words for sides with *same* and *opposite* led back to the side named before them."""
    found, named = [], None
    for hit in sides:
        value = hit.value
        if value in _TURNED:
            named = value
        elif value in ("same", "opposite"):
            value = "nothing" if named is None else named if value == "same" else _TURNED[named]
        found.append(replace(hit, value=value))
    return found


def _of_the_brain(mentions: Sequence[Mention], *, named: bool) -> Iterator[Mention]:
    """The mentions of a sentence about the brain: a mass there is a tumour, unless the tumour is `named`."""
    for mention in mentions:
        if mention.label != "Mass":
            yield mention
        elif not named or mention.polarity is Polarity.ABSENT:
            polarity = _OPPOSITE.get(mention.polarity, mention.polarity)
            yield replace(mention, label="No_Tumor", polarity=polarity, side=None)


def _named_in(
    hit: Hit[Named | Structure], scope: Scope, states: Sequence[Hit[str]]
) -> Iterator[tuple[Named, Judged, int, int]]:
    """What one hit says: the finding, what is said of it, the first and the last word of what names it."""
    if isinstance(hit.value, Named):
        if hit.value.labels:
            yield hit.value, _judged(hit.value, scope, hit), hit.first, hit.last
        return
    state = scope.state(hit.first, hit.last, states)
    if state is not None and (phrase := hit.value.states.get(state.value)) is not None:
        judged = _judged(phrase, scope, state)
        yield phrase, judged, min(hit.first, state.first), max(hit.last, state.last)


def _judged(phrase: Named, scope: Scope, hit: Hit[Any]) -> Judged:
    polarity, context = scope.judge(hit.first, hit.last)
    denied = polarity is Polarity.ABSENT if phrase.negatable else scope.reversed(hit.first, hit.last)
    if denied:
        return _OPPOSITE.get(phrase.polarity, Polarity.ABSENT), context
    doubted = phrase.negatable and polarity is Polarity.UNCERTAIN
    return Polarity.UNCERTAIN if doubted else phrase.polarity, context
