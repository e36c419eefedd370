"""Whether figures of now are spread as those of before: the stability index and the largest gap."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tetkik.statistics.intervals import Floats

FEWEST = 50
"""Values on each side, below which nothing is said."""
_BINS = 10
_Z95 = 1.6449
_KS95 = 1.3581


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one sample lies from another, beside how far two samples of one population do.

    Attributes:
        before: values of the earlier sample.
        now: values of the later one.
        psi: population stability index over ten bins at the deciles of the earlier sample (Siddiqi 2006:
            below 0.1 steady, above 0.25 another population).
        psi_chance: what 95 of 100 pairs of this size from one population stay below (Yurdakul 2018: chi
            square with nine degrees of freedom, times the sum of the inverse sizes).
        ks: largest gap between the two cumulative distributions, 0 to 1.
        ks_chance: its limit by chance at 95% (Smirnov 1948).
        mean_before: of the earlier sample.
        mean_now: of the later one.
    """

    before: int
    now: int
    psi: float
    psi_chance: float
    ks: float
    ks_chance: float
    mean_before: float
    mean_now: float

    @property
    def large(self) -> bool:
        """Another population, and not by chance."""
        return self.psi > max(0.25, self.psi_chance)

    @property
    def notable(self) -> bool:
        """Worth a look: beyond 0.1, and not by chance."""
        return self.psi > max(0.1, self.psi_chance)


def shift(before: Floats, now: Floats) -> Shift | None:
    """Compare two samples, (n,) and (m,); None where either has fewer than `FEWEST` values."""
    if min(len(before), len(now)) < FEWEST:
        return None
    inverse = 1 / len(before) + 1 / len(now)
    edges = np.unique(np.quantile(before, np.linspace(0, 1, _BINS + 1)[1:-1]))
    return Shift(
        len(before),
        len(now),
        _stability(before, now, edges),
        _chi_square_95(max(1, len(edges))) * inverse,
        _gap(before, now),
        _KS95 * inverse**0.5,
        float(np.mean(before)),
        float(np.mean(now)),
    )


def _stability(before: Floats, now: Floats, edges: Floats) -> float:
    shares = []
    for values in (before, now):
        counts = np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)
        # Half a value in each bin: an empty bin is no infinite distance.
        shares.append((counts + 0.5) / (len(values) + 0.5 * len(counts)))
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def _gap(before: Floats, now: Floats) -> float:
    everything = np.concatenate([before, now])
    lower = np.searchsorted(np.sort(before), everything, side="right") / len(before)
    upper = np.searchsorted(np.sort(now), everything, side="right") / len(now)
    return float(np.max(np.abs(lower - upper)))


def _chi_square_95(degrees: int) -> float:
    """The 95th percentile of chi square (Wilson and Hilferty 1931); 0.1% off at nine degrees."""
    part = 2 / (9 * degrees)
    return float(degrees * (1 - part + _Z95 * part**0.5) ** 3)
