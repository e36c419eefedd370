"""A metric as columns that add up over rows and a function of their sums, so that rows can be drawn anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tetkik.statistics import ClusterBootstrap, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Measure:
    """One metric over n rows: `columns`, (n, k), that add up, and the metric (...,) `of` sums (..., k)."""

    name: str
    columns: Floats
    of: Callable[[Floats], Floats]

    @property
    def value(self) -> float:
        return float(self.of(self.columns.sum(axis=0)))

    @property
    def rows(self) -> Floats:
        """(n,): of each row alone; NaN where it has none."""
        return self.of(self.columns)


def mean_measure(name: str, rows: Floats) -> Measure:
    """A metric that is the mean of its rows; a row that is NaN is left out."""
    there = ~np.isnan(rows)
    return Measure(name, np.stack([np.where(there, rows, 0.0), there.astype(np.float64)], axis=1), _mean)


def replicates(measures: Sequence[Measure], draws: ClusterBootstrap) -> list[Floats]:
    """Each measure over each draw, (replicates,): the same draws for all, so that two can be subtracted."""
    if not measures:
        return []
    sums = draws.sums(np.concatenate([measure.columns for measure in measures], axis=1))
    ends = np.cumsum([measure.columns.shape[1] for measure in measures])[:-1]
    parts = np.split(sums, ends, axis=1)
    return [measure.of(part) for measure, part in zip(measures, parts, strict=True)]


def _mean(sums: Floats) -> Floats:
    total, count = sums[..., 0], sums[..., 1]
    mean: Floats = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    return mean
