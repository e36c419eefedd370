"""What an evaluation of findings found: frozen values, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.learned_report import LearnedReport
from tetkik.lab.engine.results import SubgroupFigures, fields_json, subgroups_json, to_json
from tetkik.lab.findings.metrics import CoOccurrence
from tetkik.lab.findings.predictions import OperatedAt
from tetkik.lab.findings.sources.rows import Truth
from tetkik.language import Language, Sentence
from tetkik.statistics import Bools, Floats, Interval, Ints
from tetkik.values import Sex, View

_KEYS = {"method": "ci_method", "f1_at_half": "f1_at_0.5", "f1": "f1_at_threshold"}
"""How fields of `LabelFigures` are called in its JSON, where that differs."""
_FIRST = ("auroc", "ci", "average_precision", "f1_at_0.5", "f1_at_threshold", "n_positive")
"""The contract's keys, which stand before the additions."""


class Method(StrEnum):
    DELONG = "delong"
    """Each row is a group of its own: DeLong's variance, on the logit scale."""
    OBUCHOWSKI = "obuchowski"
    """Patients or copies repeat: Obuchowski's variance of clustered rows, on the logit scale."""


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Images with their true labels and what a model answered: those that it scored."""

    labels: tuple[str, ...]
    """Of the data and of the model: the shared ones in their order, then others."""
    truth: Truth
    scores: Floats
    probabilities: Floats
    positive: NDArray[np.int8]
    screen: Floats
    """`scores`, `probabilities`, `positive`, `screen`: as in `Predictions`."""
    operated_at: Mapping[str, OperatedAt]
    groups: Ints
    """(images,), component of patient and duplicates."""
    source: tuple[str, ...]
    view: tuple[View | None, ...]
    sex: tuple[Sex | None, ...]
    age: tuple[float | None, ...]
    """`view`, `sex`, `age`: None where unknown; age in years."""
    sha256: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def usable(self) -> Bools:
        """(images, labels): whether the truth is known and there is a score."""
        return np.asarray((self.truth >= 0) & ~np.isnan(self.scores))

    @property
    def decided(self) -> Bools:
        """(images, labels): whether the model calls it present."""
        return np.asarray(self.positive == 1)


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """The figures of one label; None where one cannot be computed."""

    label: str
    n: int
    n_positive: int
    auroc: float | None = None
    ci: Interval | None = None
    method: Method | None = None
    auroc_within_source: float | None = None
    source_shortcut: float | None = None
    average_precision: float | None = None
    f1_at_half: float | None = None
    operated_at: OperatedAt | None = None
    f1: float | None = None
    sensitivity: float | None = None
    sensitivity_ci: Interval | None = None
    specificity: float | None = None
    specificity_ci: Interval | None = None
    sensitivity_at: tuple[tuple[float, float | None], ...] = ()
    specificity_at: tuple[tuple[float, float | None], ...] = ()
    ece: float | None = None
    brier_skill: float | None = None

    @property
    def prevalence(self) -> float | None:
        """Share of the known images in which it is present."""
        return self.n_positive / self.n if self.n else None

    def as_json(self) -> dict[str, Any]:
        figures = fields_json(self, "label", "operated_at", "sensitivity_at", "specificity_at")
        renamed = {_KEYS.get(name, name): value for name, value in figures.items()}
        return {
            **{name: renamed[name] for name in _FIRST},
            **renamed,
            "prevalence": self.prevalence,
            "threshold": self.operated_at.threshold if self.operated_at else None,
            "threshold_on": self.operated_at.on if self.operated_at else None,
            **operating_points(self),
        }


@dataclass(frozen=True, slots=True)
class ImageSubgroup(SubgroupFigures):
    """The figures on a part of the images, or of the labels.

    The mean is over the labels that have enough rows of both kinds in the part.
    """

    mean_auroc: float | None = None
    aurocs: Mapping[str, float] | None = None

    def as_json(self, language: Language) -> dict[str, Any]:
        figures = SubgroupFigures.as_json(self, language)
        return figures | {"per_label": figures.pop("aurocs") or {}}


@dataclass(frozen=True, slots=True)
class Screening:
    """Whether anything is abnormal, on one route."""

    route: str
    n: int
    n_abnormal: int
    by: str
    """`screen` (the calibrated probability) or `highest_score` of any finding, where there is none."""
    auroc: float | None
    ci: Interval | None
    sensitivity_at: tuple[tuple[float, float | None], ...] = ()
    specificity_at: tuple[tuple[float, float | None], ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {**fields_json(self, "route", "sensitivity_at", "specificity_at"), **operating_points(self)}


@dataclass(frozen=True, slots=True, eq=False)
class TaskFigures:
    """How often the right one of several labels comes first, where exactly one is true."""

    labels: tuple[str, ...]
    n: int
    accuracy: float | None
    ci: Interval | None
    balanced_accuracy: float | None
    """Mean over the labels of the share of their images that are right."""
    mean_auroc: float | None
    confusion: Ints
    """Counts, (labels, labels): a row a true label, a column the one put first."""


@dataclass(frozen=True, slots=True)
class Unscored:
    """Images of the table that are in no figure."""

    refused: Mapping[str, int]
    failed: int
    not_predicted: int
    gated: bool

    def as_json(self) -> dict[str, Any]:
        return {
            "refused": {"n": sum(self.refused.values()), "by_flaw": dict(self.refused)},
            "failed": self.failed,
            "not_predicted": self.not_predicted,
            "gated": self.gated,
        }


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was found about one model on one labelled set."""

    model: str
    learned: LearnedReport
    judged: Judged
    mean_auroc: float | None
    mean_auroc_ci: Interval | None
    mean_average_precision: float | None
    mean_ece: float | None
    mean_brier_skill: float | None
    per_label: Mapping[str, LabelFigures]
    subgroups: tuple[ImageSubgroup, ...]
    screening: tuple[Screening, ...]
    task: TaskFigures | None
    co_occurrence: CoOccurrence
    """Of true findings; `called_co_occurrence` of those that the model calls."""
    called_co_occurrence: CoOccurrence
    unscored: Unscored
    left_out: Mapping[str, int]
    not_computed: Mapping[str, Sentence]
    replicates: int
    seed: int
    interpretation: tuple[Sentence, ...] = ()

    @property
    def measured(self) -> tuple[LabelFigures, ...]:
        return tuple(figures for figures in self.per_label.values() if figures.auroc is not None)

    @property
    def groups(self) -> int:
        """How many groups of patients and copies the scored images are."""
        return len(np.unique(self.judged.groups))

    def as_json(self, language: Language = Language.EN) -> dict[str, Any]:
        """The contract's keys first, then the additions; sentences in `language`."""
        true, called = self.co_occurrence, self.called_co_occurrence
        return {
            "model": self.model,
            "n": len(self.judged),
            "mean_auroc": self.mean_auroc,
            "mean_average_precision": self.mean_average_precision,
            "per_label": {label: figures.as_json() for label, figures in self.per_label.items()},
            "mean_auroc_ci": to_json(self.mean_auroc_ci),
            "mean_auroc_labels": [figures.label for figures in self.measured],
            "mean_ece": self.mean_ece,
            "mean_brier_skill": self.mean_brier_skill,
            "slices": subgroups_json(self.subgroups, language),
            "screening": {part.route: part.as_json() for part in self.screening},
            "task": to_json(self.task),
            "co_occurrence": {
                "labels": list(true.labels),
                "observed": true.observed.tolist(),
                "expected": np.round(true.expected, 3).tolist(),
                "predicted": called.observed.tolist(),
                "predicted_expected": np.round(called.expected, 3).tolist(),
            },
            "unscored": self.unscored.as_json(),
            "left_out": dict(self.left_out),
            "learned_rows": self.learned.as_json(),
            "not_computed": to_json(self.not_computed, language),
            "bootstrap": {"replicates": self.replicates, "seed": self.seed, "groups": self.groups},
            "reading": to_json(self.interpretation, language),
        }


def operating_points(figures: LabelFigures | Screening) -> dict[str, dict[str, float | None]]:
    return {
        "sensitivity_at_specificity": {f"{at:.2f}": value for at, value in figures.sensitivity_at},
        "specificity_at_sensitivity": {f"{at:.2f}": value for at, value in figures.specificity_at},
    }
