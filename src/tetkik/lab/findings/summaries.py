"""What an evaluation is made of: figures from judged images, each with its interval or why it has none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
from tetkik.lab.findings.predictions import OperatedAt
from tetkik.lab.findings.sources.rows import Truth
from tetkik.lab.findings.thresholds import Decisions
from tetkik.lab.findings.training.held_out import HeldOut
from tetkik.language import Language, Sentence
from tetkik.report.facts import certainty_of
from tetkik.statistics.calibration import brier_skill, expected_calibration_error
from tetkik.statistics.intervals import (
    Bools,
    ClusterBootstrap,
    Floats,
    Interval,
    Ints,
    percentile_interval,
    ratio,
    share_interval,
)
from tetkik.statistics.roc import (
    auroc,
    auroc_interval,
    auroc_replicates,
    average_precision,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
    stratified_auroc,
)
from tetkik.values.finding import ThresholdOn
from tetkik.values.finding_labels import NIH_LABELS, NORMAL_LABELS, route_of
from tetkik.values.radiograph import Route, Sex, View
from tetkik.values.report import Certainty

# Figures that only findings have: shortcuts, co-occurrence, screening.


LEAST_EXPECTED = 3
"""Images that chance must give a pair of findings before anything is said of how often it stands together."""


def source_shortcut(positive: Bools, source: Sequence[str], groups: Ints) -> float | None:
    """AUROC of knowing nothing of a row but its source.

    The score of a row is the prevalence of the label among the other rows of its source, without those of its
    own group (a row must not foretell itself); where there are no others, the prevalence of all. Two rows of
    one source are a tie. Far above 0.5 it says that the label's own AUROC may be telling sources apart, not
    disease: Zech et al., PLOS Medicine 15 (2018) e1002683. None where only one kind occurs, or one
    source.
    """
    _, place = np.unique(np.asarray(source), return_inverse=True)
    if positive.all() or not positive.any() or place.max() == 0:
        return None
    pairs = np.stack([place, np.unique(groups, return_inverse=True)[1]], axis=1)
    own = np.unique(pairs, axis=0, return_inverse=True)[1].ravel()
    hit = positive.astype(np.float64)
    others = np.bincount(place)[place] - np.bincount(own)[own]
    hits = np.bincount(place, hit)[place] - np.bincount(own, hit)[own]
    score = np.divide(hits, others, out=np.full(len(hit), hit.mean()), where=others > 0)
    area = auroc(score, positive)
    within = stratified_auroc(score, positive, place)
    if area is None or within is None:
        return area
    # Without a row of its own, a source looks emptier to its positives than to its negatives.
    found = np.bincount(place, hit)
    same = float((found * (np.bincount(place) - found)).sum()) / (hit.sum() * (len(hit) - hit.sum()))
    return float(area + same * (0.5 - within))


@dataclass(frozen=True, slots=True, eq=False)
class CoOccurrence:
    """How often two findings stand together, against how often they would by chance."""

    labels: tuple[str, ...]
    n: Ints
    observed: Ints
    expected: Floats
    """`n`, `observed`, `expected`: (labels, labels), rows in which both are known, those in which both are
    present, and what independence would give; the diagonal of the last is the count itself."""

    @property
    def ratio(self) -> Floats:
        """Observed over expected; NaN on the diagonal and where one of the two is never present."""
        found: Floats = np.divide(
            self.observed, self.expected, out=np.full(self.expected.shape, np.nan), where=self.expected > 0
        )
        np.fill_diagonal(found, np.nan)
        return found


def co_occurrence(truth: Truth, labels: Sequence[str]) -> CoOccurrence:
    """Count pairs of findings; for each pair only rows that know both."""
    known, present = (truth >= 0).astype(np.float64), (truth == 1).astype(np.float64)
    n = known.T @ known
    # Presence of the first among the rows that know the second too.
    first = present.T @ known
    expected = np.divide(first * first.T, n, out=np.zeros_like(n), where=n > 0)
    observed = (present.T @ present).astype(np.int64)
    np.fill_diagonal(expected, np.diag(observed))
    return CoOccurrence(tuple(labels), n.astype(np.int64), observed, expected)


def abnormal_truth(truth: Truth, labels: Sequence[str]) -> Truth:
    """Whether anything is abnormal, row by row: 1, 0, or -1 where the labels do not say.

    Any finding that is present makes it 1, and `Normal` or `No_Tumor` present makes it 0. A row with both
    contradicts itself and is left at -1; so is a row with neither, for what is not listed may be there.
    """
    well = np.array([label in NORMAL_LABELS for label in labels], dtype=bool)
    ill = (truth[:, ~well] == 1).any(axis=1)
    normal = (truth[:, well] == 1).any(axis=1)
    return np.select([ill & normal, ill, normal], [-1, 1, 0], -1).astype(np.int8)


# What an evaluation of findings found: frozen values, and their JSON.


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

    def only(self, rows: Bools) -> Judged:
        names = ("truth", "scores", "probabilities", "positive", "screen", "groups")
        return only_rows(self, rows, *names, "source", "view", "sex", "age", "sha256")

    @classmethod
    def bare(cls, source: tuple[str, ...], **values: Any) -> Judged:
        """Rows of which nothing but the source is known: no view, no sex, no age and no file."""
        none = (None,) * len(source)
        return cls(source=source, view=none, sex=none, age=none, sha256=("",) * len(source), **values)

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


FIXED = (0.90, 0.95)
"""The specificities and sensitivities at which the other of the two is reported."""
LEAST_KIND = 5
"""Images with a label, and without it, from which on an interval, or a part's AUROC, means anything."""

DIMENSIONS = {
    "view": Sentence("View"),
    "source": Sentence("Source"),
    "sex": Sentence("Sex"),
    "age": Sentence("Age"),
    "prevalence": Sentence("Prevalence"),
}

Without = dict[str, Sentence]
"""Why a figure is null, by its path in the JSON."""


def mean_interval(replicates: Floats | None, columns: Sequence[int]) -> Interval | None:
    """95% interval of the mean over labels; None where every draw gives the same, which proves nothing."""
    if replicates is None or not columns:
        return None
    # A draw without a rare label's positives has no area for it; the others still say how the mean moves.
    means = mean_over_labels(replicates[:, columns])
    interval = percentile_interval(means)
    return None if interval is None or interval.low == interval.high else interval


def mean_over_labels(replicates: Floats) -> Floats:
    """(replicates,): the mean over the labels that a draw has, of (replicates, labels)."""
    there = (~np.isnan(replicates)).sum(axis=1).astype(np.float64)
    return ratio(np.nansum(replicates, axis=1), there)


def label_figures(judged: Judged) -> tuple[dict[str, LabelFigures], Without]:
    """The figures of each label, and why something is missing: for card, evaluation and trial alike."""
    found: dict[str, LabelFigures] = {}
    without: Without = {}
    for column, label in enumerate(judged.labels):
        found[label], reasons = _label(judged, column)
        without |= {f"per_label.{label}{name}": reason for name, reason in reasons.items()}
    return found, without


def _label(judged: Judged, column: int) -> tuple[LabelFigures, Without]:
    label, known = judged.labels[column], judged.truth[:, column] >= 0
    use = judged.usable[:, column]
    positive, scores = judged.truth[use, column] == 1, judged.scores[use, column]
    n, n_positive = len(positive), int(positive.sum())
    if not known.any():
        reason = Sentence("The data says nothing about this label.")
        return LabelFigures(label, 0, 0), {"": reason}
    if label not in judged.operated_at:
        n, n_positive = int(known.sum()), int((judged.truth[:, column] == 1).sum())
        return LabelFigures(label, n, n_positive), {"": Sentence("The model does not assess this label.")}
    if not n:
        reason = Sentence("No image for which this label is known was assessed for it.")
        return LabelFigures(label, 0, 0), {"": reason}
    without: Without = {}
    groups, source = judged.groups[use], np.asarray(judged.source)[use]
    read = judged.positive[use, column] >= 0
    called, happened, patients = judged.decided[use, column][read], positive[read], groups[read]
    decisions = Decisions.of(called, happened)
    area = auroc(scores, positive)
    ci, method = _interval(scores, positive, groups)
    if area is None:
        without[".auroc"] = Sentence(
            "It needs images with and without this label: of {n} it is present in {n_positive}.",
            {"n": n, "n_positive": n_positive},
        )
    elif ci is None:
        without[".ci"] = Sentence(
            "It needs {least} patients with it and {least} without, and an area other than 0 and 1.",
            {"least": LEAST_KIND},
        )
    if decisions.f1 is None:
        without[".f1_at_threshold"] = Sentence("No image has this label.")
    ece, skill, reasons = _calibration(judged.probabilities[use, column], positive)
    without |= reasons
    several = len(np.unique(source)) > 1
    return LabelFigures(
        label=label,
        n=n,
        n_positive=n_positive,
        auroc=area,
        ci=ci,
        method=method,
        auroc_within_source=(
            stratified_auroc(scores, positive, np.unique(source, return_inverse=True)[1]) if several else None
        ),
        source_shortcut=source_shortcut(positive, source.tolist(), groups),
        average_precision=average_precision(scores, positive),
        f1_at_half=Decisions.of(scores >= 0.5, positive).f1,
        operated_at=judged.operated_at[label],
        f1=decisions.f1,
        sensitivity=decisions.sensitivity,
        sensitivity_ci=share_interval(called[happened], patients[happened]),
        specificity=decisions.specificity,
        specificity_ci=share_interval(~called[~happened], patients[~happened]),
        ece=ece,
        brier_skill=skill,
        **_at_fixed(scores, positive),
    ), without


def _interval(
    scores: Floats, positive: Bools, groups: NDArray[np.int64]
) -> tuple[Interval | None, Method | None]:
    if min(len(np.unique(groups[positive])), len(np.unique(groups[~positive]))) < LEAST_KIND:
        return None, None
    interval = auroc_interval(scores, positive, groups)
    # Where all scores are equal there is no variance, and no interval either.
    if interval is None or interval.low == interval.high:
        return None, None
    repeat = len(np.unique(groups)) < len(groups)
    return interval, Method.OBUCHOWSKI if repeat else Method.DELONG


def _calibration(probabilities: Floats, positive: Bools) -> tuple[float | None, float | None, Without]:
    there = ~np.isnan(probabilities)
    claimed, happened = probabilities[there], positive[there]
    if not len(claimed):
        reason = Sentence("The model has no calibration for this label.")
        return None, None, {".ece": reason, ".brier_skill": reason}
    ece = expected_calibration_error(claimed, happened)
    if happened.all() or not happened.any():
        reason = Sentence("All images are alike in this label, so there is no reference to be better than.")
        return ece, None, {".brier_skill": reason}
    return ece, brier_skill(claimed, happened), {}


def _at_fixed(scores: Floats, positive: Bools) -> dict[str, Any]:
    return {
        "sensitivity_at": tuple((at, sensitivity_at_specificity(scores, positive, at)) for at in FIXED),
        "specificity_at": tuple((at, specificity_at_sensitivity(scores, positive, at)) for at in FIXED),
    }


def mean_of(values: Iterable[float | None]) -> float | None:
    """The mean of what is there; None of nothing."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def mean_auroc(scores: NDArray[np.floating], truth: Truth) -> float | None:
    """Mean AUROC of scores (rows, labels) over the labels known both ways; None where there is none."""
    known = truth >= 0
    return mean_of(
        auroc(scores[use, at].astype(np.float64), truth[use, at] == 1)
        for at, use in enumerate(known.T)
        if use.any()
    )


def screening_figures(judged: Judged) -> tuple[tuple[Screening, ...], Without]:
    """Whether anything is abnormal, on each route that the truth speaks of."""
    found, without = [], {}
    for route in Route:
        columns = [at for at, label in enumerate(judged.labels) if route_of(label) is route]
        labels = [judged.labels[at] for at in columns]
        truth = abnormal_truth(judged.truth[:, columns], labels)
        if not (truth >= 0).any():
            continue
        by, scores = "screen", np.where(truth >= 0, judged.screen, np.nan)
        if np.isnan(scores).all():
            ills = [at for at in columns if judged.labels[at] not in NORMAL_LABELS]
            highest = np.nan_to_num(judged.scores[:, ills], nan=-1.0).max(axis=1, initial=-1.0)
            by, scores = "highest_score", np.where(highest < 0, np.nan, highest)
        use = (truth >= 0) & ~np.isnan(scores)
        positive, scored, groups = truth[use] == 1, scores[use], judged.groups[use]
        area = auroc(scored, positive) if len(scored) else None
        screening = Screening(route.value, int(use.sum()), int(positive.sum()), by, area, None)
        if area is None:
            without[f"screening.{route.value}.auroc"] = Sentence(
                "It needs scored images that are normal and others that are not."
            )
        else:
            interval, _ = _interval(scored, positive, groups)
            screening = replace(screening, ci=interval, **_at_fixed(scored, positive))
        found.append(screening)
    return tuple(found), without


def task_figures(judged: Judged, task: Sequence[str]) -> TaskFigures:
    """Accuracy where exactly one label of `task` is true and each has a value, the first of equals counts.

    Calibrated values decide where all have them.
    """
    columns = [judged.labels.index(label) for label in task]
    calibrated = not np.isnan(np.where(judged.usable, judged.probabilities, 0.0)[:, columns]).any()
    values = judged.probabilities if calibrated else judged.scores
    present = judged.truth[:, columns] == 1
    rows = np.flatnonzero((present.sum(axis=1) == 1) & ~np.isnan(values[:, columns]).any(axis=1))
    n, truth, chosen = len(rows), present[rows].argmax(axis=1), values[rows][:, columns].argmax(axis=1)
    correct = np.asarray(truth == chosen)
    shares = [correct[truth == at].mean() for at in np.unique(truth)]
    areas = [auroc(values[rows, column], truth == at) for at, column in enumerate(columns)]
    return TaskFigures(
        labels=tuple(task),
        n=n,
        accuracy=float(correct.mean()) if n else None,
        ci=share_interval(correct, judged.groups[rows]),
        balanced_accuracy=float(np.mean(shares)) if n else None,
        mean_auroc=mean_of(areas) if n else None,
        confusion=confusion(truth, chosen, len(task)),
    )


def subgroups(judged: Judged) -> Iterator[Subgroup]:
    """Every part; in a dimension each image is in exactly one. One that divides nothing is left out."""
    view, sex = (np.array([item or "" for item in column]) for column in (judged.view, judged.sex))
    source = np.array(judged.source)
    age = np.array([np.nan if item is None else item for item in judged.age], dtype=np.float64)
    dimensions: dict[str, list[tuple[str, Sentence, Bools]]] = {
        "view": [
            ("PA", Sentence("PA"), view == View.PA),
            ("AP", Sentence("AP"), view == View.AP),
            ("other", Sentence("another view"), ~np.isin(view, ("", View.PA, View.AP))),
            ("unknown", Sentence("view not known"), view == ""),
        ],
        "source": [
            (name, Sentence("{name}", {"name": name}), source == name) for name in sorted(set(judged.source))
        ],
        "sex": [
            ("F", Sentence("women and girls"), sex == Sex.FEMALE),
            ("M", Sentence("men and boys"), sex == Sex.MALE),
            ("O", Sentence("another sex"), sex == Sex.OTHER),
            ("unknown", Sentence("sex not known"), sex == ""),
        ],
        "age": [
            ("under_18", Sentence("under 18 years"), age < 18),
            ("18_to_39", Sentence("18 to 39 years"), (age >= 18) & (age < 40)),
            ("40_to_64", Sentence("40 to 64 years"), (age >= 40) & (age < 65)),
            ("65_or_more", Sentence("65 years or more"), age >= 65),
            ("unknown", Sentence("age not known"), np.isnan(age)),
        ],
    }
    for dimension, parts in dimensions.items():
        there = [Subgroup(dimension, *part) for part in parts if part[2].any()]
        if len(there) > 1:
            yield from there


def subgroup_figures(judged: Judged, draws: ClusterBootstrap) -> Iterator[ImageSubgroup]:
    """The mean AUROC of every part of the images, over the labels with enough rows of both kinds there."""
    for part in subgroups(judged):
        bare = ImageSubgroup(part.dimension, part.id, part.title, int(part.rows.sum()))
        if bare.n < SMALLEST:
            yield replace(bare, reason=Sentence("Fewer than {least} images.", {"least": SMALLEST}))
            continue
        usable = judged.usable & part.rows[:, None]
        kinds = [((judged.truth == kind) & usable).sum(axis=0) for kind in (0, 1)]
        columns = np.flatnonzero(np.minimum(*kinds) >= LEAST_KIND).tolist()
        if not columns:
            reason = Sentence(
                "No label has {least} images with and {least} without it here.", {"least": LEAST_KIND}
            )
            yield replace(bare, reason=reason)
            continue
        truth = np.where(judged.usable, judged.truth, -1)[part.rows][:, columns].astype(np.int64)
        scores = judged.scores[part.rows][:, columns]
        areas = {
            judged.labels[column]: area
            for at, column in enumerate(columns)
            if (area := auroc(scores[truth[:, at] >= 0, at], truth[truth[:, at] >= 0, at] == 1)) is not None
        }
        own = ClusterBootstrap(judged.groups[part.rows], draws.replicates, draws.seed)
        replicates = auroc_replicates(scores, truth, own) if own.possible else None
        interval = mean_interval(replicates, range(len(columns)))
        yield replace(bare, mean_auroc=mean_of(areas.values()), ci=interval, aurocs=areas)


def prevalence_figures(
    judged: Judged, figures: Mapping[str, LabelFigures], replicates: Floats | None
) -> Iterator[ImageSubgroup]:
    """The mean AUROC of rare, less rare and common labels, where the data has more than one of these."""
    bands = (
        ("under_2", Sentence("present in under 2%"), 0.0, 0.02),
        ("2_to_10", Sentence("present in 2% to 10%"), 0.02, 0.10),
        ("10_or_more", Sentence("present in 10% or more"), 0.10, np.inf),
    )
    found = []
    for name, title, low, high in bands:
        areas = {
            item.label: item.auroc
            for item in figures.values()
            if item.auroc is not None and low <= (item.prevalence or 0.0) < high
        }
        if areas:
            columns = [judged.labels.index(label) for label in areas]
            n = int(judged.usable[:, columns].any(axis=1).sum())
            interval = mean_interval(replicates, columns)
            found.append(
                ImageSubgroup("prevalence", name, title, n, interval, None, mean_of(areas.values()), areas)
            )
    if len(found) > 1:
        yield from found


_Figure = tuple[str, float, Interval | None, int]
"""Name, value, 95% interval, and rows that it was measured on."""


def metrics_of(held_out: HeldOut, data: str, split: tuple[Sentence, ...]) -> tuple[Metric, ...]:
    """The figures that a manifest states: means first, then what drafts state, then label by label."""
    judged = _judged(held_out)
    per_label = {name: item for name, item in label_figures(judged)[0].items() if item.auroc is not None}
    figures = [*_means(judged, per_label), *_drafts(held_out)]
    figures += [item for found in per_label.values() for item in _of_label(held_out, judged, found)]
    return tuple(
        Metric(name=name, value=value, **ends(interval), n=n, data=data, split=split)
        for name, value, interval, n in figures
    )


def source_metrics(
    held_out: HeldOut, source: str, data: str, split: tuple[Sentence, ...]
) -> tuple[Metric, ...]:
    """The rankings and what drafts state on one source's rows alone, each with `@source` behind its name."""
    part = held_out.only(np.flatnonzero([name == source for name in held_out.source]))
    return tuple(
        metric.model_copy(update={"name": f"{metric.name}@{source}"})
        for metric in metrics_of(part, data, split)
        if metric.name.startswith(("mean_auroc", "auroc:", "precision", "stated"))
    )


def _judged(held_out: HeldOut) -> Judged:
    """The same rows as an evaluation has them; thresholds differ from fold to fold."""
    assessed = np.flatnonzero((held_out.called >= 0).any(axis=0)).tolist()
    point = OperatedAt(math.nan, ThresholdOn.PROBABILITY)
    return Judged.bare(
        labels=held_out.labels,
        truth=held_out.truth,
        scores=held_out.scores,
        probabilities=held_out.probability,
        positive=held_out.called,
        screen=np.full(len(held_out.rows), np.nan),
        operated_at={held_out.labels[at]: point for at in assessed},
        groups=held_out.groups,
        source=held_out.source,
    )


def _means(judged: Judged, per_label: Mapping[str, LabelFigures]) -> Iterator[_Figure]:
    """Means over the assessed labels, and over the 14 of NIH where all of them could be ranked."""
    areas = {
        label: auroc(judged.scores[use, at], judged.truth[use, at] == 1)
        for at, (label, use) in enumerate(zip(judged.labels, judged.usable.T, strict=True))
        if use.any()
    }
    draws = ClusterBootstrap(judged.groups)
    truth = judged.truth.astype(np.int64)
    replicates = auroc_replicates(judged.scores, truth, draws) if draws.possible else None
    for name, members in (("mean_auroc", tuple(per_label)), ("mean_auroc_nih", NIH_LABELS)):
        values = [areas.get(label) for label in members]
        if values and None not in values:
            columns = [judged.labels.index(label) for label in members]
            n = int((truth[:, columns] >= 0).any(axis=1).sum())
            yield name, mean_of(values) or 0.0, mean_interval(replicates, columns), n
    columns = [judged.labels.index(label) for label in per_label]
    n = int((truth[:, columns] >= 0).any(axis=1).sum())
    for name in ("average_precision", "ece", "brier_skill"):
        value = mean_of(getattr(item, name) for item in per_label.values())
        if value is not None:
            yield f"mean_{name}", value, None, n


def _of_label(held_out: HeldOut, judged: Judged, found: LabelFigures) -> Iterator[_Figure]:
    label, column = found.label, judged.labels.index(found.label)
    yield f"auroc:{label}", found.auroc or 0.0, found.ci, found.n
    truth = judged.truth[:, column]
    read = judged.positive[:, column] >= 0
    for name, value, interval, kind in (
        ("sensitivity", found.sensitivity, found.sensitivity_ci, 1),
        ("specificity", found.specificity, found.specificity_ci, 0),
    ):
        if value is not None:
            yield f"{name}:{label}", value, interval, int((read & (truth == kind)).sum())
    stated = held_out.stated[:, column] & (truth >= 0)
    if stated.any():
        yield _share(f"precision:{label}", truth[stated] == 1, held_out.groups[stated])


def _drafts(held_out: HeldOut) -> Iterator[_Figure]:
    """How much of what drafts state is true, in all and by the word of likelihood; how many state any."""
    place, column, right = _statements(held_out)
    if not len(place):
        return
    yield _share("precision", right, held_out.groups[place])
    words = _words(held_out, place, column)
    for word in Certainty:
        if (words == word).any():
            yield _share(f"precision_{word}", right[words == word], held_out.groups[place[words == word]])
    some = np.isin(np.arange(len(held_out.rows)), place)
    yield _share("stated_any", some, held_out.groups)


def _statements(held_out: HeldOut) -> tuple[Ints, Ints, Bools]:
    """Row, column and truth of every statement of a finding whose truth is known."""
    ill = np.array([label not in NORMAL_LABELS for label in held_out.labels])
    place, column = np.nonzero(held_out.stated & ill & (held_out.truth >= 0))
    return place, column, held_out.truth[place, column] == 1


def _words(held_out: HeldOut, place: Ints, column: Ints) -> NDArray[np.str_]:
    return np.array([certainty_of(float(value)) for value in held_out.probability[place, column]])


def words_separate(held_out: HeldOut) -> bool:
    """Whether the surer word is the more often right: the intervals of neighbouring words do not overlap."""
    place, column, right = _statements(held_out)
    words = _words(held_out, place, column)
    used = [word for word in Certainty if (words == word).any()]
    shares = [share_interval(right[words == word], held_out.groups[place[words == word]]) for word in used]
    between = list(pairwise(shares))
    return bool(between) and all(sure and less and sure.low > less.high for sure, less in between)


def _share(name: str, success: Bools, groups: Ints) -> _Figure:
    return name, float(success.mean()), share_interval(success, groups), len(success)
