"""`tetkik triage compare`."""

from __future__ import annotations


def compare() -> None:
    """Being written."""
