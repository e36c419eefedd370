"""`tetkik triage collect`."""

from __future__ import annotations


def collect() -> None:
    """Being written."""
