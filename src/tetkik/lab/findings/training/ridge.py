"""Ridge regression on the grid means of a frozen network: exact, quick, and strong where images are few.

Hoerl and Kennard, "Ridge regression", Technometrics 1970; solved in the dual, with the penalty chosen by the
leave-one-out error, which has a closed form (Allen's PRESS, Technometrics 1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tetkik.errors import TrainingError, UsageError
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.batches import Rows, in_steps
from tetkik.lab.findings.sources.rows import Truth
from tetkik.lab.findings.training.data import load_batches, network_input, plain
from tetkik.lab.findings.training.decoded_images import DecodedImages
from tetkik.lab.findings.training.distillation import LogitScale, TeacherPredictions
from tetkik.lab.findings.training.held_out import fit_platt
from tetkik.statistics import Floats
from tetkik.values import ProgressCallback

GRID = 3
"""Cells along each side."""
_FIRST_STAGE = 0.35
"""The share of a network's stages, from its input, that is left out: edges and blobs alone."""


def pooled_stages(features: nn.Sequential) -> tuple[int, ...]:
    """The stages whose grid means are used: the later ones, but for the last widening."""
    return tuple(range(round(_FIRST_STAGE * len(features)), len(features) - 1))


def _windows(side: int) -> torch.Tensor:
    """The mean over each cell as a matrix (GRID, side); cells overlap where the side does not divide."""
    matrix = torch.zeros(GRID, side)
    for cell in range(GRID):
        start, end = cell * side // GRID, -(-(cell + 1) * side // GRID)
        matrix[cell, start:end] = 1 / (end - start)
    return matrix


def grid_means(image: torch.Tensor) -> torch.Tensor:
    """(images, channels, h, w) to (images, channels, GRID, GRID): `adaptive_avg_pool2d`, in matrices.

    ONNX has no adaptive pooling for sides that the grid does not divide.
    """
    rows = _windows(image.shape[2]).to(image)
    columns = _windows(image.shape[3]).to(image)
    return rows @ image @ columns.T


class GridPooled(nn.Module):
    """Logits linear in the grid means of several stages; its maps are exact.

    Attributes:
        weights: for each, (labels, channels, GRID, GRID).
        bias: (labels,).
    """

    def __init__(self, features: nn.Sequential, labels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.features = features
        self.stages = pooled_stages(features)
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.zeros(labels, count, GRID, GRID)) for count in channels]
        )
        self.bias = nn.Parameter(torch.zeros(labels))

    @classmethod
    def over(cls, features: nn.Sequential, labels: int, channels: int = 3) -> GridPooled:
        """With weights of 0; the channels of each stage are found by running it."""
        with torch.no_grad():
            size = 64
            seen = stage_outputs(features, torch.zeros(1, channels, size, size))
        return cls(features, labels, [output.shape[1] for output in seen])

    def pooled(self, image: torch.Tensor) -> torch.Tensor:
        """The grid means of all stages, flat: (images, numbers), in the order of `set_linear`."""
        return torch.cat([grid_means(x).flatten(1) for x in stage_outputs(self.features, image)], dim=1)

    def set_linear(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Take over a linear layer on `pooled`: weight (labels, numbers), bias (labels,)."""
        start = 0
        with torch.no_grad():
            for mine in self.weights:
                count = mine[0].numel()
                mine.copy_(weight[:, start : start + count].reshape(mine.shape))
                start += count
            self.bias.copy_(bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits: (images, labels)."""
        total = self.bias
        for weight, output in zip(self.weights, stage_outputs(self.features, image), strict=True):
            total = total + grid_means(output).flatten(1) @ weight.flatten(1).T
        return total

    def has_maps(self, image: torch.Tensor) -> bool:
        """Whether every stage can be brought to the size of the last one by a mean over whole pixels."""
        sizes = [output.shape[2:] for output in stage_outputs(self.features, image)]
        height, width = sizes[-1]
        return all(size[0] % height == 0 and size[1] % width == 0 for size in sizes)

    def logits_and_maps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (images, labels) and maps (images, labels, h, w) in the size of the last stage.

        As with a class activation map, the mean of a map plus the bias of its label is the label's logit.
        """
        outputs = stage_outputs(self.features, image)
        height, width = outputs[-1].shape[2:]
        total = torch.zeros(1).to(image)
        for weight, output in zip(self.weights, outputs, strict=True):
            rows, columns = output.shape[2:]
            # Each pixel weighs in a cell what the cell's mean gives it, and the map's mean must undo the sum.
            share = torch.einsum("ih,jw->ijhw", _windows(rows), _windows(columns)).flatten(0, 1).to(image)
            kernels = weight.permute(0, 2, 3, 1).flatten(0, 2)[:, :, None, None]
            cells = nn.functional.conv2d(output, kernels).reshape(
                output.shape[0], weight.shape[0], GRID * GRID, rows, columns
            )
            here = (cells * share).sum(dim=2) * (rows * columns)
            total = total + nn.functional.avg_pool2d(here, (rows // height, columns // width))
        return total.mean(dim=(2, 3)) + self.bias, total


def stage_outputs(features: nn.Sequential, image: torch.Tensor) -> list[torch.Tensor]:
    """What the pooled stages give for `image`, each (images, channels, h, w)."""
    wanted = pooled_stages(features)
    found = []
    for number, stage in enumerate(features):
        if number > wanted[-1]:
            break
        image = cast("torch.Tensor", stage(image))
        if number in wanted:
            found.append(image)
    return found


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
