"""Bootstrap intervals where rows come in groups: whole groups are drawn, so that duplicates stay together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tetkik.statistics.intervals import Floats, Ints

_CELLS = 1 << 22
"""Draws held in memory at once, in cells of a (replicates, rows) matrix."""


@dataclass(frozen=True, slots=True)
class ClusterBootstrap:
    """Draws of whole groups with replacement: the same draws each time, so two models can be paired.

    `groups` is (rows,), int64: the group of each row (a patient, duplicates of a text).
    """

    groups: Ints
    replicates: int = 1000
    seed: int = 0

    @property
    def possible(self) -> bool:
        """Whether there is anything to draw: two groups or more, and a replicate."""
        return self.replicates > 0 and len(np.unique(self.groups)) > 1

    @property
    def grouped(self) -> bool:
        """Whether any group has more than one row."""
        return len(np.unique(self.groups)) < len(self.groups)

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
