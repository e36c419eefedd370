"""Citations: what a sentence names must exist, and must be about what the sentence says."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import lru_cache

from tetkik.language import Language, Sentence
from tetkik.report.facts import Facts
from tetkik.report.labeler import read_report
from tetkik.values import (
    FINDING_LABELS,
    BasisKind,
    DraftSentence,
    Fault,
    Mark,
    Passage,
    Section,
    label_name,
    narrower,
)

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
