"""The built-in composer: a draft from the facts alone, the same for the same facts."""

from __future__ import annotations

from tetkik.report.composer.compose import cited, compose
from tetkik.report.composer.phrases import standing_sentence

__all__ = ["cited", "compose", "standing_sentence"]
