"""What a training goes by and what it tells: rows, order of steps, learning rate, table of epochs."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.triage.metrics import decision_columns, decision_figures, predicted_labels, rank_of_truth
from tetkik.statistics import Ints
from tetkik.triage.calibration import softmax

_WARM_UP = 0.1
_WEIGHT_DECAY = 0.01
_WINDOW = 50
"""Batches among which rows are sorted by length, so that a batch needs little filling up."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Complaints as token numbers with their labels.

    Attributes:
        ids: token numbers of each row, (tokens,), int64.
        labels: (rows,), int64.
    """

    ids: tuple[NDArray[np.int64], ...]
    labels: Ints

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of the table of epochs; all figures but the first loss are on validation."""

    epoch: int
    training_loss: float
    validation_loss: float
    accuracy: float
    macro_f1: float
    macro_precision: float


@dataclass(slots=True)
class Progress:
    """How far a training is. It goes into every checkpoint."""

    step: int = 0
    loss_sum: float = 0.0
    rows_seen: int = 0
    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best: str | None = None
    warned: bool = False

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Progress:
        """From the JSON of a checkpoint."""
        return cls(**{**content, "epochs": [Epoch(**row) for row in content["epochs"]]})

    @property
    def best_f1(self) -> float:
        """The best macro-F1 so far, -1 before the first epoch."""
        return self.epochs[self.best_epoch - 1].macro_f1 if self.best_epoch else -1.0


def batches(lengths: Ints, batch_size: int, seed: int, epoch: int) -> list[Ints]:
    """The rows of each step of an epoch, in an order that follows from seed and epoch alone.

    Args:
        lengths: (rows,), tokens of each row.
        batch_size: rows in a step; the last may have fewer.
        seed: of the training.
        epoch: from 1.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths))
    parts: list[Ints] = []
    for start in range(0, len(order), batch_size * _WINDOW):
        window = order[start : start + batch_size * _WINDOW]
        window = window[np.argsort(lengths[window], kind="stable")]
        parts.extend(window[i : i + batch_size] for i in range(0, len(window), batch_size))
    return [parts[index] for index in random.permutation(len(parts))]


def learning_rate_at(step: int, steps: int, highest: float) -> float:
    """The learning rate of a step (from 0): up over the first tenth, then down to 0, in straight lines."""
    warm_up = max(1, math.ceil(_WARM_UP * steps))
    if step < warm_up:
        return highest * (step + 1) / warm_up
    return highest * max(0.0, (steps - step) / max(1, steps - warm_up))


def figures_of(logits: NDArray[np.float32], truth: Ints) -> tuple[float, float, float]:
    """Accuracy, macro-F1 and macro-precision of (rows, labels) logits."""
    probabilities = softmax(logits)
    in_top3 = rank_of_truth(probabilities, truth) <= 3
    columns = decision_columns(truth, predicted_labels(probabilities), logits.shape[1], in_top3)
    figures = decision_figures(columns.sum(axis=0))
    return float(figures.accuracy), float(figures.macro_f1), float(figures.macro_precision)


def parameter_groups(model: Any) -> list[dict[str, Any]]:
    """Weight decay for matrices only, not for biases and the scales of normalisation."""
    named = [item for item in model.named_parameters() if item[1].requires_grad]
    return [
        {"params": [p for _, p in named if p.ndim >= 2], "weight_decay": _WEIGHT_DECAY},
        {"params": [p for _, p in named if p.ndim < 2], "weight_decay": 0.0},
    ]
