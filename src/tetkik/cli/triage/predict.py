"""`tetkik triage predict`."""

from __future__ import annotations


def predict() -> None:
    """Being written."""
