"""A recommendation against the passages that it cites: examinations, intervals, urgency, drugs.

A passage about the right finding holds what it says and no more: *CT at once* is not borne out by one that
asks for a radiograph in six weeks. Words that no passage of the library knows are marked where they look like
a treatment, or stand where the thing that is advised stands.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache

from tetkik.language import Language, Sentence
from tetkik.report.grounding.concepts import hits_in, intervals_in, named_in
from tetkik.report.grounding.wording import entries
from tetkik.report.grounding.wording import words as any_words
from tetkik.report.labeler.text import words_of
from tetkik.report.passages.library import library
from tetkik.turkish import flat
from tetkik.values import FINDING_LABELS, Fault, Mark, Passage, label_name

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
