"""From a complaint to a department."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

from tetkik.bundle import ModelCache
from tetkik.errors import BundleError, SettingError, TetkikError
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.triage.predict import Triage, load_triage
from tetkik.triage.urgency.assess import UrgencyReader, reason_of
from tetkik.triage.urgency.rules import FLAG, load_rules
from tetkik.turkish import alphabetical
from tetkik.values import MeasuredComplaint, TriageResult, UrgencyLevel

log = logging.getLogger("tetkik.workflow")
_MODELS: ModelCache[Triage] = ModelCache(partial(load_triage, priors=True, urgency=False))
_READERS: ModelCache[UrgencyReader] = ModelCache(UrgencyReader.load)
"""Apart, for each bundle is read again when its own files change."""


@dataclass(frozen=True, slots=True)
class ComplaintAnswer:
    """An answer, the very bundle that gave it, and what the complaint is like where that was asked."""

    result: TriageResult
    sha256: str
    measured: MeasuredComplaint | None = None


def answer_complaint(
    complaint: str,
    model: str,
    language: Language | None = None,
    *,
    measure: bool = False,
    in_hospital: bool = False,
    denied: Sequence[str] = (),
) -> ComplaintAnswer:
    """Answer one complaint, and say which bundle did; its model is kept for the next.

    Reasons, questions and referral rules are in the model's language for None; questions whose ids are
    `denied` are not asked again. A model that cannot be loaded is a `BundleError`.
    """
    kept = _MODELS.get(model)
    loaded = replace(
        kept.model,
        language=language or kept.model.language,
        in_hospital=in_hospital,
        reader=_reader(settings().triage_urgency_model),
    )
    measured = loaded.measure(complaint) if measure else None
    return ComplaintAnswer(loaded.predict(complaint, denied=denied), kept.sha256, measured)


def _reader(name: str) -> UrgencyReader | None:
    """The model of urgency; None, for the rules alone, where none is set or it cannot be loaded.

    A desk without the model still has its rules; `tetkik doctor` names the fault, too.
    """
    if not name:
        return None
    try:
        return _READERS.get(name).model
    except BundleError as fault:
        _say_once(str(fault))
        return None


@cache
def _say_once(fault: str) -> None:
    log.error("The rules of urgency judge alone: %s", fault)


def triage(complaint: str, model: str, language: Language | None = None) -> TriageResult:
    """Answer one complaint; see `answer_complaint`."""
    return answer_complaint(complaint, model, language).result


def urgency_reason(rules: Sequence[str], level: UrgencyLevel, language: Language) -> str | None:
    """Why a level of urgency was given: the sentence of the first of these rules that is known; else None."""
    if rules and rules[0] == FLAG:
        return reason_of(level, language)
    try:
        known = {rule.id: rule for rule in load_rules().rules}
    except TetkikError:
        return None  # `tetkik doctor` names the fault
    rule = next((known[one] for one in rules if one in known), None)
    if rule is None:
        return None
    return (rule.reason_en if language is Language.EN else "") or rule.reason


def departments(model: str) -> tuple[str, ...]:
    """The departments that a triage model, an id or a path, knows."""
    return _MODELS.get(model).model.labels


def offered_departments(model: str) -> tuple[str, ...]:
    """The departments of a triage model in alphabetical order; none where the model cannot be loaded."""
    try:
        return tuple(sorted(departments(model), key=alphabetical))
    except (BundleError, SettingError):
        return ()
