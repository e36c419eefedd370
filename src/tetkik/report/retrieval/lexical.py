"""BM25 over stems and over groups of letters, with the other names of what a passage is about."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from tetkik.report.retrieval.analysis import groups, stems
from tetkik.report.retrieval.bm25 import Index
from tetkik.report.retrieval.synonyms import asked_as, other_names
from tetkik.values import Passage

TITLE, NAMES, KIND = 1.0, 1.0, 1.0
"""What a word of the title, of the label's other names and of the kind's counts beside one of the text."""
GROUPS = 0.3
"""What groups of letters count beside stems."""


class LexicalIndex:
    """Texts that can be searched by their words.

    Args:
        fields: of each text its parts with what a word in them counts.
    """

    def __init__(self, fields: Sequence[Sequence[tuple[str, float]]]) -> None:
        self._stems = Index([_weighted(parts, stems) for parts in fields])
        self._groups = Index([_weighted(parts, groups) for parts in fields])

    def scores(self, query: str) -> list[float]:
        """The score of each text for a query; 0 where nothing is in common."""
        by_stem, by_group = self._stems.scores(stems(query)), self._groups.scores(groups(query))
        return [stem + GROUPS * group for stem, group in zip(by_stem, by_group, strict=True)]


def _weighted(parts: Sequence[tuple[str, float]], analyse: Callable[[str], Counter[str]]) -> dict[str, float]:
    total: dict[str, float] = {}
    for text, weight in parts:
        for term, count in analyse(text).items():
            total[term] = total.get(term, 0.0) + weight * count
    return total


def passage_fields(passage: Passage) -> tuple[tuple[str, float], ...]:
    """What a passage is searched by."""
    return (
        (passage.text, 1.0),
        (passage.title, TITLE),
        (other_names(passage), NAMES),
        (asked_as(passage), KIND),
    )
