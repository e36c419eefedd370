"""How far a training is, what its epochs did, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tetkik.lab.caption.training.options import ScheduleKind, StopBy
from tetkik.language import Sentence

Tell = Callable[[Sentence], None]
"""Told what a person wants to know while it runs, one sentence at a time."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of the log.

    Attributes:
        epoch: from 1.
        learning_rate: of its last step.
        training_loss: cross-entropy in nats per token, label smoothing included, as the weights changed.
        validation_loss: the same after the epoch, without smoothing; None without validation rows.
        cider: of generated captions of some validation rows; None where none were generated.
        rouge_l: the same.
        captions_per_second: validation left out.
        gpu_memory_gb: most of a GPU's memory this process has allocated so far, features included, in 1e9
            bytes; None without a GPU.
    """

    epoch: int
    learning_rate: float
    training_loss: float
    validation_loss: float | None
    cider: float | None
    rouge_l: float | None
    captions_per_second: float
    gpu_memory_gb: float | None = None

    def score(self, stop_by: StopBy) -> tuple[float, float]:
        """What early stopping compares, higher is better; the loss decides between equal ones."""
        loss = -math.inf if self.validation_loss is None else -self.validation_loss
        if stop_by is StopBy.LOSS:
            return loss, loss
        found = self.cider if stop_by is StopBy.CIDER else self.rouge_l
        return (-math.inf if found is None else found), loss

    @property
    def told(self) -> Sentence:
        """The row in words."""
        values: dict[str, object] = {
            "epoch": self.epoch,
            "training": self.training_loss,
            "loss": self.validation_loss,
            "cider": self.cider,
            "rouge": self.rouge_l,
            "speed": self.captions_per_second,
        }
        if self.validation_loss is None:
            return Sentence(
                "Epoch {epoch}: training loss {training:.4f}; {speed:.1f} captions a second.", values
            )
        if self.cider is None:
            return Sentence(
                "Epoch {epoch}: training loss {training:.4f}, validation {loss:.4f}; {speed:.1f} captions a "
                "second.",
                values,
            )
        return Sentence(
            "Epoch {epoch}: training loss {training:.4f}, validation {loss:.4f}, CIDEr {cider:.3f}, ROUGE-L "
            "{rouge:.3f}; {speed:.1f} captions a second.",
            values,
        )


@dataclass(slots=True)
class Progress:
    """How far a training is. It goes into every checkpoint.

    Attributes:
        run: its name.
        step: steps done.
        loss_sum: of the unfinished epoch, over its tokens, nats.
        token_sum: those tokens.
        skipped: steps left out because a gradient was too large for fp16.
        epochs: that are done.
        best_epoch: from 1; 0 before the first.
        best: file of its weights.
        warned: whether memorising was told of.
    """

    run: str
    step: int = 0
    loss_sum: float = 0.0
    token_sum: int = 0
    skipped: int = 0
    epochs: list[Epoch] = field(default_factory=list)
    best_epoch: int = 0
    best: str | None = None
    warned: bool = False

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Progress:
        """From the JSON of a checkpoint."""
        return cls(**{**content, "epochs": [Epoch(**row) for row in content["epochs"]]})


def rate_at(step: int, steps: int, warm_up: float, kind: ScheduleKind) -> float:
    """The share of the highest learning rate at a step (from 0): up in a line, then as `kind` says.

    Cosine and line end at 0, one step after the last.
    """
    rising = math.ceil(warm_up * steps)
    if step < rising:
        return (step + 1) / rising
    gone = (step - rising) / max(1, steps - rising)
    match kind:
        case ScheduleKind.COSINE:
            return 0.5 * (1 + math.cos(math.pi * gone))
        case ScheduleKind.LINEAR:
            return 1 - gone
        case ScheduleKind.CONSTANT:
            return 1.0
