"""What an evaluation is made of: figures from judged rows, each with its interval or the reason for none."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from tetkik import turkish
from tetkik.bundle.manifest import Metric
from tetkik.lab.engine.results import (
    SMALLEST,
    LearnedReport,
    Subgroup,
    SubgroupFigures,
    confusion,
    ends,
    fields_json,
    only_rows,
    subgroups_json,
    to_json,
)
from tetkik.language import Language, Sentence
from tetkik.statistics.intervals import (
    Bools,
    ClusterBootstrap,
    Floats,
    Interval,
    Ints,
    percentile_interval,
    ratio,
)
from tetkik.statistics.roc import auroc, auroc_interval
from tetkik.triage.age_and_duration import read_age
from tetkik.triage.calibration import ece, multiclass_brier_skill

# The figures by which a classifier of complaints is judged, in NumPy.
#
# Every figure of decisions comes from sums over rows (`decision_columns`), so that the same lines give the
# point estimate from one vector of sums and a thousand bootstrap replicates from a matrix of them.


DECISIONS = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "top3_accuracy")
"""The figures of `DecisionFigures` that are stated with an interval."""
NO_ANSWER = -1
"""The predicted index of a row that got no answer; it is right for no label."""


@dataclass(frozen=True, slots=True)
class DecisionFigures:
    """What follows from the decisions alone; NaN where a figure has no meaning.

    Arrays have the leading shape of the sums they came from (none for a point estimate, (replicates,) for a
    bootstrap); `precision`, `recall` and `f1` have labels as their last axis. The macro means are over labels
    present in the data; a label that is present but never predicted counts there with precision 0.
    """

    accuracy: Floats
    top3_accuracy: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    macro_precision: Floats
    macro_recall: Floats
    macro_f1: Floats


def unanswered(probabilities: Floats) -> Bools:
    """The rows of NaN: texts for which there was no answer."""
    missing: Bools = np.any(np.isnan(probabilities), axis=1)
    return missing


def predicted_labels(probabilities: Floats) -> Ints:
    """The index of each row's most probable label, the first of equals; NO_ANSWER for a row of NaN."""
    unread = unanswered(probabilities)
    best = np.argmax(np.where(unread[:, None], 0.0, probabilities), axis=1)
    return np.where(unread, NO_ANSWER, best).astype(np.int64)


def rank_of_truth(probabilities: Floats, truth: Ints) -> Ints:
    """The place (1 is first) of the true label when labels are sorted by probability, then by index.

    A row of NaN gets the place after the last.
    """
    labels = probabilities.shape[1]
    own = np.take_along_axis(probabilities, truth[:, None], axis=1)
    before = (probabilities > own) | ((probabilities == own) & (np.arange(labels) < truth[:, None]))
    rank: Ints = np.where(unanswered(probabilities), labels + 1, 1 + before.sum(axis=1)).astype(np.int64)
    return rank


def decision_columns(probabilities: Floats, truth: Ints) -> Floats:
    """One row of 0 and 1 for each complaint, whose sums give every decision figure.

    From probabilities, (rows, labels), a row of NaN being a text without an answer, and the index of the true
    label, (rows,): (rows, 3 · labels + 2), hit, predicted and true, each by label; in the top three; 1.
    """
    index = np.arange(probabilities.shape[1])
    true = truth[:, None] == index
    chosen = predicted_labels(probabilities)[:, None] == index
    in_top3 = rank_of_truth(probabilities, truth)[:, None] <= 3
    return np.hstack([true & chosen, chosen, true, in_top3, np.ones_like(in_top3)]).astype(np.float64)


def decision_figures(sums: Floats) -> DecisionFigures:
    """Figures from sums of the columns of `decision_columns`, (..., 3 · labels + 2)."""
    labels = (sums.shape[-1] - 2) // 3
    hit, chosen, true = (sums[..., part * labels : (part + 1) * labels] for part in range(3))
    top3, rows = sums[..., -2], sums[..., -1]
    present = true > 0
    precision = ratio(hit, chosen)
    recall = ratio(hit, true)
    f1 = np.where(present, ratio(2 * hit, chosen + true), np.nan)
    return DecisionFigures(
        accuracy=ratio(hit.sum(axis=-1), rows),
        top3_accuracy=ratio(top3, rows),
        precision=precision,
        recall=recall,
        f1=f1,
        macro_precision=_mean_where(np.where(chosen > 0, precision, 0.0), present),
        macro_recall=_mean_where(recall, present),
        macro_f1=_mean_where(f1, present),
    )


def _mean_where(values: Floats, mask: Bools) -> Floats:
    return ratio(np.where(mask, values, 0.0).sum(axis=-1), mask.sum(axis=-1).astype(np.float64))


def accuracy_by_coverage(confidence: Floats, correct: Bools) -> Floats:
    """Accuracy on the k most confident rows, k = 1 to all, (rows,); without an answer confidence is 0.

    The last is the accuracy on all, and the mean is one minus the area under the risk-coverage curve (Geifman
    and El-Yaniv, 2017). Rows of equal confidence have no order among themselves: each counts with their mean.
    """
    _, block = np.unique(-confidence, return_inverse=True)
    mean = np.bincount(block, correct.astype(np.float64)) / np.bincount(block)
    return np.cumsum(mean[np.sort(block)]) / np.arange(1, len(confidence) + 1)


# What an evaluation found: frozen values, and their JSON.


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
        return only_rows(self, rows, "truth", "probabilities", "groups")

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


COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""The shares of complaints at which accuracy is reported."""


def decisions(judged: Judged, draws: ClusterBootstrap) -> tuple[DecisionFigures, DecisionFigures | None]:
    columns = judged.columns
    replicates = decision_figures(draws.sums(columns)) if draws.possible else None
    return decision_figures(columns.sum(axis=0)), replicates


def interval_of(replicates: DecisionFigures | None, name: str, label: int | None = None) -> Interval | None:
    """The 95% interval of the figure `name` (of one label, for figures by label)."""
    if replicates is None:
        return None
    values: Floats = getattr(replicates, name)
    return percentile_interval(values if label is None else values[:, label])


def measured(judged: Judged, *, split: tuple[Sentence, ...], data: str) -> tuple[Metric, ...]:
    """The figures that every training states in its manifest, those of decisions with a 95% interval."""
    figures, replicates = decisions(judged, ClusterBootstrap(judged.groups))
    curve = accuracy_by_coverage(judged.confidence, judged.correct)
    values = {name: float(getattr(figures, name)) for name in DECISIONS} | {
        "accuracy_at_80_coverage": float(curve[round(0.8 * len(judged)) - 1]),
        "ece": ece(judged.probabilities, judged.truth),
        "brier_skill": multiclass_brier_skill(judged.probabilities, judged.truth),
    }
    found = []
    for name, value in values.items():
        interval = interval_of(replicates, name) if name in DECISIONS else None
        found.append(Metric(name=name, value=value, **ends(interval), n=len(judged), data=data, split=split))
    return tuple(found)


def label_figures(
    judged: Judged, figures: DecisionFigures, replicates: DecisionFigures | None
) -> tuple[dict[str, LabelFigures | None], dict[str, Sentence]]:
    """The figures of each label, None for one that the data lacks; and why something is missing."""
    found: dict[str, LabelFigures | None] = {}
    without: dict[str, Sentence] = {}
    answered = judged.answered
    truth, probabilities = judged.truth[answered], judged.probabilities[answered]
    for index, label in enumerate(judged.labels):
        support = int(judged.support[index])
        if not support:
            found[label] = None
            without[f"per_label.{label}"] = Sentence("The data has no complaint with this label.")
            continue
        positive, scores = truth == index, probabilities[:, index]
        area = auroc(scores, positive) if len(truth) else None
        area_interval = (
            auroc_interval(scores, positive, judged.groups[answered]) if area is not None else None
        )
        if np.isnan(figures.precision[index]):
            without[f"per_label.{label}.precision"] = Sentence(
                "The model never chose this label; in the macro mean its precision counts as 0."
            )
        if area is None:
            without[f"per_label.{label}.auroc"] = Sentence(
                "It needs readable complaints with this label and with another."
            )
        elif area_interval is None:
            without[f"per_label.{label}.ci.auroc"] = Sentence(
                "It needs two groups of each kind and an area other than 0 and 1."
            )
        ci = {name: interval_of(replicates, name, index) for name in ("precision", "recall", "f1")}
        for name in (name for name, interval in ci.items() if replicates is not None and interval is None):
            without[f"per_label.{label}.ci.{name}"] = Sentence(
                "There are too few complaints: more than one replicate in twenty gives no figure."
            )
        found[label] = LabelFigures(
            label=label,
            support=support,
            precision=None if np.isnan(figures.precision[index]) else float(figures.precision[index]),
            recall=float(figures.recall[index]),
            f1=float(figures.f1[index]),
            auroc=area,
            ci={**ci, "auroc": area_interval},
        )
    return found, without


def probability_figures(judged: Judged) -> tuple[float | None, float | None, dict[str, Sentence]]:
    """Calibration error and Brier skill over answered rows; and why one is missing."""
    answered = judged.answered
    if not answered.any():
        nothing = Sentence("No text could be read as a complaint.")
        return None, None, {"ece": nothing, "brier_skill": nothing}
    probabilities, truth = judged.probabilities[answered], judged.truth[answered]
    if len(np.unique(truth)) < 2:
        reason = Sentence("All complaints have one label, so there is no reference to be better than.")
        return ece(probabilities, truth), None, {"brier_skill": reason}
    return ece(probabilities, truth), multiclass_brier_skill(probabilities, truth), {}


def coverage_figures(judged: Judged) -> Coverage:
    """Accuracy where only the most confident share is answered; an unreadable text is the least confident."""
    confidence = np.sort(judged.confidence)[::-1]
    curve = accuracy_by_coverage(judged.confidence, judged.correct)
    points = []
    for coverage in COVERAGES:
        n = max(1, round(coverage * len(judged)))
        points.append(CoveragePoint(coverage, n, float(curve[n - 1]), float(confidence[n - 1])))
    return Coverage(tuple(points), float(curve.mean()))


def abstention(judged: Judged, threshold: float | None) -> Abstention | None:
    """What the model's own threshold does; None without one."""
    if threshold is None:
        return None
    kept = judged.answered & (judged.confidence >= threshold)
    n = int(kept.sum())
    return Abstention(threshold, n / len(judged), n, float(judged.correct[kept].mean()) if n else None)


def paired_interval(
    before: DecisionFigures | None, after: DecisionFigures | None, name: str
) -> Interval | None:
    """95% interval of the change in the figure `name`, from replicates of the same draws."""
    if before is None or after is None:
        return None
    return percentile_interval(getattr(after, name) - getattr(before, name))


def subgroup_figures(
    judged: Judged, texts: Sequence[str], draws: ClusterBootstrap
) -> Iterator[ComplaintSubgroup]:
    columns = judged.columns
    for part in subgroups(texts):
        n = int(part.rows.sum())
        if n < SMALLEST:
            reason = Sentence("Fewer than {least} complaints.", {"least": SMALLEST})
            yield ComplaintSubgroup(part.dimension, part.id, part.title, n, reason=reason)
            continue
        inside = columns[part.rows]
        figures = decision_figures(inside.sum(axis=0))
        own_draws = ClusterBootstrap(judged.groups[part.rows], draws.replicates, draws.seed)
        replicates = decision_figures(own_draws.sums(inside)) if own_draws.possible else None
        yield ComplaintSubgroup(
            part.dimension,
            part.id,
            part.title,
            n,
            accuracy=float(figures.accuracy),
            macro_f1=float(figures.macro_f1),
            ci=interval_of(replicates, "accuracy"),
        )


_WORDS = tomllib.loads(resources.files(__package__).joinpath("sex_words.toml").read_text("utf-8"))
_FEMALE, _MALE = (re.compile(rf"\b(?:{'|'.join(_WORDS[sex])})") for sex in ("female", "male"))


def subgroups(texts: Sequence[str]) -> tuple[Subgroup, ...]:
    """Every part of `texts`, by length, stated age and sex in words: of each dimension a row is in one."""
    folded = [" ".join(turkish.fold(text).split()) for text in texts]
    words = np.array([len(text.split()) for text in texts])
    ages = [read_age(text) for text in folded]
    years = np.array([np.nan if age is None else age.years for age in ages])
    female = np.array([bool(_FEMALE.search(text)) for text in folded])
    male = np.array([bool(_MALE.search(text)) for text in folded])
    return (
        Subgroup("length", "under_20", Sentence("under 20 words"), words < 20),
        Subgroup("length", "20_to_49", Sentence("20 to 49 words"), (words >= 20) & (words < 50)),
        Subgroup("length", "50_to_99", Sentence("50 to 99 words"), (words >= 50) & (words < 100)),
        Subgroup("length", "100_or_more", Sentence("100 words or more"), words >= 100),
        Subgroup("age", "child", Sentence("age given, under 18"), years < 18),
        Subgroup("age", "adult", Sentence("age given, 18 to 64"), (years >= 18) & (years < 65)),
        Subgroup("age", "old", Sentence("age given, 65 or more"), years >= 65),
        Subgroup("age", "not_told", Sentence("no age given"), np.isnan(years)),
        Subgroup("sex", "female", Sentence("words of a woman or girl"), female & ~male),
        Subgroup("sex", "male", Sentence("words of a man or boy"), male & ~female),
        Subgroup("sex", "both", Sentence("words of both sexes"), female & male),
        Subgroup("sex", "neither", Sentence("no word of either sex"), ~female & ~male),
    )
