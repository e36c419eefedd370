"""What a report may cite: the library that ships with Tetkik, and a hospital's own documents."""

from __future__ import annotations

from tetkik.report.passages.store import (
    Added,
    Document,
    add_document,
    all_passages,
    documents,
    hospital_passages,
    library,
    references,
    remove_document,
)

__all__ = [
    "Added",
    "Document",
    "add_document",
    "all_passages",
    "documents",
    "hospital_passages",
    "library",
    "references",
    "remove_document",
]
