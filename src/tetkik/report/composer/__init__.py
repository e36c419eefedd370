"""The built-in composer: a draft from the facts alone, the same for the same facts."""

from __future__ import annotations

from tetkik.report.composer.compose import (
    asked_sentence,
    cited,
    compose,
    definite,
    definite_impression,
    hedged,
)

__all__ = ["asked_sentence", "cited", "compose", "definite", "definite_impression", "hedged"]
