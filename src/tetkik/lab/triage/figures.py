"""What an evaluation found: frozen values, and their JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tetkik.lab.engine.learned_report import LearnedReport
from tetkik.lab.engine.results import SubgroupFigures, fields_json, subgroups_json, to_json
from tetkik.lab.triage.metrics import DECISIONS, confusion, decision_columns, predicted_labels, unanswered
from tetkik.language import Language, Sentence
from tetkik.statistics import Bools, Floats, Interval, Ints


@dataclass(frozen=True, slots=True)
class Judged:
    """Complaints with their true label and what a model answered."""

    labels: tuple[str, ...]
    truth: Ints  # (rows,), int64, index of the true label
    # (rows, labels), float64, as `predict --json` prints them; NaN for an unreadable text
    probabilities: Floats
    groups: Ints  # (rows,), int64, the duplicate group of each row

    def __len__(self) -> int:
        return len(self.truth)

    def only(self, rows: Bools) -> Judged:
        return replace(
            self, truth=self.truth[rows], probabilities=self.probabilities[rows], groups=self.groups[rows]
        )

    @property
    def predicted(self) -> Ints:
        """(rows,): index of the chosen label, NO_ANSWER where the text was unreadable."""
        return predicted_labels(self.probabilities)

    @property
    def correct(self) -> Bools:
        """(rows,): whether the first label is the true one; an unreadable text counts as wrong."""
        right: Bools = self.predicted == self.truth
        return right

    @property
    def answered(self) -> Bools:
        """(rows,): whether there is an answer at all."""
        return ~unanswered(self.probabilities)

    @property
    def confidence(self) -> Floats:
        """(rows,): the probability of the chosen label; 0 for an unreadable text."""
        best: Floats = np.nan_to_num(self.probabilities, nan=0.0).max(axis=1)
        return best

    @property
    def columns(self) -> Floats:
        """What `metrics.decision_figures` takes, row by row."""
        return decision_columns(self.probabilities, self.truth)

    @property
    def confusion(self) -> Ints:
        """Counts, (labels, labels): a row a true label, a column an answered one."""
        return confusion(self.truth, self.predicted, len(self.labels))

    @property
    def support(self) -> Ints:
        """(labels,): rows of each true label."""
        return np.bincount(self.truth, minlength=len(self.labels)).astype(np.int64)

    @property
    def unreadable(self) -> int:
        return int(unanswered(self.probabilities).sum())


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """The figures of one label that is present in the data; None where one cannot be computed."""

    label: str
    support: int
    precision: float | None
    recall: float
    f1: float
    auroc: float | None
    ci: Mapping[str, Interval | None]


@dataclass(frozen=True, slots=True)
class CoveragePoint:
    """Accuracy where only the most confident share of complaints is answered."""

    coverage: float
    n: int
    accuracy: float
    least_confidence: float


@dataclass(frozen=True, slots=True)
class Coverage:
    """Accuracy against coverage: chosen points, and the area under the whole curve (its mean)."""

    points: tuple[CoveragePoint, ...]
    area: float


@dataclass(frozen=True, slots=True)
class Abstention:
    """What the model's own threshold does: the share it answers, and the accuracy there."""

    threshold: float
    coverage: float
    n: int
    accuracy: float | None


@dataclass(frozen=True, slots=True)
class PerturbedFigures:
    """The figures on perturbed texts, and the changes from the clean ones (negative is worse)."""

    id: str
    title: Sentence
    accuracy: float
    macro_f1: float
    accuracy_change: float
    macro_f1_change: float
    ci: Mapping[str, Interval | None]


@dataclass(frozen=True, slots=True)
class ComplaintSubgroup(SubgroupFigures):
    """The figures on a part of the complaints."""

    accuracy: float | None = None
    macro_f1: float | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Everything that was found about one model on one table."""

    model: str
    learned: LearnedReport
    judged: Judged
    accuracy: float
    macro_f1: float
    macro_precision: float
    macro_recall: float
    top3_accuracy: float
    ece: float | None  # expected calibration error, 15 bins of equal mass, over answered rows
    # against always answering the frequencies of the labels in the data; answered rows
    brier_skill: float | None
    ci: Mapping[str, Interval | None]  # 95% intervals by figure, from a bootstrap of duplicate groups
    # the figures of each label of the model; None where the data has none of it
    per_label: Mapping[str, LabelFigures | None]
    coverage: Coverage
    abstain: Abstention | None  # what the model's own threshold does; None where it has none
    robustness: tuple[PerturbedFigures, ...]  # on perturbed texts; empty where it was not asked for
    subgroups: tuple[ComplaintSubgroup, ...]
    not_evaluated: Mapping[str, int]  # rows by label that the model does not have; they are in no figure
    left_out: Mapping[str, int]
    not_computed: Mapping[str, Sentence]
    replicates: int
    seed: int
    interpretation: tuple[Sentence, ...] = ()

    def as_json(self, language: Language = Language.EN) -> dict[str, Any]:
        """The contract's keys first, then the additions; sentences in `language`."""
        return {
            "model": self.model,
            "n": len(self.judged),
            **{name: getattr(self, name) for name in (*DECISIONS, "ece", "brier_skill")},
            "per_label": {
                label: fields_json(figures, "label") if figures else None
                for label, figures in self.per_label.items()
            },
            "confusion": {"labels": list(self.judged.labels), "counts": self.judged.confusion.tolist()},
            **{name: to_json(getattr(self, name)) for name in ("ci", "coverage", "abstain")},
            "robustness": {one.id: fields_json(one, "id", "title") for one in self.robustness},
            "slices": subgroups_json(self.subgroups, language),
            "unreadable": self.judged.unreadable,
            "not_evaluated": dict(self.not_evaluated),
            "left_out": dict(self.left_out),
            "learned_rows": self.learned.as_json(),
            "not_computed": to_json(self.not_computed, language),
            "bootstrap": {
                "replicates": self.replicates,
                "seed": self.seed,
                "groups": len(np.unique(self.judged.groups)),
            },
            "reading": to_json(self.interpretation, language),
        }
