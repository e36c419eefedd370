"""Ranking: the ROC and the precision-recall curve, their areas, and points on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tetkik.statistics.intervals import Z95, Bools, ClusterBootstrap, Floats, Interval, Ints, ratio


def roc_curve(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """False and true positive rates from (0, 0) to (1, 1), one point for each distinct score, (rows,)."""
    hits, false, _ = _counts(scores, positive)
    return np.append(0.0, false / false[-1]), np.append(0.0, hits / hits[-1])


def precision_recall_curve(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """Recall and precision at each distinct score, highest first; one row at least must be positive."""
    hits, false, _ = _counts(scores, positive)
    return hits / hits[-1], hits / (hits + false)


def _counts(scores: Floats, positive: Bools) -> tuple[Ints, Ints, Floats]:
    """At each distinct score, highest first: positives and negatives at or above it, and the score."""
    order = np.argsort(-scores, kind="stable")
    last_of_ties = np.append(np.diff(scores[order]) != 0, True)
    hits = np.cumsum(positive[order])[last_of_ties]
    false = np.cumsum(~positive[order])[last_of_ties]
    return hits, false, scores[order][last_of_ties]


def auroc(scores: Floats, positive: Bools) -> float | None:
    """Area under the ROC curve (ties count half); None where only one kind occurs."""
    if positive.all() or not positive.any():
        return None
    above, _ = placements(scores, positive)
    return float(above.mean())


def average_precision(scores: Floats, positive: Bools) -> float | None:
    """Area under the precision-recall curve as a step function; None without a positive row.

    A random order gives the prevalence, so compare only figures of one prevalence.
    """
    if not positive.any():
        return None
    recall, precision = precision_recall_curve(scores, positive)
    return float(np.diff(recall, prepend=0.0) @ precision)


def stratified_auroc(scores: Floats, positive: Bools, strata: Ints) -> float | None:
    """AUROC over pairs of a positive and a negative row of one stratum, (rows,); None without a pair."""
    wins = pairs = 0.0
    for stratum in np.unique(strata):
        inside = strata == stratum
        area = auroc(scores[inside], positive[inside])
        if area is not None:
            weight = float(positive[inside].sum()) * float((~positive[inside]).sum())
            wins, pairs = wins + area * weight, pairs + weight
    return wins / pairs if pairs else None


def sensitivity_at_specificity(scores: Floats, positive: Bools, specificity: float) -> float | None:
    """The highest sensitivity of a threshold whose specificity is at least that; None for one kind only."""
    if positive.all() or not positive.any():
        return None
    false, true = roc_curve(scores, positive)
    return float(true[1 - false >= specificity - 1e-12].max())


def specificity_at_sensitivity(scores: Floats, positive: Bools, sensitivity: float) -> float | None:
    """The highest specificity of a threshold whose sensitivity is at least that; None for one kind only."""
    if positive.all() or not positive.any():
        return None
    false, true = roc_curve(scores, positive)
    return float(1 - false[true >= sensitivity - 1e-12].min())


def auroc_interval(scores: Floats, positive: Bools, groups: Ints) -> Interval | None:
    """95% interval of the AUROC with rows that come in `groups`, (rows,), on the logit scale.

    The variance is that of Obuchowski, "Nonparametric analysis of clustered ROC curve data", Biometrics 53
    (1997) 567; with groups of one row it is DeLong's. None where it has no meaning: fewer than two groups of
    either kind, or an area of 0 or 1.
    """
    if positive.all() or not positive.any():
        return None
    above, below = placements(scores, positive)
    area = float(above.mean())
    variance = clustered_variance(above - area, below - area, positive, groups)
    return None if variance is None else logit_interval(area, variance)


def clustered_variance(above: Floats, below: Floats, positive: Bools, groups: Ints) -> float | None:
    """Obuchowski's variance of an area (or of a difference of areas) from placements about their mean.

    `above` is (positives,), `below` (negatives,). None with fewer than two groups of either kind.
    """
    _, cluster = np.unique(groups, return_inverse=True)
    clusters = int(cluster.max()) + 1
    of_positive = np.bincount(cluster[positive], above, clusters)
    of_negative = np.bincount(cluster[~positive], below, clusters)
    ups, downs = (len(np.unique(cluster[rows])) for rows in (positive, ~positive))
    if min(ups, downs) < 2:
        return None
    count, other = len(above), len(below)
    return float(
        ups / (ups - 1) * (of_positive @ of_positive) / count**2
        + downs / (downs - 1) * (of_negative @ of_negative) / other**2
        + 2 * clusters / (clusters - 1) * (of_positive @ of_negative) / (count * other)
    )


def logit_interval(area: float, variance: float) -> Interval | None:
    """95% interval of an area on the logit scale, which keeps it within 0 and 1; None for 0 and for 1."""
    if not 0 < area < 1:
        return None
    centre = np.log(area / (1 - area))
    half = Z95 * np.sqrt(max(variance, 0.0)) / (area * (1 - area))
    return Interval(float(1 / (1 + np.exp(half - centre))), float(1 / (1 + np.exp(-half - centre))))


def auroc_replicates(scores: Floats, truth: Ints, draws: ClusterBootstrap) -> Floats:
    """The AUROC of every label in every draw of whole groups, (replicates, labels); the draws are the same.

    Of `scores`, (rows, labels), NaN is none; `truth`, (rows, labels), is 1, 0, or -1 for unknown, which is
    left out like a row without a score. NaN where a draw has rows of one kind only.
    """
    cluster = draws.clusters
    known = (truth >= 0) & ~np.isnan(scores)
    parts = [_Weighted(scores[use, at], truth[use, at] == 1, cluster[use]) for at, use in enumerate(known.T)]
    # A group's counts lie side by side, so that looking them up is quick; float32 counts exactly to 2^24.
    counts = (np.ascontiguousarray(times.T, dtype=np.float32) for times in draws.draws())
    return np.concatenate([np.stack([part.areas(times) for part in parts], axis=1) for times in counts])


class _Weighted:
    """The AUROC of one label for any number of times that each group counts, its sorting done once."""

    def __init__(self, scores: Floats, positive: Bools, cluster: Ints) -> None:
        order = np.argsort(scores[~positive], kind="stable")
        downs = scores[~positive][order]
        self._negatives = cluster[~positive][order]
        self._positives = cluster[positive]
        left = np.searchsorted(downs, scores[positive], "left")
        right = np.searchsorted(downs, scores[positive], "right")
        # Only how many negatives lie below each positive is asked for: the sums between these places will do.
        places = np.unique(np.concatenate([[0], left, right]))
        self._starts = places[places < len(downs)]
        self._left, self._right = (np.searchsorted(self._starts, place) for place in (left, right))

    def areas(self, times: NDArray[np.float32]) -> Floats:
        """(replicates,) from (groups, replicates)."""
        if not len(self._positives) or not len(self._negatives):
            return np.full(times.shape[1], np.nan)
        below = np.zeros((len(self._starts) + 1, times.shape[1]))
        between = np.add.reduceat(times[self._negatives], self._starts, axis=0)
        np.cumsum(between, axis=0, out=below[1:])
        weight = times[self._positives].astype(np.float64)
        wins = (weight * (below[self._left] + below[self._right])).sum(axis=0) / 2
        return ratio(wins, weight.sum(axis=0) * below[-1])


def placements(scores: Floats, positive: Bools) -> tuple[Floats, Floats]:
    """For each positive row the share of negatives below it; for each negative that of positives above.

    Both in O(rows log rows), by ranks: Sun and Xu, IEEE Signal Processing Letters 21 (2014) 1389.
    """
    ups, downs = scores[positive], scores[~positive]
    return _share_below(ups, np.sort(downs)), 1 - _share_below(downs, np.sort(ups))


def _share_below(values: Floats, ordered: Floats) -> Floats:
    left = np.searchsorted(ordered, values, "left")
    right = np.searchsorted(ordered, values, "right")
    return (left + right) / (2 * len(ordered))


# Areas under ROC curves with their covariance, and two of them on the same rows (DeLong).


@dataclass(frozen=True, slots=True)
class DeLong:
    """Areas of several predictors of one truth, (predictors,), with their covariance."""

    areas: Floats
    covariance: Floats


@dataclass(frozen=True, slots=True)
class PairedAreas:
    """Two areas on the same rows."""

    first: float
    second: float
    difference: float
    error: float

    @property
    def interval(self) -> Interval:
        """95% interval of the difference, normal approximation."""
        return Interval(self.difference - Z95 * self.error, self.difference + Z95 * self.error)

    @property
    def p(self) -> float:
        """Two-sided p-value; 1 where the two rank alike."""
        if self.error < 1e-12:
            return 1.0 if abs(self.difference) < 1e-12 else 0.0
        return math.erfc(abs(self.difference) / self.error / math.sqrt(2))


def delong(scores: Floats, positive: Bools) -> DeLong | None:
    """Areas and covariance by DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988) 837.

    Computed from ranks, as Sun and Xu (IEEE Signal Processing Letters 21 (2014) 1389) do. Each row counts as
    independent: where patients repeat, use the bootstrap of groups. `scores` is (predictors, rows). None with
    fewer than two rows of either kind.
    """
    count, other = int(positive.sum()), int((~positive).sum())
    if min(count, other) < 2:
        return None
    found = [placements(row, positive) for row in scores]
    above, below = np.stack([up for up, _ in found]), np.stack([down for _, down in found])
    covariance = np.atleast_2d(np.cov(above)) / count + np.atleast_2d(np.cov(below)) / other
    return DeLong(above.mean(axis=1), covariance)


def paired_areas(first: Floats, second: Floats, positive: Bools, groups: Ints) -> PairedAreas | None:
    """The test of two predictors, (rows,) scores each, on the same rows.

    DeLong's where each row is its own group, else with Obuchowski's variance (Biometrics 53 (1997) 567),
    which counts the rows of a group as one. None with fewer than two rows, or groups, of either kind.
    """
    both = delong(np.stack([first, second]), positive)
    if both is None:
        return None
    one, other = (float(area) for area in both.areas)
    variance: float | None
    if len(np.unique(groups)) == len(groups):
        variance = float(both.covariance[0, 0] + both.covariance[1, 1] - 2 * both.covariance[0, 1])
    else:
        (up, down), (up_other, down_other) = placements(first, positive), placements(second, positive)
        change = other - one
        variance = clustered_variance(up_other - up - change, down_other - down - change, positive, groups)
    if variance is None:
        return None
    return PairedAreas(one, other, other - one, math.sqrt(max(variance, 0.0)))


def holm(values: Sequence[float]) -> tuple[float, ...]:
    """p-values adjusted for their number (Holm, Scandinavian Journal of Statistics 6 (1979) 65)."""
    adjusted = [1.0] * len(values)
    least = 0.0
    for place, at in enumerate(sorted(range(len(values)), key=lambda index: values[index])):
        least = max(least, min(1.0, (len(values) - place) * values[at]))
        adjusted[at] = least
    return tuple(adjusted)
