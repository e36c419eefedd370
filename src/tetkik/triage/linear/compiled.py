"""The compiled half of the linear model, or None where it was built without a compiler."""

from __future__ import annotations

try:
    from tetkik.triage.linear import _ngrams as ngrams
except ImportError:  # everything works without it, more slowly
    ngrams = None  # type: ignore[assignment]

__all__ = ["ngrams"]
