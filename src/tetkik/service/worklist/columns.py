"""The columns of the worklist: their words, which are shown, and the reason of a priority in words."""

from __future__ import annotations

from tetkik.language import Language, Sentence, translate
from tetkik.records.worklist.case_columns import SortColumn
from tetkik.records.worklist.priority_reasons import PriorityReason
from tetkik.values import UrgencyLevel, label_name
from tetkik.workflow import urgency_reason

COLUMNS = {
    "modality": Sentence("Modality"),
    "body_part": Sentence("Body part"),
    "study": Sentence("Study date"),
    "images": Sentence("Images"),
    "prior": Sentence("Prior"),
    "findings": Sentence("Findings"),
    "referrer": Sentence("Referring department"),
    "assigned": Sentence("Assigned to"),
    "state": Sentence("State"),
    "waiting": Sentence("Waiting"),
    "reader": Sentence("Being read by"),
}
"""Those that can be hidden, in their order; priority and patient stand before them."""
SHOWN = tuple(name for name in COLUMNS if name not in ("study", "referrer"))
"""Without a choice."""
FOUND = tuple(name for name in COLUMNS if name not in ("referrer", "assigned", "waiting"))
"""Of a search: also of cases that wait for nothing."""
DOWN_FIRST = frozenset({SortColumn.IMAGES, SortColumn.STUDY})
"""Columns of which one wants the greatest first."""
_LEVELS = {
    UrgencyLevel.KIRMIZI: Sentence("Red in triage"),
    UrgencyLevel.SARI: Sentence("Amber in triage"),
}


def reason_words(reason: PriorityReason, language: Language) -> str:
    """Why a case has its priority, in one line; empty where nothing asks for it."""
    parts = [translate("chosen by a person", language)] if reason.chosen else []
    for one in reason.findings:
        figure = "" if one.probability is None else f" {one.probability:.2f}"
        if language is Language.TR:
            figure = figure.replace(".", ",")
        parts.append(label_name(one.label, language) + figure)
    if reason.urgency in _LEVELS:
        level = _LEVELS[reason.urgency].in_language(language)
        if reason.by_person:
            parts.append(translate("{level}, set by a person", language, level=level))
        else:
            parts.append(urgency_reason(reason.rules, reason.urgency, language) or level)
    if reason.not_assessed and not parts:
        parts.append(translate("urgency not assessed", language))
    return " · ".join(parts)
