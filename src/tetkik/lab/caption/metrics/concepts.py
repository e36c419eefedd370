"""Which concepts a caption names: those whose name stands in its text, word for word.

A dictionary is no reader: it knows no synonym and no negation, so true captions do not reach 1 either. Their
own figure stands beside a model's as the ceiling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tetkik.lab.caption.concepts import is_cui
from tetkik.lab.caption.metrics.tokens import rouge_words
from tetkik.statistics import Floats

_LONGEST = 8
"""Words of a name; longer ones are sentences."""


@dataclass(frozen=True, slots=True)
class ConceptDictionary:
    """Names of concepts, in words."""

    concepts: Mapping[tuple[str, ...], frozenset[str]]

    @property
    def known(self) -> frozenset[str]:
        return frozenset().union(*self.concepts.values())

    def found_in(self, text: str) -> frozenset[str]:
        words = rouge_words(text)
        found: set[str] = set()
        for start in range(len(words)):
            for length in range(1, min(_LONGEST, len(words) - start) + 1):
                found |= self.concepts.get(tuple(words[start : start + length]), frozenset())
        return frozenset(found)


def concept_dictionary(concepts: Iterable[str], names: Mapping[str, str]) -> ConceptDictionary:
    """A dictionary of `concepts`, such as those of the training rows."""
    found: dict[tuple[str, ...], set[str]] = {}
    for concept in sorted(set(concepts)):
        words = tuple(rouge_words(names.get(concept, "" if is_cui(concept) else concept)))
        if 0 < len(words) <= _LONGEST:
            found.setdefault(words, set()).add(concept)
    return ConceptDictionary({words: frozenset(meant) for words, meant in found.items()})


def concept_f1_rows(
    captions: Sequence[str], concepts: Sequence[Sequence[str]], dictionary: ConceptDictionary
) -> Floats:
    """F1 of the concepts found against those the dictionary knows, (n,); NaN where a row has none."""
    known = dictionary.known
    scores = np.full(len(captions), np.nan)
    for row, (caption, of_row) in enumerate(zip(captions, concepts, strict=True)):
        true = known.intersection(of_row)
        if true:
            found = dictionary.found_in(caption)
            scores[row] = 2 * len(true & found) / (len(true) + len(found))
    return scores
