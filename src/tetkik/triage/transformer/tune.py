"""`--tune N`: settings tried on validation by successive halving; the test rows are never seen."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from tetkik.triage.transformer.checkpoint import WorkFolder
from tetkik.triage.transformer.options import Imbalance, TransformerOptions

_RATES = (1e-5, 1e-4)
_HALVING = 3
_FILE = "trials.json"


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
    """The best setting by macro-F1 on validation.

    Successive halving (Jamieson and Talwalkar, 2016): all candidates get one epoch, the best third of them
    three times as many, and so on up to the epochs asked for. Trials done are kept in the work folder, so
    that a resumed training does not repeat them.

    Args:
        options: the settings asked for; `tune` is the number of candidates.
        work: the work folder.
        run: trains one setting, and gives its best macro-F1 and the epoch of it.
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
                score, best = run(candidate)
                known = Trial(
                    candidate.learning_rate, candidate.epochs, candidate.imbalance.value, score, best
                )
                done.append(known)
                if keep:
                    work.write(_FILE, json.dumps([asdict(trial) for trial in done]).encode())
            tried.append(known)
            results.append((known.macro_f1, candidate))
        if epochs >= options.epochs:
            best_options = max(results, key=lambda item: item[0])[1]
            return replace(best_options, tune=options.tune), tuple(tried)
        survivors = max(1, len(results) // _HALVING)
        order = sorted(range(len(results)), key=lambda index: -results[index][0])[:survivors]
        alive, epochs = [alive[index] for index in sorted(order)], epochs * _HALVING


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
