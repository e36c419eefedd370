"""`tetkik triage clean`."""

from __future__ import annotations


def clean() -> None:
    """Being written."""
