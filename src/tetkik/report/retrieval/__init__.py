"""Which passages answer a question, and which of them a draft may cite."""

from __future__ import annotations

from tetkik.report.retrieval.search import Hit, Retriever, passages_for, search

__all__ = ["Hit", "Retriever", "passages_for", "search"]
