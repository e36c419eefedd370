"""`--tune N`: settings tried on validation by successive halving; the test rows are never seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.halving import halved
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
    """The settings to try: those asked for, then random ones, the same for the same seed.

    The learning rate is drawn evenly on a log scale between 1e-5 and 1e-4.
    """
    random = np.random.default_rng((options.seed, 1))
    kinds = list(Imbalance)
    low, high = np.log(_RATES)
    drawn = [
        replace(
            options,
            learning_rate=float(f"{np.exp(random.uniform(low, high)):.2g}"),
            imbalance=kinds[int(random.integers(len(kinds)))],
        )
        for _ in range(options.tune - 1)
    ]
    return [options, *drawn][: options.tune]


def tuned(
    options: TransformerOptions,
    work: WorkFolder,
    run: Callable[[TransformerOptions], tuple[float, int]],
    *,
    keep: bool = True,
) -> tuple[TransformerOptions, tuple[Trial, ...]]:
    """The best setting by macro-F1 on validation, by successive halving.

    Args:
        options: the settings asked for; `tune` is the number of candidates.
        work: the work folder.
        run: trains one setting, and gives its best macro-F1 and the epoch of it.
        keep: whether this process writes the trials down.
    """

    def trial(candidate: TransformerOptions, epochs: int) -> Trial:
        score, best = run(replace(candidate, epochs=epochs))
        return Trial(candidate.learning_rate, epochs, candidate.imbalance.value, score, best)

    return halved(
        candidates(options), options.epochs, trial, lambda tried: tried.macro_f1, Trial, work, keep=keep
    )


def trials_table(trials: Sequence[Trial]) -> str:
    """The trials as a Markdown table."""
    rows = [
        "| learning rate | epochs | imbalance | macro-F1 on validation | best epoch |",
        "|---|---|---|---|---|",
    ]
    rows += [
        f"| {trial.learning_rate:.2g} | {trial.epochs} | {trial.imbalance} | {trial.macro_f1:.3f} "
        f"| {trial.best_epoch} |"
        for trial in trials
    ]
    return "\n".join(rows)
