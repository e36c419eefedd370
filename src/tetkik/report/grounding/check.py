"""Each sentence against the facts: what it asserts, denies, measures, compares and cites."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import cache, lru_cache
from importlib import resources
from itertools import pairwise

from tetkik.language import Language, Sentence
from tetkik.report.composer.compose import asked_sentence
from tetkik.report.facts import Facts
from tetkik.report.grounding.claims import Claims, claims_of, hits_in, intervals_in, named_in, told_in
from tetkik.report.grounding.wording import (
    entries,
    foreign_in,
    hidden_in,
    numbers_in,
    overlap,
    own_names,
    spoken_numbers,
)
from tetkik.report.grounding.wording import words as any_words
from tetkik.report.labeler.read import read_report, words_of
from tetkik.report.labeler.rules import Context, SentenceReading
from tetkik.report.passages.store import library
from tetkik.turkish import flat
from tetkik.values.common import one_line
from tetkik.values.finding_labels import FINDING_LABELS, label_name, narrower
from tetkik.values.report import BasisKind, Decision, Draft, DraftSentence, Fault, Mark, Passage, Section

# A recommendation against the passages that it cites: examinations, intervals, urgency, drugs.
#
# A passage about the right finding holds what it says and no more: *CT at once* is not borne out by one
# that asks for a radiograph in six weeks. Words that no passage of the library knows are marked where they
# look like a treatment, or stand where the thing that is advised stands.


_ADVISED = frozenset({"urgent", "mri", "contrast", "neurosurgery", "consult", "mobilisation", "hormones"})
"""What `claims` does not ask of the passage itself."""
_DRUGS = "antibiotic"
_ANY_DRUG = ("tedavi", "treat", "thera")
_STEM = 5
_LETTERS = 3
_ADVISES = re.compile(r"is|are|should|oner\w*|takil\w*|uygulan\w*|veril\w*")
"""What follows the thing that is advised: there no word passes that nobody knows."""
_UNBORNE = Sentence("No cited passage says this.")


def unborne_advice(text: str, cited: Sequence[Passage], language: Language) -> Iterator[Mark]:
    """Where a recommendation goes beyond the passages that it cites; what a history asks for is no advice."""
    words, leaned = words_of(text), " ".join(item.text for item in cited)
    named, stems = named_in(leaned), _stems(leaned)
    places, spoken = set[int](), set[int]()
    for hit in hits_in(words.texts)["actions"]:
        drug = hit.value == _DRUGS and not words.texts[hit.first].startswith(_ANY_DRUG)
        held = words.texts[hit.first][:_STEM] in stems if drug else hit.value in named
        spoken.update(range(hit.first, hit.last + 1))
        if not held and (drug or hit.value in _ADVISED):
            places.update(range(hit.first, hit.last + 1))
    there = {interval for interval, _ in intervals_in(words_of(leaned).texts, language)}
    places |= {place for interval, place in intervals_in(words.texts, language) if interval not in there}
    plain, treating = any_words("advice", "words"), _shape()
    familiar = stems | _vocabulary(language)
    places |= {
        place
        for place, word in enumerate(words.texts)
        if word.isalpha() and len(word) > _LETTERS and word[:_STEM] not in familiar and place not in spoken
        if treating.search(word) or any(map(_ADVISES.fullmatch, words.texts[place + 1 : place + 2]))
        if not plain.fullmatch(word)
    }
    for place in sorted(places):
        yield Mark(Fault.CITATION, _UNBORNE, *words.span(place, place))
    denied = any_words("advice", "denied")
    if not denied.search(flat(leaned)):
        yield from (Mark(Fault.CITATION, _UNBORNE, *match.span()) for match in denied.finditer(flat(text)))


@cache
def _shape() -> re.Pattern[str]:
    """What stands in words for drugs, operations and stays in hospital."""
    return re.compile("|".join(entries("advice", "treating")))


@lru_cache(maxsize=256)
def _stems(text: str) -> frozenset[str]:
    return frozenset(word[:_STEM] for word in words_of(text).texts)


@cache
def _vocabulary(language: Language) -> frozenset[str]:
    """The beginnings of the words of every passage of the library, and of the names of findings."""
    names = (label_name(label, language) for label in FINDING_LABELS)
    return frozenset().union(*(_stems(text) for text in (*names, *(one.text for one in library(language)))))


# Citations: what a sentence names must exist, and must be about what the sentence says.


_ABOUT_A_LABEL = ("finding:", "absence:", "prior:")
_OF_THE_IMAGE = frozenset({"prior:image"})
_QUALITY = "quality:image"


def citation_faults(
    sentence: DraftSentence,
    named: Collection[str],
    known: Collection[str],
    cited: Sequence[Passage],
    facts: Facts,
    language: Language,
) -> Iterator[Mark]:
    """What is wrong with the ids of a sentence."""
    whole = (0, len(sentence.text))
    if sentence.section is not Section.TECHNIQUE and not sentence.evidence:
        yield Mark(Fault.CITATION, Sentence("It cites nothing."), *whole)
    about = set(named).union(*(narrower(label) for label in named))
    for cited_id in sentence.evidence:
        if cited_id not in known:
            yield Mark(Fault.CITATION, _missing(cited_id, language), *whole)
        elif cited_id.startswith(_ABOUT_A_LABEL) and cited_id not in _OF_THE_IMAGE:
            label = cited_id.split(":", 1)[1]
            if label not in about:
                yield _not_about(label, whole, language)
    present = {item.label for item in facts.present}
    quoted = sentence.section is Section.RECOMMENDATION and any(item.text == sentence.text for item in cited)
    for passage in cited:
        # A sentence that names no finding (*control in six weeks*) may lean on any that was found.
        # The composer's recommendation is one passage, and cites those about the other findings beside it.
        topics = present if quoted else about or present
        if passage.label is not None and not ({passage.label} | _labels_in(passage)) & topics:
            yield _not_about(passage.label, whole, language)
    if sentence.section is Section.RECOMMENDATION and not cited and sentence.evidence != (_QUALITY,):
        yield Mark(Fault.CITATION, Sentence("A recommendation leans on a passage."), *whole)


def _missing(cited_id: str, language: Language) -> Sentence:
    kind, _, label = cited_id.partition(":")
    if kind == BasisKind.FINDING and label in FINDING_LABELS:
        named = {"finding": label_name(label, language)}
        return Sentence("It leans on {finding}, which is not among the findings.", named)
    return Sentence("{id} does not exist.", {"id": cited_id})


@lru_cache(maxsize=1024)
def _labels_in(passage: Passage) -> frozenset[str]:
    """What a passage speaks of beside its own label, as a differential does."""
    readings = read_report(passage.text, passage.language)
    return frozenset(mention.label for reading in readings for mention in reading.mentions)


def _not_about(label: str, whole: tuple[int, int], language: Language) -> Mark:
    reason = Sentence("The sentence is not about {finding}.", {"finding": label_name(label, language)})
    return Mark(Fault.CITATION, reason, *whole)


# Whether the facts carry a sentence, by a linear model that has read many people's sentences of either kind.
#
# The rules know the words of whoever wrote them. The model sees how each mention stands to the facts, in
# which order, between which words, and what the rules object to; it decides, and the rules say why. It
# learned from `data/report-sentences` by `benchmarks/report_entailment.py`, which measures it as well.


CLEARS, ADDS = 0.5, 0.7
"""Below the first probability what the rules object to goes, unless they are certain of it; from the second
on a sentence is marked to which they do not object."""
_STEM_ENTAILMENT = 6


def probability_unborne(claims: Claims, faults: Collection[Fault], facts: Facts, language: Language) -> float:
    """The probability that the facts do not carry a sentence, 0 to 1, given what the rules object to."""
    bias, weights = _weights()
    found = weights.keys() & features(claims, faults, facts, language)
    score = bias + math.fsum(weights[name] for name in found)
    return 1 / (1 + math.exp(-score))


def features(claims: Claims, faults: Collection[Fault], facts: Facts, language: Language) -> frozenset[str]:
    """The names of what the model sees of a sentence; each counts once."""
    known = (
        f"compared={facts.compared}",
        f"asked={bool(facts.question)}",
        f"passage={claims.found.get('passage', 0)}",
    )
    seen = {*known, f"language:{language}"}
    for name in [*(f"rule:{fault}" for fault in [*map(str, faults)] or ["none"]), *claims.found]:
        seen.add(name)
        seen.update([f"{name}&{state}" for state in known])
    short = ["^"]
    for token in claims.tokens:
        seen.update(token)
        first = token[0]
        if len(token) > 1:
            seen.update((f"{first}&{token[2]}", f"{first}&{token[3]}"))
            first += f"|{token[1]}"
        elif first.startswith("word:"):
            first = first.removeprefix("word:")[:_STEM_ENTAILMENT]
        short.append(first)
    short.append("$")
    pairs = pairwise(short)
    triples = zip(short, short[1:], short[2:], strict=False)
    return frozenset(seen.union(short, map(" ".join, pairs), map(" ".join, triples)))


@cache
def _weights() -> tuple[float, dict[str, float]]:
    content = json.loads(resources.files(__package__).joinpath("entailment.json").read_text("utf-8"))
    return content["bias"], content["weights"]


_PASSAGE, _HISTORY, _QUALITY_CHECK = "passage:", "history:text", "quality:image"
_CLAIMS = (Section.FINDINGS, Section.IMPRESSION)
_NEVER_ADDED = {Fault.FOREIGN, Fault.DENIES_FOUND, Fault.DENIES_UNPROVEN, Fault.COMPARISON}
_CLAIMS_NOTHING = (
    "soft",
    "class:courtesy",
    "class:technique",
    "class:unassessed",
    "symptoms:known",
    "actions:known",
)
_QUOTE = re.compile("“([^“”]{3,})”")
_OPEN_FIELD = re.compile(r"\[[^\[\]]{0,80}\]")
"""A field of a macro, such as `[mm]` or `[side: left|right]`, that nobody filled."""
_TIMES = re.compile(r"\s?[x×]\s?")
_SIZE = re.compile(r"\s?(?:capin|capli|boyut|ebat|olcul)\w*")


def check_draft(draft: Draft, facts: Facts, measured: Sequence[str] = ()) -> Draft:
    """The draft with the marks of the grounding check; marks that a person decided stay as they are.

    A draft may say only what the facts hold: in its findings and its impression a sentence about anything
    else is marked too, for there is nothing that it could lean on. What is quoted word for word (the history,
    a warning, a passage about what was found) claims nothing itself. `measured` are sizes that somebody did
    measure, as for `check_own`.
    """
    allowed = set().union(*map(spoken_numbers, measured))
    repeatable = {number for number in spoken_numbers(facts.question) if number.endswith("%")}
    passages = {passage.id: passage for passage in draft.passages}
    known = {basis.id for basis in facts.bases()} | {_PASSAGE + name for name in passages}
    checked = []
    for sentence in draft.sentences:
        names = [name for name in sentence.evidence if name in known and name.startswith(_PASSAGE)]
        cited = [passages[name.removeprefix(_PASSAGE)] for name in names]
        marks = _draft_marks(sentence, facts, known, cited, draft.language, allowed | repeatable)
        checked.append(replace(sentence, marks=_with_decisions(marks, sentence.marks)))
    return replace(draft, sentences=tuple(checked))


def check_text(text: str, facts: Facts, language: Language | None = None) -> tuple[DraftSentence, ...]:
    """Any text, sentence by sentence, with its marks; without a language it is told sentence by sentence.

    It cites nothing, so citations are not asked for; and whoever wrote it may have seen more than the model.
    Marked is what goes against the facts: a finding of the shared labels that was not found, a denial of what
    was found or may not be denied, the other side, a comparison that the earlier image does not bear out; and
    a size, a count or a share, which nobody measured, and what is no sentence of a report. Not marked is what
    these facts cannot know: fractures, catheters, opacities, a side where none was measured, an earlier image
    that was not given.
    """
    found = []
    for reading in read_report(text, language, signs=True):
        if not reading.text.strip():
            continue
        marks = [*_word_marks(reading.text, (), strict=False)]
        claims = claims_of(reading.text, [_alone(reading)], facts, (), reading.language)
        marks += [*claims.against, *claims.undecided]
        found.append(DraftSentence(reading.text, Section.FINDINGS, marks=_with_decisions(marks, ())))
    return tuple(found)


def check_own(
    sentence: DraftSentence, facts: Facts | None, language: Language, measured: Sequence[str] = ()
) -> DraftSentence:
    """A sentence that a person wrote into a draft, marked where it goes against the facts; decisions stay.

    What the model was asked for and can neither assert nor deny is the person's own matter.

    Args:
        facts: None where no model has assessed the image: then nothing can go against them, and only what is
            no sentence of a report is marked.
        measured: sizes that somebody did measure, as a sentence may say them: `12,3 mm`.
    """
    allowed = set().union(*map(spoken_numbers, measured))
    words = [
        *(
            Mark(Fault.FOREIGN, Sentence("This field was left open; fill it."), *match.span())
            for match in _OPEN_FIELD.finditer(sentence.text)
        ),
        *_word_marks(sentence.text, (), strict=False, allowed=allowed),
    ]
    if facts is None:
        marks = [mark for mark in words if mark.fault is Fault.FOREIGN]
    else:
        readings = read_report(sentence.text, language, signs=True)
        claims = claims_of(sentence.text, readings, facts, (), language)
        marks = [*words, *claims.against]
    return replace(sentence, marks=_with_decisions(marks, sentence.marks))


def without_marked(draft: Draft, *, keep_added: bool = False) -> Draft:
    """The draft without the sentences that have a mark, unless a person decided to keep them.

    Args:
        keep_added: keep, marked, those with a finding that the labeler knows and nothing found, where they
            deny and compare nothing: whoever wrote them saw the image.
    """

    def stays(sentence: DraftSentence) -> bool:
        faults = {mark.fault for mark in sentence.marks if mark.decision is not Decision.KEPT}
        return not faults or (keep_added and Fault.NOT_FOUND in faults and not faults & _NEVER_ADDED)

    return replace(draft, sentences=tuple(filter(stays, draft.sentences)))


def _draft_marks(
    sentence: DraftSentence,
    facts: Facts,
    known: set[str],
    cited: Sequence[Passage],
    language: Language,
    allowed: AbstractSet[str],
) -> list[Mark]:
    text = _without_quotes(sentence, facts)
    if not text.strip(" “”"):
        return []
    readings = read_report(text, language, signs=True)
    own = own_names(text, facts, language)
    named = {mention.label for reading in readings for mention in reading.mentions} | set(own)
    marks: list[Mark] = []
    if not _quotes_passage(sentence, cited, facts):
        sized = () if sentence.section in _CLAIMS else cited
        certain = [*_word_marks(text, sized, strict=True, language=language, allowed=allowed)]
        if sentence.section is not Section.TECHNIQUE:
            claims = claims_of(text, readings, facts, cited, language)
            objections = (*claims.against, *claims.undecided, *claims.beyond)
            places = [*own.values(), *_measured_in(text, allowed)]
            marks += [mark for mark in objections if not _within(mark, places)]
        marks += _not_in_history(sentence, readings, facts)
        if sentence.section in _CLAIMS:
            before = [*certain, *marks]
            unborne = [*_unborne(text, readings, (facts, cited, language), [*own.values()], before)]
            firm = [*claims.certain, *(mark for mark in unborne if not named)]
            marks = [*marks, *unborne]
            marks = _weighed(text, certain, marks, firm, (claims, facts, language))
        marks = [*certain, *marks]
        if sentence.section is Section.RECOMMENDATION and cited:
            places = [(mark.start, mark.end) for mark in marks]
            marks += [mark for mark in unborne_advice(text, cited, language) if not _within(mark, places)]
    marks += citation_faults(sentence, named, known, cited, facts, language)
    return marks


def _weighed(
    text: str,
    certain: Sequence[Mark],
    marks: list[Mark],
    firm: Sequence[Mark],
    known: tuple[Claims, Facts, Language],
) -> list[Mark]:
    """The marks of the rules as far as `entailment` agrees, the `firm` ones anyway; without any its own."""
    claims, facts, language = known
    faults = {mark.fault for mark in (*certain, *marks)}
    probability = probability_unborne(claims, faults, facts, language)
    if probability < CLEARS:
        return [mark for mark in marks if mark in firm]
    if faults or probability < ADDS:
        return marks
    return [Mark(Fault.CITATION, Sentence("Nothing that was found bears this out."), 0, len(text))]


def _word_marks(
    text: str,
    cited: Sequence[Passage],
    *,
    strict: bool,
    allowed: AbstractSet[str] = frozenset(),
    language: Language | None = None,
) -> Iterator[Mark]:
    hidden = hidden_in(text, language) if strict and language else ()
    for start, end in (*foreign_in(text, holes=strict), *hidden):
        yield Mark(Fault.FOREIGN, Sentence("This is no sentence of a report."), start, end)
    allowed = set(allowed).union(*(spoken_numbers(passage.text) for passage in cited))
    # A number alone is judged with what the history says.
    for start, end in numbers_in(text, bare=False):
        if not all(_may_say(number, allowed) for number in spoken_numbers(text[start:end])):
            yield Mark(Fault.MEASUREMENT, Sentence("Nobody measured this."), start, end)


def _measured_in(text: str, allowed: AbstractSet[str]) -> Iterator[tuple[int, int]]:
    """Where a sentence says a number that somebody measured, with the word for a size behind it."""
    for start, end in numbers_in(text) if allowed else ():
        if all(_may_say(number, allowed) for number in spoken_numbers(text[start:end])):
            behind = _SIZE.match(flat(text), end)
            yield start, behind.end() if behind else end


def _may_say(number: str, allowed: AbstractSet[str]) -> bool:
    """Whether a number is among those that may be said; of `12 x 8 mm` each of its parts, with the unit."""
    *others, last = _TIMES.split(number)
    unit = last.partition(" ")[2]
    return number in allowed or (bool(unit) and {last, *(f"{one} {unit}" for one in others)} <= allowed)


def _unborne(
    text: str,
    readings: Sequence[SentenceReading],
    known: tuple[Facts, Sequence[Passage], Language],
    own: Sequence[tuple[int, int]],
    marks: Sequence[Mark],
) -> Iterator[Mark]:
    """What names no finding and rests neither on the history nor on a passage, and claims something."""
    places = [(reading.start, reading.end) for reading in readings if not reading.mentions]
    if not readings:
        places = [(0, len(text))]
    for start, end in places:
        if overlap(start, end, [*own, *((mark.start, mark.end) for mark in marks)]):
            continue
        claims = claims_of(text[start:end], (), *known)
        if sum(map(str.isalpha, words_of(text[start:end]).texts)) > 1 and not any(
            claims.found.get(name) for name in _CLAIMS_NOTHING
        ):
            yield Mark(Fault.CITATION, Sentence("Nothing that was found bears this out."), start, end)


def _not_in_history(
    sentence: DraftSentence, readings: Sequence[SentenceReading], facts: Facts
) -> Iterator[Mark]:
    """Findings that a sentence lays into the mouth of the referrer; what was quoted is blank here."""
    quoting = sentence.section is Section.TECHNIQUE and _HISTORY in sentence.evidence
    question = flat(facts.question)
    for reading in readings:
        for mention in reading.mentions:
            past = sentence.section in _CLAIMS and mention.context is Context.HISTORICAL
            named = mention.label in told_in(facts.question)
            if quoting or (past and not named and flat(mention.words) not in question):
                reason = Sentence("The history does not say this.")
                yield Mark(Fault.CITATION, reason, mention.start, mention.end)


def _without_quotes(sentence: DraftSentence, facts: Facts) -> str:
    """The text with blanks, as many, where it only passes on the history or a warning word for word."""
    text = sentence.text
    if sentence.section is not Section.TECHNIQUE:
        return text
    if sentence.evidence == (_HISTORY,):
        question = facts.question
        if any(text == asked_sentence(facts, language) for language in Language):
            return " " * len(text)
        for quote in _QUOTE.finditer(text):
            if quote[1] in question:
                text = text[: quote.start()] + " " * len(quote[0]) + text[quote.end() :]
        if question:
            text = text.replace(question, " " * len(question))
    elif sentence.evidence == (_QUALITY_CHECK,) and any(
        text == one_line(item.in_language(language)) for item in facts.warnings for language in Language
    ):
        return " " * len(text)
    return text


def _quotes_passage(sentence: DraftSentence, cited: Sequence[Passage], facts: Facts) -> bool:
    """Whether it is a recommendation that is a passage, word for word, about what was found."""
    return sentence.section is Section.RECOMMENDATION and any(
        passage.text == sentence.text and (passage.label is None or facts.may_assert(passage.label))
        for passage in cited
    )


def _alone(reading: SentenceReading) -> SentenceReading:
    """A sentence of a longer text with its mentions at places of its own."""
    shift = -reading.start
    mentions = tuple(
        replace(item, start=item.start + shift, end=item.end + shift) for item in reading.mentions
    )
    return replace(reading, start=0, end=reading.end + shift, mentions=mentions)


def _within(mark: Mark, places: Iterable[tuple[int, int]]) -> bool:
    return overlap(mark.start, mark.end, places)


def _with_decisions(marks: Sequence[Mark], before: Sequence[Mark]) -> tuple[Mark, ...]:
    """Each objection once, with what a person decided about the same one before."""
    decided = {(mark.fault, mark.start, mark.end): mark.decision for mark in before}
    found: dict[tuple[Fault, int, int], Mark] = {}
    for mark in marks:
        found.setdefault((mark.fault, mark.start, mark.end), mark)
    return tuple(replace(mark, decision=decided.get(place)) for place, mark in found.items())
