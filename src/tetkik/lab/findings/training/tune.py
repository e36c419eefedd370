"""`--tune N`: settings tried on validation by successive halving; the reported rows are never seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.halving import halved
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
    """The settings to try: those asked for, then random ones, the same for the same seed.

    The learning rate is drawn evenly on a log scale between 3e-5 and 1e-3.
    """
    random = np.random.default_rng((options.seed, 1))
    low, high = np.log(_RATES)
    losses, weights = list(LossKind), list(ClassWeights)
    drawn = [
        replace(
            options,
            learning_rate=float(f"{np.exp(random.uniform(low, high)):.2g}"),
            head_rate=_HEADS[int(random.integers(len(_HEADS)))],
            loss=losses[int(random.integers(len(losses)))],
            class_weights=weights[int(random.integers(len(weights)))],
            ema=_AVERAGES[int(random.integers(len(_AVERAGES)))],
        )
        for _ in range(options.tune - 1)
    ]
    return [options, *drawn][: options.tune]


def tuned(
    options: TrainingOptions,
    work: WorkFolder,
    run: Callable[[TrainingOptions], tuple[float, int]],
    *,
    keep: bool = True,
) -> tuple[TrainingOptions, tuple[Trial, ...]]:
    """The best setting by mean AUROC on validation, by successive halving.

    Args:
        options: the settings asked for; `tune` is the number of candidates.
        work: the work folder.
        run: trains one setting, and gives its best mean AUROC and the epoch of it.
        keep: whether this process writes the trials down.
    """

    def trial(candidate: TrainingOptions, epochs: int) -> Trial:
        area, best = run(replace(candidate, epochs=epochs))
        return Trial(
            candidate.learning_rate,
            candidate.head_rate,
            candidate.loss.value,
            candidate.class_weights.value,
            candidate.ema,
            epochs,
            area,
            best,
        )

    return halved(
        candidates(options), options.epochs, trial, lambda tried: tried.mean_auroc, Trial, work, keep=keep
    )


def trials_table(trials: Sequence[Trial]) -> str:
    """The trials as a Markdown table."""
    rows = [
        "| learning rate | head rate | loss | class weights | EMA | epochs | mean AUROC on validation "
        "| best epoch |",
        "|---|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {trial.learning_rate:.2g} | {trial.head_rate:g} | {trial.loss} | {trial.class_weights} "
        f"| {trial.ema:g} | {trial.epochs} | {trial.mean_auroc:.3f} | {trial.best_epoch} |"
        for trial in trials
    ]
    return "\n".join(rows)
