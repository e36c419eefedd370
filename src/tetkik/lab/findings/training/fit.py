"""The networks of a training: settings tried, members and folds trained, held-out rows scored and read.

`--tune N` tries settings on validation by successive halving; the reported rows are never seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.batches import Rows
from tetkik.lab.engine.tuning import Column, choice, log_uniform, tuned
from tetkik.lab.findings.training.held_out import HeldOut, OperatingPoints, cross_calibrated, decide
from tetkik.lab.findings.training.options import ClassWeights, LossKind, TrainingOptions
from tetkik.lab.findings.training.runs import (
    PreparedTraining,
    Trained,
    TrainingSession,
    mean_scores,
    train_network,
    train_ridge,
)
from tetkik.lab.findings.training.trainer import Epoch
from tetkik.language import Sentence
from tetkik.statistics import Bools, Ints

_RATES = (3e-5, 1e-3)
_HEADS = (1.0, 3.0, 10.0)
_AVERAGES = (0.0, 0.999)


@dataclass(frozen=True, slots=True)
class FindingsTrial:
    """One setting and how it did on validation."""

    learning_rate: Annotated[float, Column("learning rate", ".2g")]
    head_rate: Annotated[float, Column("head rate", "g")]
    loss: Annotated[str, Column("loss")]
    class_weights: Annotated[str, Column("class weights")]
    ema: Annotated[float, Column("EMA", "g")]
    epochs: Annotated[int, Column("epochs")]
    mean_auroc: Annotated[float, Column("mean AUROC on validation", ".3f")]
    best_epoch: Annotated[int, Column("best epoch")]


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """What a training came to, before it is written."""

    members: tuple[Trained, ...]
    epochs: tuple[Epoch, ...]
    held_out: HeldOut
    """Rows that were not learned, with an honest reading of them."""
    points: OperatingPoints
    split: tuple[Sentence, ...]
    options: TrainingOptions
    """The settings, those that `--tune` chose included."""
    trials: tuple[FindingsTrial, ...] = ()


def fit(session: TrainingSession, prepared: PreparedTraining) -> TrainingResult:
    """Everything between the images and the bundle."""
    trials: tuple[FindingsTrial, ...] = ()
    if prepared.config.options.tune:
        options, trials = _tuned(session, prepared)
        prepared = replace(prepared, config=replace(prepared.config, options=options))
    if prepared.fold is not None:
        return _by_folds(session, prepared, prepared.fold)
    return replace(_by_parts(session, prepared), trials=trials)


def _by_parts(session: TrainingSession, prepared: PreparedTraining) -> TrainingResult:
    config, parts, options = prepared.config, prepared.parts, prepared.config.options
    assert parts is not None
    members, epochs = _members(session, prepared, (parts.train, parts.validation), "member")
    calibration = mean_scores(session, config, members, parts.calibration)
    truth = config.truth[parts.calibration]
    calibrating = prepared.images.only(parts.calibration)
    points = OperatingPoints.fitted(
        calibration,
        truth,
        config.labels,
        prepared.assessed,
        options.threshold,
        calibrating.group,
        _unselected(calibrating.source, options),
    )
    scores = mean_scores(session, config, members, parts.test)
    reading = decide(scores, config.labels, points)
    split = (
        Sentence("test, 10% by component of patient and duplicates, seed {seed}", {"seed": options.seed}),
        Sentence("calibration and thresholds from another 10%"),
    )
    held_out = _held_out(prepared, parts.test, scores, *reading)
    return TrainingResult(members, epochs, held_out, points, split, options)


def _by_folds(session: TrainingSession, prepared: PreparedTraining, fold: Ints) -> TrainingResult:
    config, options, rows = prepared.config, prepared.config.options, np.arange(len(prepared.images))
    scores = np.zeros((len(rows), len(config.labels)))
    log: list[Epoch] = []
    for number in range(options.folds):
        mine = rows[fold == number]
        members, epochs = _members(session, prepared, (rows[fold != number], None), f"fold-{number}-member")
        scores[mine] = mean_scores(session, config, members, mine)
        log += epochs
    final, epochs = _members(session, prepared, (rows, None), "final-member")
    truth, labels, assessed = config.truth, config.labels, prepared.assessed
    rows_of = (prepared.images.group, _unselected(prepared.images.source, options))
    reading = cross_calibrated(scores, truth, fold, labels, assessed, options.threshold, *rows_of)
    points = OperatingPoints.fitted(scores, truth, labels, assessed, options.threshold, *rows_of)
    split = (
        Sentence(
            "out of fold, {folds} folds by component of patient and duplicates, seed {seed}",
            {"folds": options.folds, "seed": options.seed},
        ),
        Sentence("calibration and thresholds of each fold from the others"),
    )
    held_out = _held_out(prepared, rows, scores, *reading)
    return TrainingResult(final, (*log, *epochs), held_out, points, split, options)


def _members(
    session: TrainingSession, prepared: PreparedTraining, rows: tuple[Rows, Rows | None], name: str
) -> tuple[tuple[Trained, ...], tuple[Epoch, ...]]:
    """The networks of one part, which differ in their seeds."""
    config, options = prepared.config, prepared.config.options
    members = [
        train_network(session, config, rows, run=f"{name}-{number}", seed=options.seed + 1000 * number)
        for number in range(options.members)
    ]
    if options.ridge:
        members.append(train_ridge(session, config, rows[0], run=f"{name}-ridge"))
    return tuple(members), tuple(row for member in members for row in member.epochs)


def _unselected(source: Sequence[str], options: TrainingOptions) -> Bools | None:
    """The rows of the sources that are reported by themselves, which nobody chose for what they show."""
    return np.isin(source, options.report_sources) if options.report_sources else None


def _held_out(prepared: PreparedTraining, rows: Rows, *reading: NDArray[Any]) -> HeldOut:
    """`rows` with their scores, probabilities and calls."""
    images = prepared.images.only(rows)
    truth = prepared.config.truth[rows]
    return HeldOut(prepared.config.labels, rows, truth, images.group, images.source, *reading)


def _tuned(
    session: TrainingSession, prepared: PreparedTraining
) -> tuple[TrainingOptions, tuple[FindingsTrial, ...]]:
    config, parts = prepared.config, prepared.parts
    assert parts is not None

    def run(tried: TrainingOptions) -> FindingsTrial:
        rows = (parts.train, parts.validation)
        trial = replace(config, options=tried)
        trained = train_network(session, trial, rows, run="trial", seed=tried.seed, keep=False)
        session.accelerator.free_memory()
        rates = (tried.learning_rate, tried.head_rate)
        kinds = (tried.loss.value, tried.class_weights.value)
        area = max(row.mean_auroc or 0.0 for row in trained.epochs)
        return FindingsTrial(*rates, *kinds, tried.ema, tried.epochs, area, trained.best_epoch)

    return tuned(
        config.options,
        draw,
        run,
        lambda trial: trial.mean_auroc,
        FindingsTrial,
        session.work,
        keep=session.main,
    )


def draw(options: TrainingOptions, random: np.random.Generator) -> TrainingOptions:
    """Other settings to try; the learning rate is drawn between 3e-5 and 1e-3."""
    return replace(
        options,
        learning_rate=log_uniform(random, *_RATES),
        head_rate=choice(random, _HEADS),
        loss=choice(random, list(LossKind)),
        class_weights=choice(random, list(ClassWeights)),
        ema=choice(random, _AVERAGES),
    )
