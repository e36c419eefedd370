"""Reading a text: sentences, their language, their mentions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from tetkik import turkish
from tetkik.language import Language
from tetkik.report.labeler.rules import (
    Context,
    Mention,
    Named,
    PhraseHit,
    Polarity,
    Rules,
    SentenceReading,
    Structure,
    rules_of,
)
from tetkik.report.labeler.scope import EnglishScope, Judged, Scope, TurkishScope
from tetkik.values.complaint import Span
from tetkik.values.finding_labels import NORMAL_LABELS, REGISTRY
from tetkik.values.report import Side

# A text cut into sentences, and into folded words with their places.
#
# Sentences mind abbreviations, ordinals, decimals, lists, and lines without a full stop. Among the words
# punctuation stays, for clauses end there.


_BULLETS = frozenset("•‣▪●○◦")
# A mark that may end a sentence, or the end of a line.
_END = re.compile(r"[.!?…]+[\"'”’)\]]*|\n+|[•‣▪●○◦]")
_BULLET = re.compile(r"[ \t]*(?:[-–—*•‣▪●○◦]+|\(?\d{1,2}[.)]|\(?[a-zA-Z]\))(?=[ \t]|[^\W\d_])[ \t]*")
# Titles and words of both languages that are written short, folded.
_SHORT_WORDS = """dr prof doc uzm op av sn no nr num yakl bkz orn vb vs vd fig approx cf eg ie resp incl max
min std lat inf sup ant post"""
_ABBREVIATIONS = frozenset(_SHORT_WORDS.split())
_SHORT = re.compile(r"[^\W\d_]{1,8}$|\d{1,4}$")
_LONGEST_WORD = 12
_INDENT = 4
_CACHED = 64
LONGEST = 1200
"""Characters after which a sentence is cut wherever it stands: text without any mark is no sentence."""


def spans(text: str) -> Iterator[tuple[int, int]]:
    """The (start, end) of each sentence of `text`, in order, without spaces around it or bullet."""
    start = 0
    for match in _END.finditer(text):
        place, end = match.span()
        mark = match.group()
        if mark in _BULLETS:
            end = place
        elif not (_ends_line(text, place, end) if mark[0] == "\n" else _ends(text, start, place, end)):
            continue
        yield from _pieces(text, start, end)
        start = end
    yield from _pieces(text, start, len(text))


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    while end - start > LONGEST:
        space = text.rfind(" ", start + 1, start + LONGEST)
        cut = space if space > 0 else start + LONGEST
        yield from _trimmed(text, start, cut)
        start = cut
    yield from _trimmed(text, start, end)


def _trimmed(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    bullet = _BULLET.match(text, start, end)
    while start < end and text[start].isspace():
        start += 1
        bullet = _BULLET.match(text, start, end)
    if bullet and bullet.end() < end:
        start = bullet.end()
    while end > start and text[end - 1].isspace():
        end -= 1
    if any(char.isalnum() for char in text[start:end]):
        yield start, end


def _ends(text: str, start: int, place: int, end: int) -> bool:
    """Whether the marks at `place` end the sentence that began at `start`."""
    mark = text[place]
    if end == len(text):
        return True
    following = text[end]
    before = _SHORT.search(text, max(start, place - _LONGEST_WORD), place)
    word = before.group() if before else ""
    if not following.isspace():
        # "opacity.There is", but not "0.5", "e.g.", "www.x.com".
        return mark == "." and following.isupper() and len(word) > 1 and word[-1].islower()
    upcoming = _next_char(text, end)
    if mark != ".":
        # "infiltrasyon? atelektazi?" is one sentence.
        return not upcoming.islower()
    if word.isdigit():
        # "5. kotta" is an ordinal and "1. Normal" a list; "in 2014. The" ends.
        if place - len(word) - start <= _INDENT and not text[start : place - len(word)].strip():
            return False
        return not (upcoming.islower() or (len(word) < 3 and not upcoming.isupper()))
    if turkish.fold(word) in _ABBREVIATIONS:
        return False
    if len(word) == 1 and word.isupper() and place - 2 >= start and not text[place - 2].isalnum():
        # An initial, "J. Smith".
        return not upcoming.isupper()
    return True


def _ends_line(text: str, place: int, end: int) -> bool:
    """Whether a line's end is the sentence's: a blank line, or a next line that begins like a sentence."""
    if end - place > 1 or end == len(text):
        return True
    if _BULLET.match(text, end):
        return True
    return not _next_char(text, end).islower()


def _next_char(text: str, place: int) -> str:
    for index in range(place, min(len(text), place + 40)):
        if not text[index].isspace():
            return text[index]
    return ""


_DASHES = "-‐‑‒–—−"
_LINE_MARKS = "•‣▪●○◦·*"
_KEPT = frozenset(".,;:?!()[]+/%<>=\n\"'&")
_TOKEN = re.compile(r"\(\s?[-+]\s?\)|\d+(?:[.,]\d+)+|[^\W_]+|[^\w\s]")
_SIGNED = {"-": "minussign", "+": "plussign"}
"""How a list says whether something is there: `effusion (-)`."""


def _fold(char: str) -> str:
    if char in _KEPT:
        return char
    if char in _DASHES:
        return "-"
    if char in _LINE_MARKS:
        return "\n"
    if char in "’‘`´":  # apostrophes as they are typed
        return "'"
    return turkish.fold(char)


class _Table(dict[int, str]):
    def __missing__(self, code: int) -> str:
        folded = _fold(chr(code))
        if code < 0x2100:
            self[code] = folded
        return folded


_TABLE = _Table()


@dataclass(frozen=True, slots=True)
class Words:
    """The words and punctuation marks of a piece of text, folded to lower-case ASCII, and their places."""

    texts: tuple[str, ...]
    starts: tuple[int, ...]
    ends: tuple[int, ...]

    def span(self, first: int, last: int) -> tuple[int, int]:
        return self.starts[first], self.ends[last]


@lru_cache(maxsize=_CACHED)
def words_of(text: str, start: int = 0) -> Words:
    """The words and punctuation marks of `text`, folded; a hyphen inside a word only divides it."""
    folded = text.translate(_TABLE)
    places: Sequence[int]
    if len(folded) == len(text):
        places = range(start, start + len(text))
    else:
        places = [start + index for index, char in enumerate(text) if _TABLE[ord(char)]]
    found = [
        match.span()
        for match in _TOKEN.finditer(folded)
        if match.group() != "-" or not _inside(folded, match.start())
    ]
    return Words(
        tuple(_read(folded[first:last]) for first, last in found),
        tuple(places[first] for first, _ in found),
        tuple(places[last - 1] + 1 for _, last in found),
    )


def _read(token: str) -> str:
    return _SIGNED[token.strip("() ")] if len(token) > 1 and token[0] == "(" else token


def _inside(folded: str, place: int) -> bool:
    return 0 < place < len(folded) - 1 and folded[place - 1].isalnum() and folded[place + 1].isalnum()


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


_STRENGTH = (Polarity.ABSENT, Polarity.UNCERTAIN, Polarity.PRESENT)


def stated_polarities(readings: Iterable[SentenceReading]) -> dict[str, Polarity]:
    """What a report says of each finding of this image, by label.

    Of several statements an assertion outweighs a doubt and a doubt a denial; what is only implied counts
    where nothing is said outright.
    """
    stated: dict[str, Polarity] = {}
    implied: dict[str, Polarity] = {}
    for mention in (mention for reading in readings for mention in reading.mentions):
        if mention.context is Context.CURRENT:
            found = implied if mention.implied else stated
            known = found.get(mention.label, Polarity.ABSENT)
            found[mention.label] = max(known, mention.polarity, key=_STRENGTH.index)
    return implied | stated


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


def _resolved(sides: Sequence[PhraseHit[str]]) -> list[PhraseHit[str]]:
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
    hit: PhraseHit[Named | Structure], scope: Scope, states: Sequence[PhraseHit[str]]
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


def _judged(phrase: Named, scope: Scope, hit: PhraseHit[Any]) -> Judged:
    polarity, context = scope.judge(hit.first, hit.last)
    denied = polarity is Polarity.ABSENT if phrase.negatable else scope.reversed(hit.first, hit.last)
    if denied:
        return _OPPOSITE.get(phrase.polarity, Polarity.ABSENT), context
    doubted = phrase.negatable and polarity is Polarity.UNCERTAIN
    return Polarity.UNCERTAIN if doubted else phrase.polarity, context
