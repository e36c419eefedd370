"""What the scores of rows that were not learned are worth: calibration, thresholds, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Metric
from tetkik.lab.findings.calibration import Platt, calibrated, fit_calibration
from tetkik.lab.findings.thresholds import Decisions, Rule, choose_threshold
from tetkik.statistics import (
    ClusterBootstrap,
    Interval,
    auroc,
    auroc_interval,
    auroc_replicates,
    average_precision,
    brier_skill,
    expected_calibration_error,
    percentile_interval,
    wilson_interval,
)
from tetkik.values import NIH_LABELS

Floats = NDArray[np.float64]
Truth = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class OperatingPoints:
    """How scores are read, chosen on rows that are not reported.

    Attributes:
        calibration: slope and intercept by label.
        thresholds: on the probability, by label; a label without one is not assessed.
    """

    calibration: dict[str, Platt]
    thresholds: dict[str, float]

    @classmethod
    def fitted(
        cls, scores: Floats, truth: Truth, labels: Sequence[str], assessed: Sequence[str], rule: Rule
    ) -> OperatingPoints:
        """Calibrate each assessed label and choose its threshold.

        A label whose scores tell nothing, or the reverse of what they should, gets no threshold.

        Args:
            scores: (rows, labels), sigmoids.
            truth: (rows, labels): 1, 0, -1 unknown.
        """
        fits = fit_calibration(scores, truth, labels)
        calibration = {label: fits[label] for label in assessed if label in fits and fits[label][0] > 0}
        probability = calibrated(scores, labels, calibration)
        thresholds = {}
        for label in calibration:
            column = labels.index(label)
            known = truth[:, column] >= 0
            found = choose_threshold(probability[known, column], truth[known, column] == 1, rule)
            if found is not None:
                thresholds[label] = found
        return cls({label: calibration[label] for label in thresholds}, thresholds)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Rows with what an honest reading says of them.

    Attributes:
        scores: (rows, labels), sigmoids.
        truth: (rows, labels): 1, 0, -1 unknown.
        groups: (rows,), component of each.
        source: of each.
        probability: (rows, labels), NaN where not assessed.
        called: (rows, labels): 1 at or above the threshold, 0 below, -1 where not assessed.
    """

    labels: tuple[str, ...]
    rows: NDArray[np.int64]
    scores: Floats
    truth: Truth
    groups: NDArray[np.int64]
    source: tuple[str, ...]
    probability: Floats
    called: NDArray[np.int8]

    def only(self, wanted: NDArray[np.int64]) -> HeldOut:
        """The rows at these places."""
        return HeldOut(
            self.labels,
            self.rows[wanted],
            self.scores[wanted],
            self.truth[wanted],
            self.groups[wanted],
            tuple(self.source[place] for place in wanted),
            self.probability[wanted],
            self.called[wanted],
        )


def decide(scores: Floats, labels: Sequence[str], points: OperatingPoints) -> tuple[Floats, NDArray[np.int8]]:
    """Probabilities and calls of `scores` under `reading`: (rows, labels) each."""
    probability = calibrated(scores, labels, points.calibration)
    called = np.full(scores.shape, -1, np.int8)
    for label, threshold in points.thresholds.items():
        column = labels.index(label)
        called[:, column] = np.round(probability[:, column], 6) >= threshold
    return probability, called


def cross_calibrated(
    scores: Floats,
    truth: Truth,
    fold: NDArray[np.int64],
    labels: Sequence[str],
    assessed: Sequence[str],
    rule: Rule,
) -> tuple[Floats, NDArray[np.int8]]:
    """Each fold read as the other folds teach it, so that nothing is chosen on the rows that are reported.

    Args:
        scores: (rows, labels), out of fold.
        truth: (rows, labels).
        fold: (rows,).
    """
    probability, called = np.full(scores.shape, np.nan), np.full(scores.shape, -1, np.int8)
    for number in np.unique(fold):
        mine = fold == number
        points = OperatingPoints.fitted(scores[~mine], truth[~mine], labels, assessed, rule)
        probability[mine], called[mine] = decide(scores[mine], labels, points)
    return probability, called


def metrics_of(held_out: HeldOut, data: str, split: str) -> tuple[Metric, ...]:
    """All figures of `judged`: means first, then label by label."""
    names = _ranked(held_out)
    found = _means(held_out, names, data, split)
    for label in names:
        found += _label_metrics(held_out, label, data, split)
    return tuple(found)


def source_metrics(held_out: HeldOut, source: str, data: str, split: str) -> tuple[Metric, ...]:
    """The rankings on one source's rows alone, each with `@source` behind its name."""
    part = held_out.only(np.flatnonzero([name == source for name in held_out.source]))
    names = _ranked(part)
    found = [metric for metric in _means(part, names, data, split) if "auroc" in metric.name]
    for label in names:
        found += [item for item in _label_metrics(part, label, data, split) if item.name.startswith("auroc")]
    return tuple(metric.model_copy(update={"name": f"{metric.name}@{source}"}) for metric in found)


def _ranked(held_out: HeldOut) -> list[str]:
    """Labels known both ways in these rows."""
    both = (held_out.truth == 1).any(axis=0) & (held_out.truth == 0).any(axis=0)
    return [label for label, usable in zip(held_out.labels, both, strict=True) if usable]


def _means(held_out: HeldOut, names: Sequence[str], data: str, split: str) -> list[Metric]:
    """Means over the assessed labels, and over the 14 of NIH where all of them could be ranked."""
    assessed = [label for label in names if (held_out.called[:, held_out.labels.index(label)] >= 0).any()]
    found = []
    for name, members in (("mean_auroc", assessed), ("mean_auroc_nih", NIH_LABELS)):
        if members and set(members) <= set(names):
            found.append(_mean_auroc(held_out, name, members, data, split))
    if not assessed:
        return found
    columns = [held_out.labels.index(label) for label in assessed]
    figures = [_calibration_figures(held_out, column) for column in columns]
    rankings = [_known(held_out, column) for column in columns]
    precisions = [average_precision(scores, positive) for scores, positive, _ in rankings]
    n = int((held_out.truth[:, columns] >= 0).any(axis=1).sum())
    values = {
        "mean_average_precision": [value for value in precisions if value is not None],
        "mean_ece": [ece for ece, _ in figures],
        "mean_brier_skill": [skill for _, skill in figures],
    }
    found += [
        Metric(name=name, value=float(np.mean(items)), n=n, data=data, split=split)
        for name, items in values.items()
        if items
    ]
    return found


def _mean_auroc(held_out: HeldOut, name: str, members: Sequence[str], data: str, split: str) -> Metric:
    columns = [held_out.labels.index(label) for label in members]
    rows = (held_out.truth[:, columns] >= 0).any(axis=1)
    scores, truth = held_out.scores[rows][:, columns], held_out.truth[rows][:, columns]
    areas = [auroc(scores[use, at], truth[use, at] == 1) for at, use in enumerate((truth >= 0).T)]
    draws = ClusterBootstrap(held_out.groups[rows])
    interval = None
    if draws.possible:
        # A draw without a rare label's positives has no area for it; the others still say how the mean moves.
        replicates = auroc_replicates(scores, truth.astype(np.int64), draws)
        usable = ~np.isnan(replicates).all(axis=1)
        interval = percentile_interval(np.nanmean(replicates[usable], axis=1))
        if interval is not None and interval.low == interval.high:
            interval = None  # every draw is perfect, which proves nothing
    mean = float(np.mean([area for area in areas if area is not None]))
    return _metric(name, mean, interval, int(rows.sum()), data, split)


def _label_metrics(held_out: HeldOut, label: str, data: str, split: str) -> list[Metric]:
    column = held_out.labels.index(label)
    scores, positive, groups = _known(held_out, column)
    area = auroc(scores, positive)
    assert area is not None
    found = [
        _metric(f"auroc:{label}", area, auroc_interval(scores, positive, groups), len(scores), data, split)
    ]
    called = held_out.called[:, column]
    use = (called >= 0) & (held_out.truth[:, column] >= 0)
    decisions = Decisions.of(called[use] == 1, held_out.truth[use, column] == 1)
    sides = (("sensitivity", 1, decisions.sensitivity), ("specificity", 0, decisions.specificity))
    for name, kind, share in sides:
        if share is not None:
            of_kind = held_out.groups[use & (held_out.truth[:, column] == kind)]
            found.append(
                _metric(f"{name}:{label}", share, _wilson(share, of_kind), len(of_kind), data, split)
            )
    return found


def _wilson(share: float, groups: NDArray[np.int64]) -> Interval | None:
    """Wilson's interval with patients (components), not images, as the independent trials."""
    trials = len(np.unique(groups))
    found = wilson_interval(int(share * trials + 1e-9), trials)
    # The trials' share was rounded down, so the interval may end below the images' own.
    return None if found is None else Interval(min(found.low, share), max(found.high, share))


def _calibration_figures(held_out: HeldOut, column: int) -> tuple[float, float]:
    """ECE and Brier skill of one label's probabilities."""
    use = (held_out.truth[:, column] >= 0) & ~np.isnan(held_out.probability[:, column])
    claimed, happened = held_out.probability[use, column], held_out.truth[use, column]
    skill = brier_skill(claimed, happened) if len(np.unique(happened)) == 2 else 0.0
    return expected_calibration_error(claimed, happened), skill


def _known(held_out: HeldOut, column: int) -> tuple[Floats, NDArray[np.bool_], NDArray[np.int64]]:
    known = held_out.truth[:, column] >= 0
    return held_out.scores[known, column], held_out.truth[known, column] == 1, held_out.groups[known]


def _metric(name: str, value: float, interval: Interval | None, n: int, data: str, split: str) -> Metric:
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return Metric(name=name, value=value, low=low, high=high, n=n, data=data, split=split)
