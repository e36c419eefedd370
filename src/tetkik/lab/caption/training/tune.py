"""`--tune N`: settings tried on validation by successive halving; the test rows are never seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tetkik.caption.options import Learning
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.progress import Epoch
from tetkik.lab.engine.checkpoint import WorkFolder
from tetkik.lab.engine.halving import halved
from tetkik.language import Sentence

_RATES = {Learning.ADAPTER: (3e-5, 1e-3), Learning.FULL: (1e-4, 3e-3)}
_RANKS = (8, 16, 32)
_DROPOUTS = (0.0, 0.05, 0.1)
_SMOOTHINGS = (0.0, 0.1)


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting and how it did on validation in its best epoch.

    `rank` and `dropout` are those of the adapter, None without one.
    """

    learning_rate: float
    rank: int | None
    dropout: float | None
    smoothing: float
    epochs: int
    validation_loss: float
    cider: float | None
    rouge_l: float | None
    best_epoch: int


def candidates(options: CaptionTraining) -> list[CaptionTraining]:
    """The settings to try: those asked for, then random ones, the same for the same seed.

    The learning rate is drawn evenly on a log scale. A rank keeps the share of alpha in it, so that the
    learning rate means the same.
    """
    random = np.random.default_rng((options.seed, 1))
    low, high = np.log(_RATES[options.learning])
    drawn = []
    for _ in range(options.tune - 1):
        rank = _RANKS[int(random.integers(len(_RANKS)))]
        adapter = replace(
            options.adapter,
            rank=rank,
            alpha=options.adapter.alpha * rank / options.adapter.rank,
            dropout=_DROPOUTS[int(random.integers(len(_DROPOUTS)))],
        )
        drawn.append(
            replace(
                options,
                learning_rate=float(f"{np.exp(random.uniform(low, high)):.2g}"),
                adapter=adapter if options.learning is Learning.ADAPTER else options.adapter,
                smoothing=_SMOOTHINGS[int(random.integers(len(_SMOOTHINGS)))],
            )
        )
    return [options, *drawn][: options.tune]


def tuned(
    options: CaptionTraining,
    work: WorkFolder,
    run: Callable[[CaptionTraining], tuple[Epoch, ...]],
    *,
    keep: bool = True,
) -> tuple[CaptionTraining, tuple[Trial, ...]]:
    """The best setting by what early stopping watches, by successive halving.

    Args:
        options: the settings asked for; `tune` is the number of candidates.
        work: the work folder.
        run: trains one setting, and gives its epochs.
        keep: whether this process writes the trials down.
    """
    adapter = options.learning is Learning.ADAPTER

    def trial(candidate: CaptionTraining, epochs: int) -> Trial:
        rows = run(replace(candidate, epochs=epochs))
        best = max(rows, key=lambda row: row.score(options.stop_by))
        assert best.validation_loss is not None
        return Trial(
            candidate.learning_rate,
            candidate.adapter.rank if adapter else None,
            candidate.adapter.dropout if adapter else None,
            candidate.smoothing,
            epochs,
            best.validation_loss,
            best.cider,
            best.rouge_l,
            best.epoch,
        )

    def score(tried: Trial) -> float:
        epoch = Epoch(tried.best_epoch, 0.0, 0.0, tried.validation_loss, tried.cider, tried.rouge_l, 0.0)
        return epoch.score(options.stop_by)[0]

    return halved(candidates(options), options.epochs, trial, score, Trial, work, keep=keep)


def tried_setting(options: CaptionTraining) -> Sentence:
    """What is tried next, in words."""
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


def trials_table(trials: Sequence[Trial]) -> str:
    """The trials as a Markdown table."""

    def cell(value: float | None, form: str) -> str:
        return "" if value is None else format(value, form)

    rows = [
        "| learning rate | rank | dropout | smoothing | epochs | validation loss | CIDEr | ROUGE-L "
        "| best epoch |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {trial.learning_rate:.2g} | {cell(trial.rank, 'd')} | {cell(trial.dropout, 'g')} "
        f"| {trial.smoothing:g} | {trial.epochs} | {trial.validation_loss:.4f} | {cell(trial.cider, '.4f')} "
        f"| {cell(trial.rouge_l, '.4f')} | {trial.best_epoch} |"
        for trial in trials
    ]
    return "\n".join(rows)
