"""Answers that are right more often than chance."""

from __future__ import annotations

import numpy as np

from tetkik.statistics import Floats, Ints


def random_answers(seed: int, rows: int, labels: int, decimals: int = 6) -> tuple[Ints, Floats]:
    """(rows,) the true label of each, and (rows, labels) probabilities, with so many decimals."""
    random = np.random.default_rng(seed)
    truth = random.integers(0, labels, rows)
    probabilities = random.dirichlet(np.full(labels, 0.4), rows)
    probabilities[np.arange(rows), truth] += random.random(rows) * 0.5
    return truth, np.round(probabilities / probabilities.sum(axis=1, keepdims=True), decimals)
