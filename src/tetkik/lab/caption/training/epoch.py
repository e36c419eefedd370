"""The record of one epoch of a captioner's training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tetkik.lab.caption.training.options import StopBy
from tetkik.language import Sentence


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of the log.

    Attributes:
        epoch: from 1.
        training_loss: cross-entropy in nats per token, label smoothing included, as the weights changed.
        validation_loss: the same after the epoch, without smoothing; None without validation rows.
        cider: of generated captions of some validation rows; None where none were generated.
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
    def sentence(self) -> Sentence:
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
