"""What a trial found: frozen values, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tetkik.lab.engine.results import SubgroupFigures, fields_json, subgroups_json, to_json
from tetkik.lab.findings.summaries import Judged, LabelFigures
from tetkik.lab.trial.journal import Limits
from tetkik.language import Language, Sentence
from tetkik.statistics import Interval


class TrialDecision(StrEnum):
    """Of one limit, and of all together."""

    GO = "go"
    """The whole interval is at or above its limit."""
    NO_GO = "no_go"
    """The whole interval is below it."""
    OPEN = "open"
    """Neither: more studies are needed."""


@dataclass(frozen=True, slots=True)
class Check:
    """One limit, and what was found; `label` is empty where it is about all."""

    figure: str
    label: str
    limit: float
    value: float | None
    ci: Interval | None
    n: int
    decision: TrialDecision
    part: str = ""
    """The part that it is about, as `site/NAME`; empty for all studies."""
    title: Sentence | None = None
    """The same in words."""


@dataclass(frozen=True, slots=True)
class TrialPart(SubgroupFigures):
    """The figures on a part of the studies; `sensitivity` is of the limited labels together."""

    sensitivity: float | None = None
    positives: int = 0
    per_label: Mapping[str, LabelFigures] | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of studies and images.

    Attributes:
        reports: studies with a report; None before every image was answered.
        images, answered_images: taken, and answered by the model.
        studies, answered: with a report and an image, and those of them that the model answered.
        learned, learned_images: left out of all figures: the studies of patients of whom the model learned an
            image, and those images.
        unplaced: images that could not be read and name no study; each counts as a study without an answer.
    """

    reports: int | None
    images: int
    answered_images: int
    studies: int
    answered: int
    learned: int
    learned_images: int
    refused: Mapping[str, int]
    """Images by what the quality gate found."""
    failed: int
    unplaced: int
    unmatched: int
    other_patient: int
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class TrialResult:
    """Everything that a trial found."""

    model: str
    judged: Judged
    studies: tuple[str, ...]
    """What each row of `judged` is called."""
    counts: Counts
    limits: Limits
    fixed: Mapping[str, str]
    """The hashes that it was fixed to."""
    finished: bool
    tells_learned: bool
    """Whether the model tells which images it learned."""
    per_label: Mapping[str, LabelFigures]
    parts: tuple[TrialPart, ...]
    checks: tuple[Check, ...]
    decision: TrialDecision
    not_computed: Mapping[str, Sentence]
    patients: int
    without_patient: int
    """Studies of which no patient is known; each counts as a patient of its own."""
    evaluations: tuple[Mapping[str, Any], ...]
    """This one last: its date, images, studies and decision."""
    interpretation: tuple[Sentence, ...] = ()
    claim: Mapping[str, Sentence] | None = None
    decide_ai: Mapping[str, Sentence] | None = None
    """`claim`, `decide_ai`: what the run or the limits say, by item."""

    def as_json(self, language: Language = Language.EN) -> dict[str, Any]:
        return {
            "model": self.model,
            "n": len(self.judged),
            "patients": self.patients,
            "without_patient": self.without_patient,
            "decision": self.decision.value,
            "finished": self.finished,
            "evaluations": [dict(one) for one in self.evaluations],
            "tells_learned": self.tells_learned,
            **self.fixed,
            "checks": [to_json(check) for check in self.checks],
            "counts": fields_json(self.counts),
            "per_label": {label: figures.as_json() for label, figures in self.per_label.items()},
            "parts": subgroups_json(self.parts, language),
            "limits": self.limits.model_dump(mode="json"),
            "claim": to_json(self.claim, language),
            "decide_ai": to_json(self.decide_ai, language),
            "not_computed": to_json(self.not_computed, language),
            "reading": to_json(self.interpretation, language),
        }
