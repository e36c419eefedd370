"""What a teacher says of the images: read from a table, learned by a second head, merged into the first.

The second head is more rows of the same last layer, so any network that ends in a linear layer can have one.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tetkik.errors import DataError, TrainingError
from tetkik.findings.operating_points import logit

Floats = NDArray[np.float32]

TEACHER = "teacher:"
"""Opens the names of the second head's outputs."""
_EDGE = 1e-6
_LEAST_SPREAD = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class TeacherPredictions:
    """A teacher's probabilities, (rows, labels); NaN where the teacher was not asked."""

    labels: tuple[str, ...]
    probability: Floats

    @property
    def logit(self) -> Floats:
        return logit(self.probability, _EDGE).astype(np.float32)

    @property
    def rows(self) -> int:
        """How many rows the teacher was asked about."""
        return int((~np.isnan(self.probability)).any(axis=1).sum())


@dataclass(frozen=True, slots=True)
class LogitScale:
    """Mean and deviation of a teacher's logits over the training rows, by which they become targets."""

    labels: tuple[str, ...]
    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    @classmethod
    def of(cls, targets: TeacherPredictions, rows: NDArray[np.int64]) -> LogitScale:
        """Over `rows`; a label on which the teacher says the same everywhere keeps a deviation above 0."""
        logits = targets.logit[rows].astype(np.float64)
        if np.isnan(logits).all(axis=0).any():
            raise TrainingError(
                "The teacher's table says nothing of the training images for one of its labels; check that "
                "its column `file` names files of the training table."
            )
        mean, deviation = np.nanmean(logits, axis=0), np.nanstd(logits, axis=0)
        return cls(targets.labels, tuple(mean.tolist()), tuple(np.maximum(deviation, _LEAST_SPREAD).tolist()))

    def targets(self, targets: TeacherPredictions) -> Floats:
        """z-scored logits of all rows: (rows, labels), float32; NaN where the teacher was not asked."""
        z = (targets.logit - np.array(self.mean)) / np.array(self.deviation)
        return np.asarray(z, np.float32)


def read_teacher(table: Path, files: Sequence[Path], labels: Sequence[str]) -> TeacherPredictions:
    """Read a teacher's table: a CSV with the column `file` and a column of probabilities for each label.

    A row belongs to the image whose path ends in what `file` says.
    """
    with table.open(encoding="utf-8-sig", newline="") as stream:
        reader = csv.DictReader(stream)
        header = reader.fieldnames or []
        known = tuple(label for label in labels if label in header)
        if "file" not in header or not known:
            raise DataError(
                "{file} is no teacher's table: it needs a column `file` and a column of probabilities for at "
                "least one label of the data.",
                file=table,
            )
        found = np.full((len(files), len(known)), np.nan, np.float32)
        by_name: dict[str, list[int]] = {}
        for row, file in enumerate(files):
            by_name.setdefault(file.name, []).append(row)
        for line, values in enumerate(reader, 2):
            name = Path((values["file"] or "").replace("\\", "/"))
            rows = [
                row
                for row in by_name.get(name.name, ())
                if files[row].parts[-len(name.parts) :] == name.parts
            ]
            if len({files[row] for row in rows}) > 1:
                raise DataError(
                    "Line {line} of {file} fits several images; write more of their path in `file`.",
                    line=line,
                    file=table,
                )
            found[rows] = [_probability(values[label], table, line) for label in known]
    return TeacherPredictions(known, found)


def _probability(value: str | None, table: Path, line: int) -> float:
    if value is None or not value.strip():
        return math.nan
    try:
        number = float(value)
    except ValueError:
        number = math.inf
    if not 0 <= number <= 1:
        raise DataError(
            "Line {line} of {file} has a value that is no probability; give numbers from 0 to 1, or nothing.",
            line=line,
            file=table,
        )
    return number


def last_layer(network: nn.Module, outputs: int) -> str:
    """The name of the linear layer that ends `network` in so many outputs; without one a TrainingError."""
    layers = {name: part for name, part in network.named_modules() if isinstance(part, nn.Linear)}
    names = [name for name, layer in layers.items() if layer.out_features == outputs]
    if not names:
        raise TrainingError(
            "The network does not end in a linear layer, which the training of findings needs; choose "
            "another network."
        )
    return str(names[-1])


def merged(
    weights: Mapping[str, torch.Tensor], layer: str, labels: Sequence[str], scale: LogitScale, share: float
) -> dict[str, torch.Tensor]:
    """The weights of a network with both heads as those of one with the labels alone.

    The logit of a label that the teacher knows becomes (1 - share) x its own + share x the teacher head's,
    turned back from z to a logit. Both are linear in the features, so the sum is one row of the layer again.

    The last layer has the labels first, then the teacher's.
    """
    all_weights, all_biases = weights[f"{layer}.weight"], weights[f"{layer}.bias"]
    weight, bias = all_weights[: len(labels)].clone(), all_biases[: len(labels)].clone()
    for number, (label, mean, deviation) in enumerate(
        zip(scale.labels, scale.mean, scale.deviation, strict=True), len(labels)
    ):
        row = labels.index(label)
        weight[row] = (1 - share) * weight[row] + share * deviation * all_weights[number]
        bias[row] = (1 - share) * bias[row] + share * (deviation * all_biases[number] + mean)
    return {**weights, f"{layer}.weight": weight, f"{layer}.bias": bias}
