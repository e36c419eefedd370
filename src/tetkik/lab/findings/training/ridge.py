"""Ridge regression on the grid means of a frozen network: exact, quick, and strong where images are few.

Hoerl and Kennard, "Ridge regression", Technometrics 1970; solved in the dual, with the penalty chosen by the
leave-one-out error, which has a closed form (Allen's PRESS, Technometrics 1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tetkik.errors import TrainingError, UsageError
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.batches import Rows, in_steps
from tetkik.lab.findings.grid_pooling import GridPooled
from tetkik.lab.findings.sources.rows import Truth
from tetkik.lab.findings.training.data import load_batches, network_input, plain
from tetkik.lab.findings.training.decoded_images import DecodedImages
from tetkik.lab.findings.training.distillation import LogitScale, TeacherPredictions
from tetkik.lab.findings.training.held_out import fit_platt
from tetkik.statistics import Floats
from tetkik.values import ProgressCallback

MOST_ROWS = 20_000
"""The dual needs a matrix of rows by rows."""
PENALTIES = (0.03, 0.1, 0.3, 1.0, 3.0)
"""In units of the mean of the kernel's diagonal."""


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """Ridge regression of one target."""

    dual: Floats
    """(rows,): the weights of the training rows."""
    intercept: float
    left_out: Floats
    """(rows,): what each training row would be said to be by the others."""


def solve(kernel: Floats, target: Floats) -> Solution:
    """The solution with the least squared leave-one-out error over `PENALTIES`.

    `kernel` is (rows, rows), of centred features, and `target` (rows,).
    """
    intercept = float(target.mean())
    values, vectors = np.linalg.eigh(kernel)
    values = np.maximum(values, 0)
    turned = vectors.T @ (target - intercept)
    best: Solution | None = None
    least = np.inf
    for penalty in PENALTIES:
        shrunk = 1 / (values + penalty * max(values.mean(), 1e-12))
        dual = vectors @ (shrunk * turned)
        diagonal = (vectors**2) @ shrunk
        left_out = target - dual / diagonal
        error = float(((target - left_out) ** 2).mean())
        if error < least:
            least, best = error, Solution(dual, intercept, left_out)
    assert best is not None
    return best


class StageMeans:
    """The grid means of images, each computed once: the untrained network is the same in every fold."""

    def __init__(self, images: DecodedImages, preprocessing: Preprocessing, batch_size: int) -> None:
        self._images, self._preprocessing, self._batch_size = images, preprocessing, batch_size
        self._known: dict[int, NDArray[np.float32]] = {}

    @torch.no_grad()
    def of(
        self, network: GridPooled, rows: Rows, device: torch.device, progress: ProgressCallback
    ) -> NDArray[np.float32]:
        """The grid means of `rows`: (rows, numbers), float32."""
        network.eval()
        new = np.array([row for row in rows.tolist() if row not in self._known], np.int64)
        done = 0
        for part, batch in load_batches(self._images, in_steps(new, self._batch_size), device):
            means = network.pooled(network_input(plain(batch), self._preprocessing)).float().cpu().numpy()
            self._known.update(zip(part.tolist(), means, strict=True))
            done += len(part)
            progress("ridge", done, len(new))
        return np.stack([self._known[row] for row in rows.tolist()])


def fit_ridge(
    network: GridPooled,
    features: NDArray[np.float32],
    truth: Truth,
    labels: Sequence[str],
    teacher: tuple[TeacherPredictions, float] | None,
) -> None:
    """Set the linear layer of `network`.

    A label is regressed on 1 and -1 over the rows that know it, and turned into a logit by Platt's sigmoid on
    the leave-one-out answers. A teacher's z-scored logits are regressed alike, and the two are mixed as the
    heads of a network are.

    `features` are the grid means, (rows, numbers); `teacher` its probabilities on these rows and its share.
    """
    mean = features.mean(axis=0, dtype=np.float64)
    deviation = np.maximum(features.std(axis=0, dtype=np.float64), 1e-6)
    scaled = (features - mean.astype(np.float32)) / deviation.astype(np.float32)
    scaled /= np.float32(np.sqrt(features.shape[1]))
    weight = np.zeros((len(labels), features.shape[1]))
    bias = np.zeros(len(labels))

    def regress(rows: NDArray[np.int64], target: Floats) -> tuple[Solution, Floats, float]:
        part = scaled[rows]
        centre = part.mean(axis=0, dtype=np.float64).astype(np.float32)
        part = part - centre
        solution = solve((part @ part.T).astype(np.float64), target)
        row = part.T.astype(np.float64) @ solution.dual
        return solution, row, solution.intercept - float(centre @ row)

    for column in range(len(labels)):
        known = np.flatnonzero(truth[:, column] >= 0)
        positive = truth[known, column] == 1
        if positive.all() or not positive.any():  # nothing to tell apart; the label is not assessed
            continue
        solution, row, offset = regress(known, np.where(positive, 1.0, -1.0))
        spread = fit_platt(1 / (1 + np.exp(-2 * solution.left_out)), positive)
        slope, intercept = (1.0, 0.0) if spread is None else spread
        weight[column] = 2 * slope * row
        bias[column] = 2 * slope * offset + intercept
    if teacher is not None:
        soft, share = teacher
        everyone = np.arange(len(features), dtype=np.int64)
        scale = LogitScale.of(soft, everyone)
        targets = scale.targets(soft)
        for number, label in enumerate(soft.labels):
            column = labels.index(label)
            labelled = np.flatnonzero(~np.isnan(targets[:, number]))
            _, row, offset = regress(labelled, targets[labelled, number].astype(np.float64))
            weight[column] = (1 - share) * weight[column] + share * scale.deviation[number] * row
            predicted = scale.deviation[number] * offset + scale.mean[number]
            bias[column] = (1 - share) * bias[column] + share * predicted
    weight /= deviation * np.sqrt(features.shape[1])
    bias -= weight @ mean
    network.set_linear(torch.from_numpy(weight).float(), torch.from_numpy(bias).float())


def stages_of(network: nn.Module, least: int = 4) -> nn.Sequential:
    """The stages of a network, of which some can be frozen or pooled."""
    features = getattr(network, "features", None)
    if not isinstance(features, nn.Sequential) or len(features) < least:
        raise UsageError(
            "--ridge and --freeze need a network with {least} stages or more; leave them out, or choose "
            "mobilenet_v2 or densenet121.",
            least=least,
        )
    return features


def check_row_count(rows: int) -> None:
    """Refuse more rows than ridge regression is for (TrainingError)."""
    if rows > MOST_ROWS:
        raise TrainingError(
            "A ridge member is for at most {most} images, and there are {rows}; leave out --ridge.",
            most=MOST_ROWS,
            rows=rows,
        )
