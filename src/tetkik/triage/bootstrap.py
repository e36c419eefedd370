"""Bootstrap intervals where rows come in groups: whole groups are drawn, so that duplicates stay together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tetkik.triage.metrics import Floats, Interval, Ints

_CELLS = 1 << 22
"""Draws held in memory at once, in cells of a (replicates, groups) matrix."""


@dataclass(frozen=True, slots=True)
class ClusterBootstrap:
    """Draws of whole groups with replacement: the same draws each time, so two models can be paired.

    Attributes:
        groups: (rows,), int64: the duplicate group of each row.
        replicates: how many draws.
        seed: of the random generator (PCG64).
    """

    groups: Ints
    replicates: int = 1000
    seed: int = 0

    @property
    def possible(self) -> bool:
        """Whether there is anything to draw: two groups or more, and a replicate."""
        return self.replicates > 0 and len(np.unique(self.groups)) > 1

    def sums(self, columns: Floats) -> Floats:
        """Sums of `columns` over the rows of each draw.

        Args:
            columns: (rows, columns).

        Returns:
            (replicates, columns), float64.
        """
        _, cluster = np.unique(self.groups, return_inverse=True)
        clusters = int(cluster.max()) + 1
        of_group = np.stack([np.bincount(cluster, column, clusters) for column in columns.T], axis=1)
        random = np.random.default_rng(self.seed)
        step = max(1, _CELLS // clusters)
        parts = []
        for start in range(0, self.replicates, step):
            count = min(step, self.replicates - start)
            drawn = random.integers(0, clusters, (count, clusters))
            flat = (drawn + np.arange(count)[:, None] * clusters).ravel()
            times = np.bincount(flat, minlength=count * clusters).reshape(count, clusters)
            parts.append(times.astype(np.float64) @ of_group)
        return np.concatenate(parts)


def percentile_interval(replicates: Floats) -> Interval | None:
    """The middle 95% of the replicates; None where more than one in twenty is without meaning (NaN)."""
    usable = replicates[~np.isnan(replicates)]
    if len(usable) == 0 or len(usable) < 0.95 * len(replicates):
        return None
    low, high = np.percentile(usable, [2.5, 97.5])
    return Interval(float(low), float(high))
