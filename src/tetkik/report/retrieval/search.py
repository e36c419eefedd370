"""Search over the library and a hospital's own documents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from tetkik.language import Language
from tetkik.report.passages import all_passages
from tetkik.report.retrieval.lexical import LexicalIndex, passage_fields
from tetkik.settings import settings
from tetkik.values import Passage, PassageKind

if TYPE_CHECKING:
    from tetkik.report.retrieval.dense import DenseIndex

LONGEST_QUERY = 2000
"""Characters of a query that are looked at."""
FUSION = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that answers a query; scores are comparable within one search only."""

    passage: Passage
    score: float


class Retriever:
    """Passages that can be searched by their words and, with an index `dense` of them, by their meaning."""

    def __init__(self, passages: Sequence[Passage], dense: DenseIndex | None = None) -> None:
        self.passages = tuple(passages)
        self._lexical = LexicalIndex([passage_fields(passage) for passage in self.passages])
        self._dense = dense

    def search(
        self,
        query: str,
        *,
        language: Language | None = None,
        label: str | None = None,
        kind: PassageKind | None = None,
        limit: int = 5,
    ) -> list[Hit]:
        """The passages that answer a query, the best first; equal ones in the order of the library."""
        query = query[:LONGEST_QUERY]
        allowed = [
            place
            for place, passage in enumerate(self.passages)
            if (language is None or passage.language is language)
            and (label is None or passage.label == label)
            and (kind is None or passage.kind is kind)
        ]
        scores = self._lexical.scores(query)
        found = _best([place for place in allowed if scores[place] > 0], scores)
        if self._dense is not None and query.strip():
            near = _best(allowed, self._dense.nearness(query))
            # Reciprocal rank fusion of the two orders.
            scores = [0.0] * len(self.passages)
            for order in (found, near):
                for rank, place in enumerate(order, start=1):
                    scores[place] += 1 / (FUSION + rank)
            found = _best(near, scores)
        return [Hit(self.passages[place], scores[place]) for place in found[: max(0, limit)]]


def _best(places: Sequence[int], scores: Sequence[float]) -> list[int]:
    return sorted(places, key=lambda place: -scores[place])


def search(
    query: str,
    *,
    language: Language | None = None,
    label: str | None = None,
    kind: PassageKind | None = None,
    limit: int = 5,
) -> list[Hit]:
    """The passages of the library and of the hospital that answer a query; see `Retriever.search`.

    Raises MissingExtra and SettingError where an embedding model is set and cannot be opened.
    """
    retriever = retriever_of(all_passages(), settings().passages_embedding)
    return retriever.search(query, language=language, label=label, kind=kind, limit=limit)


@lru_cache(maxsize=2)
def retriever_of(passages: tuple[Passage, ...], embedding: str | None = None) -> Retriever:
    """A retriever, made once for the same passages; without an embedding model it searches by words alone."""
    if embedding is None:
        return Retriever(passages)
    from tetkik.report.retrieval.dense import DenseIndex, open_embedder

    return Retriever(passages, DenseIndex(passages, open_embedder(embedding)))
