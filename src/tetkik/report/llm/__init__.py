"""Language models behind one small interface. Off by default; the composer needs none of them."""

from __future__ import annotations

from tetkik.report.llm.interface import Completion, LanguageModel, ModelFault, Prompt, Usage
from tetkik.report.llm.opening import open_model

__all__ = ["Completion", "LanguageModel", "ModelFault", "Prompt", "Usage", "open_model"]
