"""The record of one epoch of a captioner's training."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tetkik.lab.caption.training.options import StopBy
from tetkik.language import Sentence


@dataclass(frozen=True, slots=True)
class Epoch:
    """One row of the log; losses in nats a token, None where nothing was validated or generated.

    The training loss has label smoothing and is taken as the weights change. GPU memory is the most that this
    process has allocated so far, in 1e9 bytes.
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
