"""Regularised linear classifiers over sparse rows.

    minimise  regularisation / 2 * |W|^2  +  sum of cost[label] * loss(row @ W, label)

Both losses are convex and the penalty is strictly so: the answer is unique, and the two solvers here agree.
The one in C is stochastic dual coordinate ascent, which moves all classes in one visit of a row; where the C
module was not built, L-BFGS (SciPy) takes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from tetkik.statistics import Floats
from tetkik.triage.linear.compiled import ngrams
from tetkik.triage.linear.features import Rows, stride_of

TOLERANCE = 0.03
"""Passes end once the duals move by this share of what they moved in the first pass."""
MAX_PASSES = 60


class Loss(IntEnum):
    """What is minimised; the numbers are those of the C code."""

    SQUARED_HINGE = 0
    """Half the squared hinge, each class against the rest."""
    SOFTMAX = 1
    """Multinomial cross-entropy."""


def solve(
    chunks: Sequence[Rows],
    labels: Sequence[NDArray[np.int32]],
    *,
    columns: int,
    costs: Sequence[NDArray[np.float32]],
    regularisation: float,
    loss: Loss,
    seed: int = 0,
    tick: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """Fit one classifier: (columns, stride), float32; columns past the classes are zero.

    Args:
        chunks: the rows, in pieces, so that large data need no second copy.
        labels: the class of each row, piece by piece, int32.
        costs: piece by piece, (classes,), float32: the weight of a row by its class.
        regularisation: strength of the squared penalty on the sum of losses.
    """
    if ngrams is None:
        return _by_lbfgs(chunks, labels, columns, costs, regularisation, loss)
    classes = len(costs[0])
    stride = stride_of(classes)
    weights = np.zeros((columns, stride), dtype=np.float32)
    duals = [np.zeros((len(chunk), stride), dtype=np.float32) for chunk in chunks]
    squares = [np.add.reduceat(chunk.values**2, chunk.indptr[:-1]).astype(np.float32) for chunk in chunks]
    random = np.random.default_rng(seed)
    first = 0.0
    for passes in range(1, MAX_PASSES + 1):
        moved = 0.0
        for number in random.permutation(len(chunks)):
            chunk = chunks[number]
            moved += ngrams.ascend(
                chunk.indptr,
                chunk.indices,
                chunk.values,
                squares[number],
                labels[number],
                costs[number],
                random.permutation(len(chunk)),
                duals[number],
                weights,
                classes,
                stride,
                regularisation,
                int(loss),
            )
        first = first or moved
        tick(passes)
        if moved <= TOLERANCE * first:
            break
    return weights


def _by_lbfgs(
    chunks: Sequence[Rows],
    labels: Sequence[NDArray[np.int32]],
    columns: int,
    costs: Sequence[NDArray[np.float32]],
    regularisation: float,
    loss: Loss,
) -> NDArray[np.float32]:
    from scipy.optimize import minimize
    from scipy.sparse import csr_matrix, vstack

    rows = vstack(
        [csr_matrix((c.values, c.indices, c.indptr), shape=(len(c), columns)) for c in chunks], "csr"
    )
    label, classes = np.concatenate(list(labels)), len(costs[0])
    cost = np.concatenate([one[own] for one, own in zip(costs, labels, strict=True)])[:, None]
    own = np.eye(classes)[label]

    def objective(flat: Floats) -> tuple[float, Floats]:
        weights = flat.reshape(columns, classes)
        score = rows @ weights
        if loss is Loss.SOFTMAX:
            score -= score.max(axis=1, keepdims=True)
            log_p = score - np.log(np.exp(score).sum(axis=1, keepdims=True))
            value, slope = -(cost * own * log_p).sum(), cost * (np.exp(log_p) - own)
        else:
            sign = 2 * own - 1
            short = np.maximum(0, 1 - sign * score)
            value, slope = 0.5 * (cost * short**2).sum(), -cost * sign * short
        gradient = rows.T @ slope + regularisation * weights
        return float(value + 0.5 * regularisation * (weights**2).sum()), gradient.ravel()

    start = np.zeros(columns * classes)
    found = minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500, "gtol": 1e-4})
    weights = np.zeros((columns, stride_of(classes)), dtype=np.float32)
    weights[:, :classes] = found.x.reshape(columns, classes)
    return weights
