"""Which passages answer a question, and which of them a draft may cite."""

from __future__ import annotations

from tetkik.report.retrieval.search import PassageHit, Retriever, passages_for, search

__all__ = ["PassageHit", "Retriever", "passages_for", "search"]
