"""From a complaint to a department."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from tetkik.language import Language
from tetkik.settings import settings
from tetkik.triage.predict import Triage, load_triage
from tetkik.values import TriageResult


@cache
def _triage(model: str) -> Triage:
    return load_triage(model)


def triage(complaint: str, model: str | None = None, language: Language | None = None) -> TriageResult:
    """Answer one complaint; the model is loaded once and kept.

    Args:
        complaint: what the patient says, in their own words.
        model: an id or a path; None takes the setting `triage_model`.
        language: of reasons, questions and referral rules; None takes the setting `language`.

    Raises:
        BundleError: no such model, damaged, or not for triage.
    """
    loaded = _triage(model or settings().triage_model)
    return (loaded if language is None else replace(loaded, language=language)).predict(complaint)


def departments(model: str | None = None) -> tuple[str, ...]:
    """The departments that a triage model knows.

    Args:
        model: an id or a path; None takes the setting `triage_model`.

    Raises:
        BundleError: no such model, damaged, or not for triage.
    """
    return _triage(model or settings().triage_model).labels
