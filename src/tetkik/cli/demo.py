"""`tetkik demo`."""

from __future__ import annotations


def demo() -> None:
    """Being written."""
