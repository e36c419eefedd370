"""Search over the library and a hospital's own documents, and what a draft may cite of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from tetkik.language import Language
from tetkik.report.passages import all_passages, hospital_passages, library
from tetkik.report.retrieval.lexical import LexicalIndex, names_in, names_of, passage_fields
from tetkik.settings import settings
from tetkik.values import Passage, PassageKind

if TYPE_CHECKING:
    from tetkik.report.retrieval.dense import DenseIndex

LONGEST_QUERY = 2000
"""Characters of a query that are looked at."""
FUSION = 60
"""The constant of reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009)."""

ORDER = (PassageKind.FOLLOW_UP, PassageKind.DEFINITION, PassageKind.SIGNS, PassageKind.DIFFERENTIAL)
"""What matters first to a report about one finding."""
OWN = 3
"""Passages of a hospital's own for one label: those that fit best."""
_LOOKED_AT = 50


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


def passages_for(labels: Sequence[str], language: Language) -> tuple[Passage, ...]:
    """What a draft about `labels` may cite; a label that the library does not know gives nothing.

    Of each what is usually recommended, what it is, its signs, its differential, in this order; after these,
    of each what the hospital's own documents say of it. A hospital's passage is about a label when it was
    added for it, or when it was added for none and names it.
    """
    wanted = tuple(dict.fromkeys(labels))
    known = {(passage.label, passage.kind): passage for passage in reversed(library(language))}
    found = [known[label, kind] for label in wanted for kind in ORDER if (label, kind) in known]
    if hospital_passages(language):
        # By words alone: a draft does not wait for a model.
        retriever = retriever_of(all_passages())
        for label in wanted:
            names = " ".join(names_of(label, language))
            hits = retriever.search(names, language=language, kind=PassageKind.HOSPITAL, limit=_LOOKED_AT)
            about = [hit.passage for hit in hits if _is_about(hit.passage, label)]
            found += about[:OWN]
    return tuple(dict.fromkeys(found))


def _is_about(passage: Passage, label: str) -> bool:
    if passage.label is not None:
        return passage.label == label
    return names_in(f"{passage.title} {passage.text}", label, passage.language)
