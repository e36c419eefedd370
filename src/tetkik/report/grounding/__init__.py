"""The grounding check: every sentence of a report against what was found, whoever wrote it."""

from __future__ import annotations

from tetkik.report.grounding.check import check_draft, check_own, check_text, without_marked

__all__ = ["check_draft", "check_own", "check_text", "without_marked"]
