"""How far a training is, what its epochs did, and the learning rate of each step."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.statistics import auroc


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of the log.

    Attributes:
        run: the network, such as `fold-0-member-0`.
        epoch: from 1.
        learning_rate: of its last step.
        training_loss: mean over its steps, of what is made small.
        validation_loss: of the labels alone, mean over known entries; None without validation rows.
        mean_auroc: on validation, over the labels with both kinds there; None without validation rows.
        images: per second, reading and augmentation included.
    """

    run: str
    epoch: int
    learning_rate: float
    training_loss: float
    validation_loss: float | None
    mean_auroc: float | None
    images: float


@dataclass(slots=True)
class Progress:
    """How far the training of one network is. It goes into every checkpoint."""

    run: str
    step: int = 0
    loss_sum: float = 0.0
    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best: str | None = None
    warned: bool = False

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Progress:
        """From the JSON of a checkpoint."""
        return cls(**{**content, "epochs": [Epoch(**row) for row in content["epochs"]]})

    @property
    def best_place(self) -> tuple[float, float]:
        """The best mean AUROC so far and the negative loss of its epoch, which decides between equal ones."""
        if not self.best_epoch:
            return -1.0, -math.inf
        best = self.epochs[self.best_epoch - 1]
        return best.mean_auroc or 0.0, -(best.validation_loss or 0.0)


def rate_at(step: int, steps: int, warm_up: float) -> float:
    """The share of the highest learning rate at a step (from 0): up in a line, then down as a cosine to 0."""
    rising = math.ceil(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def mean_auroc(scores: NDArray[np.floating], truth: NDArray[np.int8]) -> float | None:
    """Mean AUROC over the labels known both ways; None where there is none.

    Args:
        scores: (rows, labels), logits or probabilities.
        truth: (rows, labels): 1, 0, -1 unknown.
    """
    areas = []
    for label in range(truth.shape[1]):
        known = truth[:, label] >= 0
        present = truth[known, label] == 1
        area = auroc(scores[known, label].astype(np.float64), present) if known.any() else None
        if area is not None:
            areas.append(area)
    return float(np.mean(areas)) if areas else None
