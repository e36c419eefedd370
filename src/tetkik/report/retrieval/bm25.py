"""BM25 over a few thousand short texts, in plain Python.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009. The gain of a term in
a text is computed once, when the index is made, so that a search only adds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

K1, B = 1.0, 0.5
"""How soon a repeated term stops to count, and how much a long text is discounted: milder than for long
documents, because passages are short and of like length."""


class Index:
    """Weighted bags of terms that can be asked for the best.

    Args:
        documents: of each its terms with their weights (1 for a plain occurrence).
    """

    def __init__(self, documents: Sequence[Mapping[str, float]]) -> None:
        self.size = len(documents)
        lengths = [sum(document.values()) for document in documents]
        mean = sum(lengths) / self.size if self.size else 0.0
        where: dict[str, list[tuple[int, float]]] = {}
        for place, document in enumerate(documents):
            long = 1 - B + B * lengths[place] / mean if mean else 1.0
            for term, count in document.items():
                where.setdefault(term, []).append((place, count * (K1 + 1) / (count + K1 * long)))
        self._gains = {
            term: [(place, gain * _rarity(len(found), self.size)) for place, gain in found]
            for term, found in where.items()
        }

    def scores(self, terms: Iterable[str]) -> list[float]:
        """The score of each document for a query; 0 where no term occurs."""
        total = [0.0] * self.size
        for term in dict.fromkeys(terms):
            for place, gain in self._gains.get(term, ()):
                total[place] += gain
        return total


def _rarity(found: int, size: int) -> float:
    return math.log(1 + (size - found + 0.5) / (found + 0.5))
