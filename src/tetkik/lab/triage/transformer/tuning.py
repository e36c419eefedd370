"""`--tune N`: settings tried on validation by successive halving; the test rows are never seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tetkik.lab.engine.card import markdown_table
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.tuning import choice, draw_candidates, log_uniform, successive_halving
from tetkik.lab.triage.transformer.options import Imbalance, TransformerOptions

_RATES = (1e-5, 1e-4)


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting and how it did on validation."""

    learning_rate: float
    epochs: int
    imbalance: str
    macro_f1: float
    best_epoch: int


def candidates(options: TransformerOptions) -> list[TransformerOptions]:
    """The settings to try."""

    def draw(random: np.random.Generator) -> TransformerOptions:
        rate = log_uniform(random, *_RATES)
        return replace(options, learning_rate=rate, imbalance=choice(random, list(Imbalance)))

    return draw_candidates(options, options.tune, options.seed, draw)


def tuned(
    options: TransformerOptions,
    work: WorkFolder,
    run: Callable[[TransformerOptions], tuple[float, int]],
    *,
    keep: bool = True,
) -> tuple[TransformerOptions, tuple[Trial, ...]]:
    """The best setting by macro-F1 on validation; `run` returns a setting's best macro-F1 and its epoch."""

    def trial(candidate: TransformerOptions, epochs: int) -> Trial:
        score, best = run(replace(candidate, epochs=epochs))
        return Trial(candidate.learning_rate, epochs, candidate.imbalance.value, score, best)

    return successive_halving(
        candidates(options), options.epochs, trial, lambda tried: tried.macro_f1, Trial, work, keep=keep
    )


def trials_table(trials: Sequence[Trial]) -> str:
    return markdown_table(
        ("learning rate", "epochs", "imbalance", "macro-F1 on validation", "best epoch"),
        (
            (f"{row.learning_rate:.2g}", row.epochs, row.imbalance, f"{row.macro_f1:.3f}", row.best_epoch)
            for row in trials
        ),
    )
