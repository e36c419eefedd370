"""One complaint in, the whole answer out: departments, urgency, abstention, question, evidence.

Urgency comes from rules that look at the text alone, ahead of the model: no department, however sure, and no
refusal to read the text can silence a red flag.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tetkik import turkish
from tetkik.bundle import Bundle
from tetkik.language import Language, translate
from tetkik.settings import settings
from tetkik.triage.clinics import clinic_of
from tetkik.triage.model import TriageModel, load_model
from tetkik.triage.persons import is_child, read_age
from tetkik.triage.questions import best_question
from tetkik.triage.readable import Unreadable, why_unreadable
from tetkik.triage.urgency import assess
from tetkik.values import DepartmentScore, TriageResult

CHILDREN = "Pediatri"
ADULT_ONLY = frozenset({"Dahiliye", "Kardiyoloji", "Göğüs Hastalıkları", "Nöroloji", "Genel Cerrahi"})
"""Departments that send a child to Pediatri first; the others (eyes, ears, bones) see children themselves."""
_BATCH = 1024
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Triage:
    """A model with everything around it.

    Attributes:
        model: the classifier.
        language: of reasons, questions and referral rules.
    """

    model: TriageModel
    language: Language = Language.TR

    @property
    def name(self) -> str:
        """Id and version of the model."""
        return self.model.manifest.name

    @property
    def labels(self) -> tuple[str, ...]:
        """The departments, in the order of the columns of `scores`."""
        return self.model.manifest.labels

    @property
    def abstain_threshold(self) -> float | None:
        """The probability under which no department is named."""
        return self.model.manifest.thresholds.get("abstain")

    def scores(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """The probabilities of the answers to `texts`.

        Returns:
            (texts, labels), float64, rounded to 6 decimals; a row of NaN for a text that cannot be read.
        """
        readable = np.array([self._why_unreadable(text) is None for text in texts], dtype=bool)
        scores = np.full((len(texts), len(self.labels)), np.nan)
        chosen = [text for text, yes in zip(texts, readable, strict=True) if yes]
        if chosen:
            found = self.model.probabilities(chosen).astype(np.float64)
            children = [is_child(turkish.fold(text)) for text in chosen]
            for row in np.flatnonzero(children):
                found[row] = self._for_child(found[row])
            scores[readable] = np.round(found, _DIGITS)
        return scores

    def predict(self, text: str) -> TriageResult:
        """The answer to one complaint."""
        return next(self.predict_many([text]))

    def predict_many(self, texts: Sequence[str] | Iterator[str]) -> Iterator[TriageResult]:
        """The answers to many complaints, in order, read and scored in batches."""
        remaining = iter(texts)
        while batch := list(islice(remaining, _BATCH)):
            for text, row in zip(batch, self.scores(batch), strict=True):
                yield self._answer(text, row)

    def _answer(self, text: str, row: NDArray[np.float64]) -> TriageResult:
        # A text too long to be read is still looked through for red flags, as far as is allowed.
        urgency = assess(text[: settings().max_text_chars])
        unreadable = self._why_unreadable(text)
        if unreadable is not None:
            sentence = translate(unreadable.value, self.language)
            return TriageResult(text, (), urgency, True, sentence, None, (), self.name)
        folded = turkish.fold(text)
        child = is_child(folded)
        order = np.argsort(-row, kind="stable")
        departments = tuple(self._department(self.labels[i], float(row[i]), child) for i in order)
        threshold = self.abstain_threshold
        abstain = threshold is not None and departments[0].probability < threshold
        reason: str | None = None
        question: str | None = None
        if abstain:
            reason = translate(
                "No department is likely enough ({first} {percent}%); ask the question and add the answer.",
                self.language,
                first=departments[0].name,
                percent=round(100 * departments[0].probability),
            )
            known = ["child"] if child or read_age(folded) is not None else []
            question = best_question(self.labels, row, leave_out=known).text[self.language]
        elif child and departments[0].name == CHILDREN:
            reason = translate(
                "The patient is a child, so Pediatri comes before the department for adults.", self.language
            )
        evidence = self.model.evidence(text, int(order[0]))
        return TriageResult(text, departments, urgency, abstain, reason, question, evidence, self.name)

    def _department(self, name: str, probability: float, child: bool) -> DepartmentScore:
        clinic = clinic_of(name, child=child)
        return DepartmentScore(
            name,
            probability,
            clinic.name if clinic else None,
            clinic.referral(self.language) if clinic else None,
        )

    def _for_child(self, row: NDArray[np.float64]) -> NDArray[np.float64]:
        """Exchange the probabilities of Pediatri and of a first department that sees adults only."""
        first = int(row.argmax())
        if CHILDREN in self.labels and self.labels[first] in ADULT_ONLY:
            own = self.labels.index(CHILDREN)
            row = row.copy()
            row[[first, own]] = row[[own, first]]
        return row

    def _why_unreadable(self, text: str) -> Unreadable | None:
        return why_unreadable(text, most_characters=settings().max_text_chars)


def load_triage(model: str | Bundle | None = None, language: Language | None = None) -> Triage:
    """Load a model for use.

    Args:
        model: an id, a path or an opened bundle; None takes the setting `triage_model`.
        language: of the answers; None takes the setting `language`.

    Raises:
        BundleError: no such model, damaged, or not for triage.
    """
    return Triage(load_model(model or settings().triage_model), language or settings().language)
