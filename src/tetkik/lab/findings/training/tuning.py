"""`--tune N`: settings tried on validation by successive halving; the reported rows are never seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tetkik.lab.engine.card import markdown_table
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.tuning import choice, draw_candidates, log_uniform, successive_halving
from tetkik.lab.findings.training.options import ClassWeights, LossKind, TrainingOptions

_RATES = (3e-5, 1e-3)
_HEADS = (1.0, 3.0, 10.0)
_AVERAGES = (0.0, 0.999)


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting and how it did on validation."""

    learning_rate: float
    head_rate: float
    loss: str
    class_weights: str
    ema: float
    epochs: int
    mean_auroc: float
    best_epoch: int


def candidates(options: TrainingOptions) -> list[TrainingOptions]:
    """The settings to try; the learning rate is drawn between 3e-5 and 1e-3."""

    def draw(random: np.random.Generator) -> TrainingOptions:
        return replace(
            options,
            learning_rate=log_uniform(random, *_RATES),
            head_rate=choice(random, _HEADS),
            loss=choice(random, list(LossKind)),
            class_weights=choice(random, list(ClassWeights)),
            ema=choice(random, _AVERAGES),
        )

    return draw_candidates(options, options.tune, options.seed, draw)


def tuned(
    options: TrainingOptions,
    work: WorkFolder,
    run: Callable[[TrainingOptions], tuple[float, int]],
    *,
    keep: bool = True,
) -> tuple[TrainingOptions, tuple[Trial, ...]]:
    """The best setting by mean AUROC on validation.

    `run` returns the best mean AUROC of a setting and its epoch.
    """

    def trial(candidate: TrainingOptions, epochs: int) -> Trial:
        area, best = run(replace(candidate, epochs=epochs))
        rates = (candidate.learning_rate, candidate.head_rate)
        kinds = (candidate.loss.value, candidate.class_weights.value)
        return Trial(*rates, *kinds, candidate.ema, epochs, area, best)

    return successive_halving(
        candidates(options), options.epochs, trial, lambda tried: tried.mean_auroc, Trial, work, keep=keep
    )


def trials_table(trials: Sequence[Trial]) -> str:
    columns = {
        "learning rate": "{0.learning_rate:.2g}",
        "head rate": "{0.head_rate:g}",
        "loss": "{0.loss}",
        "class weights": "{0.class_weights}",
        "EMA": "{0.ema:g}",
        "epochs": "{0.epochs}",
        "mean AUROC on validation": "{0.mean_auroc:.3f}",
        "best epoch": "{0.best_epoch}",
    }
    return markdown_table(tuple(columns), ([form.format(row) for form in columns.values()] for row in trials))
