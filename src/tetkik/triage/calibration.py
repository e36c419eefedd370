"""Probabilities that mean what they say: temperature scaling, its measures, and when to abstain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tetkik.statistics import brier_skill, expected_calibration_error

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

TEMPERATURES = (0.05, 20.0)
"""The range in which a temperature is looked for; separable validation rows would have it go to 0."""


def softmax(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities of `logits / temperature`, (rows, labels), float64: rows sum to 1.

    A temperature above 1 makes the probabilities more alike, below 1 less.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def fit_temperature(logits: Floats, labels: Ints, offset: Floats | float = 0.0) -> float:
    """The temperature with the least negative log-likelihood on held-out rows; `ValueError` without any.

    Guo et al., "On calibration of modern neural networks", ICML 2017. Without an offset, (rows, labels) or 0,
    which is added to the log-probabilities after the temperature, it never changes which label is first.
    """
    from scipy.optimize import minimize_scalar

    if len(labels) == 0:
        raise ValueError("no rows to fit a temperature on")
    rows = np.arange(len(labels))
    wide = np.asarray(logits, dtype=np.float64)

    def loss(log_temperature: float) -> float:
        probabilities = softmax(wide / np.exp(log_temperature) + offset)[rows, labels]
        return float(-np.log(np.maximum(probabilities, 1e-300)).mean())

    low, high = np.log(TEMPERATURES)
    return float(np.exp(minimize_scalar(loss, bounds=(low, high), method="bounded").x))


def ece(probabilities: Floats, labels: Ints, bins: int = 15) -> float:
    """Expected calibration error of the first label, over bins of equal mass; `ValueError` without rows."""
    correct = (probabilities.argmax(axis=1) == labels).astype(np.float64)
    return expected_calibration_error(probabilities.max(axis=1), correct, bins)


def multiclass_brier_skill(probabilities: Floats, labels: Ints) -> float:
    """`tetkik.statistics.brier_skill` of (rows, labels), summed over labels, of which `labels` are true."""
    truth = np.zeros(probabilities.shape)
    truth[np.arange(len(labels)), labels] = 1.0
    return brier_skill(probabilities, truth)


def abstain_threshold(top_probabilities: Floats, coverage: float = 0.8) -> float:
    """The probability under which a model abstains, so that it answers a share `coverage` of these rows.

    `top_probabilities`, (rows,), are of each row's first label, on rows not trained on. Raises `ValueError`
    without rows, and for a coverage that is not above 0 and at most 1.
    """
    if len(top_probabilities) == 0 or not 0 < coverage <= 1:
        raise ValueError("needs rows, and a coverage above 0 and at most 1")
    descending = np.sort(top_probabilities)[::-1]
    return float(descending[int(np.ceil(coverage * len(descending))) - 1])
