"""`tetkik doctor`."""

from __future__ import annotations


def doctor() -> None:
    """Being written."""
