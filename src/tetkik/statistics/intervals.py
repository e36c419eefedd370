"""An interval, and the ways to one: of a share (Wilson), replicates (percentiles), or of groups drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

Z95 = 1.959963984540054
"""The standard normal's 97.5th percentile."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A 95% interval."""

    low: float
    high: float

    def as_json(self) -> list[float]:
        return [self.low, self.high]


def percentile_interval(replicates: Floats) -> Interval | None:
    """The middle 95% of the replicates; None where more than one in twenty is without meaning (NaN)."""
    usable = replicates[~np.isnan(replicates)]
    if len(usable) == 0 or len(usable) < 0.95 * len(replicates):
        return None
    low, high = np.percentile(usable, [2.5, 97.5])
    return Interval(float(low), float(high))


def wilson_interval(successes: float, trials: float) -> Interval | None:
    """95% interval of a share (Wilson, JASA 22 (1927) 209), which holds near 0 and 1; None without trials.

    The trials are independent ones; a fraction where rows that hang together count as fewer.
    """
    if trials <= 0:
        return None
    share, z2 = successes / trials, Z95**2
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z95 / (1 + z2 / trials) * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    # At 0 and at all the formula is exact and its floating point is not.
    low = 0.0 if successes == 0 else float(centre - half)
    high = 1.0 if successes == trials else float(centre + half)
    return Interval(low, high)


def share_interval(success: Bools, groups: Ints) -> Interval | None:
    """95% interval of a share of rows that come in groups, (rows,): Wilson's, over as many rows as they are
    worth.

    What rows are worth is their number over the design effect, as Korn and Graubard do (Survey Methodology 24
    (1998) 193); where all or none succeed, the number of groups. Rows of single groups give Wilson's own.
    None without rows.
    """
    rows, hits = len(success), int(success.sum())
    if rows == 0:
        return None
    _, cluster = np.unique(groups, return_inverse=True)
    count = int(cluster.max()) + 1
    if count == rows:
        return wilson_interval(hits, rows)
    share, worth = hits / rows, float(count)
    if count > 1 and 0 < hits < rows:
        spread = np.bincount(cluster, success - share)
        variance = count / (count - 1) * float(spread @ spread) / rows**2
        worth = min(float(rows), share * (1 - share) / variance) if variance > 0 else float(rows)
    return wilson_interval(worth if hits == rows else share * worth, worth)


def ratio(above: Floats, below: Floats) -> Floats:
    """`above / below`, NaN where `below` is not positive."""
    quotient: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)
    return quotient


_CELLS = 1 << 22
"""Draws held in memory at once, in cells of a (replicates, rows) matrix."""


@dataclass(frozen=True, slots=True)
class ClusterBootstrap:
    """Draws of whole groups with replacement: the same draws each time, so two models can be paired."""

    groups: Ints  # (rows,), the group of each row (a patient, duplicates of a text)
    replicates: int = 1000
    seed: int = 0

    @property
    def possible(self) -> bool:
        """Whether there is anything to draw: two groups or more, and a replicate."""
        return self.replicates > 0 and len(np.unique(self.groups)) > 1

    @property
    def clusters(self) -> Ints:
        """(rows,): the group of each row as 0, 1, 2, …, the columns of `draws`."""
        return np.unique(self.groups, return_inverse=True)[1].astype(np.int64)

    def draws(self) -> Iterator[Ints]:
        """How many times each group is drawn, in chunks of (replicates of this chunk, groups)."""
        clusters = len(np.unique(self.groups))
        random = np.random.default_rng(self.seed)
        step = max(1, _CELLS // len(self.groups))
        for start in range(0, self.replicates, step):
            count = min(step, self.replicates - start)
            drawn = random.integers(0, clusters, (count, clusters))
            flat = (drawn + np.arange(count)[:, None] * clusters).ravel()
            yield np.bincount(flat, minlength=count * clusters).reshape(count, clusters)

    def sums(self, columns: Floats) -> Floats:
        """Sums of `columns`, (rows, columns), over the rows of each draw: (replicates, columns), float64."""
        cluster = self.clusters
        of_group = np.stack([np.bincount(cluster, column) for column in columns.T], axis=1)
        return np.concatenate([times.astype(np.float64) @ of_group for times in self.draws()])
