"""What a draft about given labels may cite."""

from __future__ import annotations

from collections.abc import Sequence

from tetkik.language import Language
from tetkik.report.passages import all_passages, hospital_passages, library
from tetkik.report.retrieval.search import retriever_of
from tetkik.report.retrieval.synonyms import names_in, names_of
from tetkik.values import Passage, PassageKind

ORDER = (PassageKind.FOLLOW_UP, PassageKind.DEFINITION, PassageKind.SIGNS, PassageKind.DIFFERENTIAL)
"""What matters first to a report about one finding."""
OWN = 3
"""Passages of a hospital's own for one label: those that fit best."""
_LOOKED_AT = 50


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
