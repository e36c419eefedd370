"""Areas under ROC curves with their covariance, and two of them on the same rows (DeLong)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tetkik.statistics.intervals import Z95, Bools, Floats, Interval, Ints
from tetkik.statistics.roc import clustered_variance, placements


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
