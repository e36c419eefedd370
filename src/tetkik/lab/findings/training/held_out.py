"""What the scores of rows that were not learned are worth: calibration, thresholds, figures.

A probability means what it says: per label, a sigmoid over the logit of the network's score.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tetkik.findings.operating_points import DIGITS, logit, platt
from tetkik.lab.engine.results import only_rows
from tetkik.lab.findings.sources.rows import Truth
from tetkik.lab.findings.thresholds import ThresholdRule, choose_precise, choose_threshold
from tetkik.statistics import (
    Bools,
    Floats,
)
from tetkik.values import NORMAL_LABELS

Platt = tuple[float, float]
"""Slope and intercept: probability = sigmoid(slope * logit(score) + intercept)."""

PRECISION, NORMAL_PRECISION = 0.5, 0.9
"""Of what a draft states at least so much is to be true; of the images that it calls normal."""
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


@dataclass(frozen=True, slots=True)
class OperatingPoints:
    """How scores are read, chosen on rows that are not reported."""

    calibration: dict[str, Platt]
    thresholds: dict[str, float]
    """On the probability; a label without one is not assessed."""
    asserts: dict[str, float] = field(default_factory=dict)
    """From which probability on a draft states it; a label without one is never stated."""

    @classmethod
    def fitted(
        cls,
        scores: Floats,
        truth: Truth,
        labels: Sequence[str],
        assessed: Sequence[str],
        rule: ThresholdRule,
        groups: NDArray[np.int64] | None = None,
        unselected: Bools | None = None,
    ) -> OperatingPoints:
        """Calibrate each assessed label and choose its threshold, and from where on a draft states it.

        A label whose scores tell nothing, or the reverse of what they should, gets no threshold.

        Args:
            groups: (rows,), patients and duplicates; None where each row is one.
            unselected: (rows,), those that nobody chose for what they show, among which the precision has to
                be reached as well; None where that is known of none.
        """
        groups = np.arange(len(scores)) if groups is None else groups
        fits = fit_calibration(scores, truth, labels)
        calibration = {label: fits[label] for label in assessed if label in fits and fits[label][0] > 0}
        probability = calibrated(scores, labels, calibration)
        thresholds = {}
        for label in calibration:
            column = labels.index(label)
            known = truth[:, column] >= 0
            found = choose_threshold(probability[known, column], truth[known, column] == 1, rule)
            if found is not None:
                thresholds[label] = found
        asserts = {}
        for label, threshold in thresholds.items():
            column = labels.index(label)
            use = truth[:, column] >= 0
            parts = () if unselected is None else (unselected[use],)
            bound = NORMAL_PRECISION if label in NORMAL_LABELS else PRECISION
            values, positive = probability[use, column], truth[use, column] == 1
            found = choose_precise(values, positive, groups[use], threshold, bound, parts)
            if found is not None:
                asserts[label] = found
        return cls({label: calibration[label] for label in thresholds}, thresholds, asserts)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Rows with what an honest reading says of them."""

    labels: tuple[str, ...]
    rows: NDArray[np.int64]
    truth: Truth
    groups: NDArray[np.int64]
    """(rows,), component of each."""
    source: tuple[str, ...]
    scores: Floats
    """(rows, labels), sigmoids."""
    probability: Floats
    """(rows, labels), NaN where not assessed."""
    called: NDArray[np.int8]
    """(rows, labels): 1 at or above the threshold, 0 below, -1 where not assessed."""
    stated: Bools
    """(rows, labels): whether a draft states it."""

    def only(self, wanted: NDArray[np.int64]) -> HeldOut:
        arrays = ("rows", "truth", "groups", "scores", "probability", "called", "stated")
        return only_rows(self, wanted, "source", *arrays)


def decide(
    scores: Floats, labels: Sequence[str], points: OperatingPoints
) -> tuple[Floats, NDArray[np.int8], Bools]:
    """Probabilities of scores, calls, and what a draft states: (rows, labels) each."""
    probability = calibrated(scores, labels, points.calibration)
    called = np.full(scores.shape, -1, np.int8)
    for label, threshold in points.thresholds.items():
        column = labels.index(label)
        called[:, column] = np.round(probability[:, column], DIGITS) >= threshold
    stated = np.zeros(scores.shape, np.bool_)
    for label, point in points.asserts.items():
        column = labels.index(label)
        stated[:, column] = np.round(probability[:, column], DIGITS) >= point
    # Nothing is normal beside something positive.
    ill = [labels.index(label) for label in points.thresholds if label not in NORMAL_LABELS]
    for column in (labels.index(label) for label in points.asserts if label in NORMAL_LABELS):
        stated[:, column] &= ~(called[:, ill] == 1).any(axis=1)
    return probability, called, stated


def cross_calibrated(
    scores: Floats,
    truth: Truth,
    fold: NDArray[np.int64],
    labels: Sequence[str],
    assessed: Sequence[str],
    rule: ThresholdRule,
    groups: NDArray[np.int64] | None = None,
    unselected: Bools | None = None,
) -> tuple[Floats, NDArray[np.int8], Bools]:
    """Each fold read as the other folds teach it, so that nothing is chosen on the rows that are reported."""
    probability, called = np.full(scores.shape, np.nan), np.full(scores.shape, -1, np.int8)
    stated = np.zeros(scores.shape, np.bool_)
    for number in np.unique(fold):
        mine = fold == number
        others = [None if part is None else part[~mine] for part in (groups, unselected)]
        points = OperatingPoints.fitted(scores[~mine], truth[~mine], labels, assessed, rule, *others)
        probability[mine], called[mine], stated[mine] = decide(scores[mine], labels, points)
    return probability, called, stated
