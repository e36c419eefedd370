"""From a complaint to a department."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tetkik.bundle import ModelCache
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.triage.predict import Triage, load_triage
from tetkik.values import MeasuredComplaint, TriageResult

_MODELS: ModelCache[Triage] = ModelCache(load_triage)


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer and the very bundle that gave it.

    Attributes:
        result: the answer.
        sha256: of the bundle's manifest.
        measured: what the complaint is like; None where that was not asked.
    """

    result: TriageResult
    sha256: str
    measured: MeasuredComplaint | None = None


def answered(
    complaint: str,
    model: str | None = None,
    language: Language | None = None,
    *,
    measure: bool = False,
) -> Answered:
    """Answer one complaint, and say which bundle did; its model is kept for the next.

    Args:
        complaint: what the patient says, in their own words.
        model: an id or a path; None takes the setting `triage_model`.
        language: of reasons, questions and referral rules; None takes the setting `language`.
        measure: whether to say what the complaint is like; for one that is kept.

    Raises:
        BundleError: no such model, damaged, or not for triage.
    """
    kept = _MODELS.get(model or settings().triage_model)
    loaded = kept.model if language is None else replace(kept.model, language=language)
    measured = loaded.measure(complaint) if measure else None
    return Answered(loaded.predict(complaint), kept.sha256, measured)


def triage(complaint: str, model: str | None = None, language: Language | None = None) -> TriageResult:
    """Answer one complaint; see `answered`.

    Raises:
        BundleError: no such model, damaged, or not for triage.
    """
    return answered(complaint, model, language).result


def departments(model: str | None = None) -> tuple[str, ...]:
    """The departments that a triage model knows.

    Args:
        model: an id or a path; None takes the setting `triage_model`.

    Raises:
        BundleError: no such model, damaged, or not for triage.
    """
    return _MODELS.get(model or settings().triage_model).model.labels
