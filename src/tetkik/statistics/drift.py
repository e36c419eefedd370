"""Whether figures of now are spread as those of before: the stability index and the largest gap.

The earlier figures are a histogram, so that they can be kept with a model and compared years later.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from functools import cache

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Histogram
from tetkik.statistics.intervals import Floats

FEWEST = 50
"""Values on each side, below which nothing is said."""
WATCHED, ANOTHER = 0.1, 0.25
"""Siddiqi, Credit Risk Scorecards (2006): below 0.1 steady, above 0.25 another population."""
_BINS = 10
_FINE = 100
_LEVEL = 0.05
_KS95 = 1.3581


class Stability(StrEnum):
    """What is said of a figure."""

    STABLE = "stable"
    WATCH = "watch"
    """Beyond 0.1, and not by chance."""
    SHIFTED = "shifted"
    """Beyond 0.25, and not by chance: another population."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one sample lies from another, beside how far two samples of one population do."""

    before: int
    now: int
    # population stability index over ten bins at the deciles of the earlier sample (Siddiqi 2006), or over
    # yes and no
    psi: float
    # what 95 of 100 sets of so many comparisons between samples of one population, of these sizes, stay below
    # in every one (Yurdakul 2018: chi square times the sum of the inverse sizes; Dunn 1961, after Bonferroni,
    # for the number of comparisons)
    psi_chance: float
    # largest gap between the two cumulative distributions at the edges of the bins, 0 to 1; None of a share
    ks: float | None
    ks_chance: float | None  # its limit by chance at 95% for one comparison (Smirnov 1948); None of a share
    mean_before: float
    mean_now: float
    # share of the earlier and of the later sample in each bin of the index
    bins: tuple[tuple[float, float], ...]

    @property
    def stability(self) -> Stability:
        """Said only beyond what chance reaches."""
        if self.psi > max(ANOTHER, self.psi_chance):
            return Stability.SHIFTED
        return Stability.WATCH if self.psi > max(WATCHED, self.psi_chance) else Stability.STABLE


def histogram(values: Floats) -> Histogram:
    """Values (n,), one at least, in about a hundred bins of equal mass; equal values stay in one bin.

    Below the least and above the greatest lies one empty bin each: there a later value is seen to be new,
    even where all the earlier ones were equal.
    """
    least, greatest = float(values.min()), float(values.max())
    quantiles = np.quantile(values, np.linspace(0, 1, _FINE + 1)[1:-1])
    inner = {edge for edge in (float(f"{edge:.6g}") for edge in quantiles) if least < edge <= greatest}
    edges = np.array(sorted({least, *inner, math.nextafter(greatest, math.inf)}))
    return Histogram(
        edges=tuple(edges.tolist()),
        counts=tuple(_counted(edges, values).tolist()),
        mean=float(f"{values.mean():.6g}"),
    )


def shift(before: Histogram, now: Floats | Histogram, comparisons: int = 1) -> Shift | None:
    """Compare later values (m,) with earlier ones; None where either has fewer than `FEWEST`.

    Of a later histogram the edges count that both have. Chance is allowed for once in all `comparisons`.
    """
    n = now.total if isinstance(now, Histogram) else len(now)
    if min(before.total, n) < FEWEST:
        return None
    if isinstance(now, Histogram):
        shared = set(before.edges) & set(now.edges)
        then, later = _within(shared, before), _within(shared, now)
    else:
        then, later = np.array(before.counts), _counted(np.array(before.edges), now)
    starts = _tenths(then)
    pooled = np.add.reduceat(then, starts), np.add.reduceat(later, starts)
    gap = np.abs(np.cumsum(then) / then.sum() - np.cumsum(later) / later.sum())
    inverse = 1 / before.total + 1 / n
    return Shift(
        before.total,
        n,
        _stability(*pooled),
        _chi_square(max(1, len(starts) - 1), comparisons) * inverse,
        float(gap.max()),
        _KS95 * inverse**0.5,
        before.mean,
        now.mean if isinstance(now, Histogram) else float(np.mean(now)),
        _shares(*pooled),
    )


def share_shift(before: tuple[int, int], now: tuple[int, int], comparisons: int = 1) -> Shift | None:
    """Compare a later share with an earlier one, each as (hits, total); None with fewer than `FEWEST`."""
    (had, n), (has, m) = before, now
    if min(n, m) < FEWEST:
        return None
    then, later = np.array([had, n - had]), np.array([has, m - has])
    chance = _chi_square(1, comparisons) * (1 / n + 1 / m)
    psi, shares = _stability(then, later), _shares(then, later)
    return Shift(n, m, psi, chance, None, None, had / n, has / m, shares)


def _counted(edges: Floats, values: Floats) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)


def _within(shared: set[float], given: Histogram) -> NDArray[np.int64]:
    """The counts of a histogram between some of its edges."""
    starts = [0, *(place + 1 for place, edge in enumerate(given.edges) if edge in shared)]
    return np.add.reduceat(np.array(given.counts, np.int64), starts)


def _tenths(counts: NDArray[np.int64]) -> list[int]:
    """Where each of about ten groups of neighbouring bins begins, all with about as many values."""
    below = np.cumsum(counts)[:-1]
    wanted = counts.sum() * np.arange(1, _BINS) / _BINS
    nearest = {int(np.abs(below - mass).argmin()) + 1 for mass in wanted} if len(below) else set()
    return [0, *sorted(nearest)]


def _stability(before: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    # Half a value in each bin: an empty bin is no infinite distance.
    then, later = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (before, now))
    return float(np.sum((later - then) * np.log(later / then)))


def _shares(before: NDArray[np.int64], now: NDArray[np.int64]) -> tuple[tuple[float, float], ...]:
    return tuple(zip((before / before.sum()).tolist(), (now / now.sum()).tolist(), strict=True))


@cache
def _chi_square(degrees: int, comparisons: int) -> float:
    """The quantile of chi square that one of `comparisons` reaches by chance in 5 of 100 sets."""
    tail = _LEVEL / comparisons
    low, high = 0.0, float(degrees)
    while _chi_square_tail(high, degrees) > tail:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        if _chi_square_tail(middle, degrees) > tail:
            low = middle
        else:
            high = middle
    return middle


def _chi_square_tail(value: float, degrees: int) -> float:
    """The chance of chi square beyond `value`, exact for whole degrees of freedom.

    Abramowitz and Stegun (1964), 26.4.4 (odd degrees) and 26.4.5 (even).
    """
    half = value / 2
    odd = degrees % 2
    terms = (
        math.pow(half, k - odd / 2) / math.gamma(k + 1 - odd / 2) for k in range(odd, (degrees + odd) // 2)
    )
    return odd * math.erfc(math.sqrt(half)) + math.exp(-half) * sum(terms)
