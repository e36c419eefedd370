"""Triage at the reception desk, for the pages and the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tetkik import workflow
from tetkik.errors import InputError
from tetkik.language import Language
from tetkik.records.cases.complaints import TriagedComplaint
from tetkik.service.kit.rendering.highlights import Piece, pieces
from tetkik.settings import Settings
from tetkik.triage.clinics import Clinic, clinic_of
from tetkik.triage.questions import Answer, questions
from tetkik.turkish import alphabetical
from tetkik.values import DepartmentScore, TriageResult

LONGEST_TEXT = 200_000
"""Characters of a complaint that are taken at all; the setting `max_text_chars` says how many are read."""
_SHOWN = 3


@dataclass(frozen=True, slots=True)
class LiveAnswer:
    """What the page shows while somebody types, with what may be answered to its question."""

    result: TriageResult
    pieces: tuple[Piece, ...]
    first: tuple[DepartmentScore, ...]
    rest: tuple[DepartmentScore, ...]
    answers: tuple[Answer, ...] = ()


def answer_to(text: str, settings: Settings, language: Language) -> TriageResult:
    """The model's answer to a complaint, in the language of the page; nothing is kept."""
    return _answered(text, settings, language).result


def _answered(
    text: str,
    settings: Settings,
    language: Language,
    *,
    measure: bool = False,
    denied: Sequence[str] = (),
) -> workflow.ComplaintAnswer:
    plain = text.replace("\r\n", "\n")
    return workflow.answer_complaint(
        plain, settings.triage_model, language, measure=measure, in_hospital=True, denied=denied
    )


def ask_live(text: str, settings: Settings, language: Language, asked: Sequence[str] = ()) -> LiveAnswer:
    """The answer as the page shows it; a question that was answered with no is not asked again."""
    result = _answered(text, settings, language, denied=asked).result
    answers = next((one.answers for one in questions() if one.id == result.question_id), ())
    return LiveAnswer(
        result, pieces(result), result.departments[:_SHOWN], result.departments[_SHOWN:], answers
    )


def triaged(text: str, settings: Settings, language: Language) -> TriagedComplaint:
    """The answer to a complaint that is to be kept, with the model that gave it."""
    outcome = _answered(text, settings, language, measure=True)
    return TriagedComplaint(outcome.result, outcome.sha256, outcome.measured)


def departments(settings: Settings) -> tuple[str, ...]:
    """The departments that can be chosen: those of the model, in the order of the alphabet."""
    return tuple(sorted(workflow.departments(settings.triage_model), key=alphabetical))


def chosen_department(name: str | None, settings: Settings) -> str | None:
    """A department that somebody chose; None for none."""
    if name and name not in departments(settings):
        raise InputError("There is no such department; choose one of the list.")
    return name or None


def clinic(department: str, result: TriageResult | None) -> Clinic | None:
    """The clinic that a department is booked as; the answer to a complaint knows whether for a child."""
    return clinic_of(department, child=result is not None and result.child)
