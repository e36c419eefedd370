"""The question that would help most: the one whose answer tells most about the department."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from tetkik.language import Language
from tetkik.triage.urgency.word_classes import WordIndex

_MOSTLY = 0.9
_LIKELY = 0.1
"""Of a department that a question is asked for, at least."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One thing that a yes may mean.

    Attributes:
        sentence: as the patient would say it, in Turkish, for that is what models read.
    """

    sentence: str
    name: str

    def in_language(self, language: Language) -> str:
        """What a page calls it."""
        return self.sentence if language is Language.TR else self.name


@dataclass(frozen=True, slots=True)
class Question:
    """A question with the departments whose patients mostly say yes, and those who mostly say no."""

    id: str
    text: dict[Language, str]
    yes: frozenset[str]
    no: frozenset[str]
    answers: tuple[Answer, ...] = ()
    about: tuple[str, ...] = ()  # beginnings of words that tell that the text speaks of it already

    def chance_of_yes(self, department: str) -> float:
        """How often a patient of that department says yes."""
        if department in self.yes:
            return _MOSTLY
        return 1 - _MOSTLY if department in self.no else 0.5


@cache
def questions() -> tuple[Question, ...]:
    """The built-in questions."""
    table = tomllib.loads(resources.files("tetkik.triage").joinpath("questions.toml").read_text("utf-8"))
    return tuple(
        Question(
            entry["id"],
            {Language.TR: entry["tr"], Language.EN: entry["en"]},
            frozenset(entry["yes"]),
            frozenset(entry["no"]),
            tuple(Answer(item["tr"], item["en"]) for item in entry["answers"]),
            tuple(entry["about"].split()),
        )
        for entry in table["question"]
    )


@cache
def _subjects() -> WordIndex:
    return WordIndex(question.about for question in questions())


def open_questions(
    folded: str,
    labels: Sequence[str],
    probabilities: NDArray[np.floating],
    *,
    leave_out: Sequence[str] = (),
) -> list[Question]:
    """The questions that the text does not answer, for a department that is likely, the most telling first.

    How telling one is: the mutual information between its answer and the department.

    Args:
        folded: the complaint by `turkish.fold`.
        probabilities: (labels,), what is believed before the answer.
    """
    answered = {number for word in folded.split() for number in _subjects().classes_of(word)}
    likely = {label for label, share in zip(labels, probabilities, strict=True) if share >= _LIKELY}
    found = [
        question
        for number, question in enumerate(questions())
        if number not in answered and question.id not in leave_out and question.yes & likely
    ]
    return sorted(found, key=lambda question: -_information(question, labels, probabilities))


def _information(question: Question, labels: Sequence[str], probabilities: NDArray[np.floating]) -> float:
    yes = np.array([question.chance_of_yes(label) for label in labels])
    both = np.stack([yes, 1 - yes]) * probabilities
    answer = both.sum(axis=1, keepdims=True)
    return float((both * np.log(np.maximum(both, 1e-12) / np.maximum(answer * probabilities, 1e-12))).sum())
