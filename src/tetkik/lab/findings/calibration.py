"""Probabilities that mean what they say: per label, a sigmoid over the logit of the network's score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tetkik.findings.operating_points import logit, platt
from tetkik.statistics import Bools, Floats

Platt = tuple[float, float]
"""Slope and intercept: probability = sigmoid(slope * logit(score) + intercept)."""

LEAST = 5
"""Rows of each kind that a calibration needs; with fewer it would only repeat their accident."""
_PRIOR_DEVIATION = 1.0
"""Of the slope around 1: it bends a slope only where the data do not speak."""
_STEPS = 100


def fit_platt(scores: NDArray[np.floating], positive: Bools, weight: Floats | None = None) -> Platt | None:
    """Slope and intercept with the least penalised negative log-likelihood on rows not trained on.

    Platt, "Probabilistic outputs for support vector machines", 1999, on the logit of the score; Newton's
    method. A normal prior around the identity's slope (mean 1, deviation 1) keeps separable rows finite, and
    the slope is never below 0: calibration must not turn a ranking round. None with fewer than `LEAST` rows
    of either kind. `weight` is how much each row counts.
    """
    if min(int(positive.sum()), int((~positive).sum())) < LEAST:
        return None
    mass = np.ones(len(scores)) if weight is None else np.asarray(weight, np.float64)
    truth = positive.astype(np.float64)
    slope, intercept = _newton(np.stack([logit(scores), np.ones(len(scores))], axis=1), truth, mass)
    if slope < 0:
        share = float((mass * truth).sum() / mass.sum())
        slope, intercept = 0.0, float(np.log(share / (1 - share)))
    return slope, intercept


def _newton(columns: Floats, truth: Floats, mass: Floats) -> Platt:
    """Minimise the penalised loss; halved steps, so that it never rises."""
    prior = np.array([1.0, 0.0])
    precision = np.diag([1 / _PRIOR_DEVIATION**2, 1e-6])

    def loss(at: Floats) -> float:
        value = columns @ at
        off = at - prior
        return float((mass * (np.logaddexp(0, value) - truth * value)).sum() + off @ precision @ off / 2)

    place, least = prior.copy(), loss(prior)
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(columns @ place, -500, 500)))
        gradient = columns.T @ (mass * (probability - truth)) + precision @ (place - prior)
        bend = (columns * (mass * probability * (1 - probability))[:, None]).T @ columns + precision
        step = np.linalg.solve(bend, gradient)
        size = 1.0
        while (now := loss(place - size * step)) > least and size > 1e-10:
            size /= 2
        if now > least:
            break
        place, gain, least = place - size * step, least - now, now
        if gain < 1e-12 * max(1.0, abs(least)):
            break
    return float(place[0]), float(place[1])


def fit_calibration(scores: Floats, truth: NDArray[np.int8], labels: Sequence[str]) -> dict[str, Platt]:
    """`fit_platt` for each label that has enough rows; unknown truth and missing scores (NaN) are left out.

    Slope and intercept by label, for a bundle's `calibration["labels"]`.
    """
    found = {}
    for column, label in enumerate(labels):
        known = (truth[:, column] >= 0) & ~np.isnan(scores[:, column])
        fitted = fit_platt(scores[known, column], truth[known, column] == 1)
        if fitted is not None:
            found[label] = fitted
    return found


def calibrated(scores: Floats, labels: Sequence[str], calibration: Mapping[str, Platt]) -> Floats:
    """Probabilities of scores, (rows, labels) both; NaN stays NaN, as does a label without a calibration."""
    probabilities = np.full(scores.shape, np.nan)
    for column, label in enumerate(labels):
        if label in calibration:
            probabilities[:, column] = platt(scores[:, column], *calibration[label])
    return probabilities
