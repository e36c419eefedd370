"""The only path from a complaint to an answer, for the demo and for whatever serves patients alike."""

from __future__ import annotations

from functools import cache

from tetkik.settings import settings
from tetkik.triage.predict import Triage, load_triage
from tetkik.values import TriageResult


@cache
def _triage(model: str) -> Triage:
    return load_triage(model)


def triage(complaint: str, model: str | None = None) -> TriageResult:
    """Answer one complaint; the model is loaded once and kept.

    Args:
        complaint: what the patient says, in their own words.
        model: an id or a path; None takes the setting `triage_model`.

    Raises:
        BundleError: no such model, damaged, or not for triage.
    """
    return _triage(model or settings().triage_model).predict(complaint)
