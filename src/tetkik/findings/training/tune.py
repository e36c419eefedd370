"""`--tune N`: settings tried on validation by successive halving; the reported rows are never seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from tetkik.findings.training.checkpoint import WorkFolder
from tetkik.findings.training.options import ClassWeights, LossKind, TrainingOptions

_RATES = (3e-5, 1e-3)
_HEADS = (1.0, 3.0, 10.0)
_AVERAGES = (0.0, 0.999)
_HALVING = 3
_FILE = "trials.json"


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
    """The best setting by mean AUROC on validation.

    Successive halving (Jamieson and Talwalkar, 2016): all candidates get one epoch, the best third of them
    three times as many, and so on up to the epochs asked for. Trials done are kept in the work folder, so
    that a resumed training does not repeat them.

    Args:
        options: the settings asked for; `tune` is the number of candidates.
        work: the work folder.
        run: trains one setting, and gives its best mean AUROC and the epoch of it.
        keep: whether this process writes the trials down.
    """
    file = work.path / _FILE
    done = [Trial(**row) for row in json.loads(file.read_text("utf-8"))] if file.is_file() else []
    tried: list[Trial] = []
    alive, epochs = candidates(options), 1
    while True:
        results = []
        for candidate in (replace(item, epochs=min(epochs, options.epochs)) for item in alive):
            known = done[len(tried)] if len(tried) < len(done) else None
            if known is None:
                known = _trial(candidate, *run(candidate))
                done.append(known)
                if keep:
                    work.write(_FILE, json.dumps([asdict(trial) for trial in done]).encode())
            tried.append(known)
            results.append((known.mean_auroc, candidate))
        if epochs >= options.epochs:
            best = max(results, key=lambda item: item[0])[1]
            return best, tuple(tried)
        survivors = max(1, len(results) // _HALVING)
        order = sorted(range(len(results)), key=lambda index: -results[index][0])[:survivors]
        alive, epochs = [alive[index] for index in sorted(order)], epochs * _HALVING


def _trial(options: TrainingOptions, mean_auroc: float, best_epoch: int) -> Trial:
    return Trial(
        options.learning_rate,
        options.head_rate,
        options.loss.value,
        options.class_weights.value,
        options.ema,
        options.epochs,
        mean_auroc,
        best_epoch,
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
