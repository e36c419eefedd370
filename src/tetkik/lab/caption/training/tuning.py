"""`--tune N`: settings tried on validation by successive halving; the test rows are never seen."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np

from tetkik.caption.options import Learning
from tetkik.lab.caption.training.options import CaptionTraining, StopBy
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.tuning import Column, choice, log_uniform, tuned
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


_RATES = {Learning.ADAPTER: (3e-5, 1e-3), Learning.FULL: (1e-4, 3e-3)}
_RANKS = (8, 16, 32)
_DROPOUTS = (0.0, 0.05, 0.1)
_SMOOTHINGS = (0.0, 0.1)


@dataclass(frozen=True, slots=True)
class CaptionTrial:
    """One setting and how it did on validation in its best epoch.

    `rank` and `dropout` are those of the adapter, None without one.
    """

    learning_rate: Annotated[float, Column("learning rate", ".2g")]
    rank: Annotated[int | None, Column("rank")]
    dropout: Annotated[float | None, Column("dropout", "g")]
    smoothing: Annotated[float, Column("smoothing", "g")]
    epochs: Annotated[int, Column("epochs")]
    validation_loss: Annotated[float, Column("validation loss", ".4f")]
    cider: Annotated[float | None, Column("CIDEr", ".4f")]
    rouge_l: Annotated[float | None, Column("ROUGE-L", ".4f")]
    best_epoch: Annotated[int, Column("best epoch")]


def draw(options: CaptionTraining, random: np.random.Generator) -> CaptionTraining:
    """Other settings to try.

    A rank keeps the share of alpha in it, so that the learning rate means the same.
    """
    rank = choice(random, _RANKS)
    adapter = replace(
        options.adapter,
        rank=rank,
        alpha=options.adapter.alpha * rank / options.adapter.rank,
        dropout=choice(random, _DROPOUTS),
    )
    return replace(
        options,
        learning_rate=log_uniform(random, *_RATES[options.learning]),
        adapter=adapter if options.learning is Learning.ADAPTER else options.adapter,
        smoothing=choice(random, _SMOOTHINGS),
    )


def tuned_captions(
    options: CaptionTraining,
    work: WorkFolder,
    run: Callable[[CaptionTraining], tuple[Epoch, ...]],
    *,
    keep: bool = True,
) -> tuple[CaptionTraining, tuple[CaptionTrial, ...]]:
    """The best setting by what early stopping watches; `run` trains one and returns its epochs."""
    adapter = options.learning is Learning.ADAPTER

    def trial(tried: CaptionTraining) -> CaptionTrial:
        best = max(run(tried), key=lambda row: row.score(options.stop_by))
        assert best.validation_loss is not None
        return CaptionTrial(
            tried.learning_rate,
            tried.adapter.rank if adapter else None,
            tried.adapter.dropout if adapter else None,
            tried.smoothing,
            tried.epochs,
            best.validation_loss,
            best.cider,
            best.rouge_l,
            best.epoch,
        )

    def score(tried: CaptionTrial) -> float:
        epoch = Epoch(tried.best_epoch, 0.0, 0.0, tried.validation_loss, tried.cider, tried.rouge_l, 0.0)
        return epoch.score(options.stop_by)[0]

    return tuned(options, draw, trial, score, CaptionTrial, work, keep=keep)


def trial_sentence(options: CaptionTraining) -> Sentence:
    """The setting that is tried next, in words."""
    values: dict[str, object] = {
        "rate": options.learning_rate,
        "smoothing": options.smoothing,
        "rank": options.adapter.rank,
        "dropout": options.adapter.dropout,
        "epochs": options.epochs,
    }
    if options.learning is Learning.FULL:
        return Sentence("Trying learning rate {rate:g}, smoothing {smoothing:g}; epochs: {epochs}.", values)
    return Sentence(
        "Trying learning rate {rate:g}, rank {rank}, dropout {dropout:g}, smoothing {smoothing:g}; epochs: "
        "{epochs}.",
        values,
    )
