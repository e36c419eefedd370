"""Whether probabilities mean what they say: reliability over bins of equal mass, and the Brier skill."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Figures = NDArray[np.floating]
Truth = NDArray[np.floating] | NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """Rows of neighbouring probabilities: the mean claimed, the share that happened, how many rows."""

    claimed: float
    happened: float
    n: int


def reliability(claimed: Figures, happened: Truth, bins: int = 15) -> tuple[ReliabilityBin, ...]:
    """Bins of equal mass, lowest probabilities first, of (rows,) that were claimed and happened (or not).

    The bins hold equally many rows, not equal stretches of probability: Nixon et al., "Measuring calibration
    in deep learning", 2019. Rows of equal probability stay in their order, so bins may part them.
    """
    if len(claimed) == 0:
        return ()
    order = np.argsort(claimed, kind="stable")
    return tuple(
        ReliabilityBin(float(claimed[part].mean()), float(happened[part].mean()), len(part))
        for part in np.array_split(order, min(bins, len(order)))
    )


def expected_calibration_error(claimed: Figures, happened: Truth, bins: int = 15) -> float:
    """Mean distance of claimed and true frequency over bins as in `reliability`; `ValueError` for none."""
    if len(claimed) == 0:
        raise ValueError("no rows")
    parts = reliability(claimed, happened, bins)
    return float(sum(abs(part.claimed - part.happened) * part.n for part in parts) / len(claimed))


def brier_skill(claimed: Figures, happened: Truth) -> float:
    """Brier skill score: 1 is perfect, 0 no better than always giving the frequencies of these rows.

    The Brier score (Brier, 1950), summed over the labels where there are several, against that of the
    frequencies. Both arguments are (rows,) or (rows, labels).

    Raises:
        ValueError: no rows, or all alike, where the score has no meaning.
    """
    truth = np.asarray(happened, dtype=np.float64)
    reference = float(((truth - truth.mean(axis=0)) ** 2).sum()) if len(truth) else 0.0
    if reference == 0:
        raise ValueError("the Brier skill score needs rows of two kinds")
    return float(1 - ((claimed - truth) ** 2).sum() / reference)
