"""`tetkik findings train`: from labelled images to a bundle with its card, its figures and its log."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tetkik.bundle import Bundle, Task, open_bundle
from tetkik.errors import MissingExtra
from tetkik.lab.engine.output import check_target
from tetkik.lab.engine.precision import Precision
from tetkik.lab.findings.training.options import TrainingOptions
from tetkik.lab.findings.training.result import TrainingResult
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.engine.checkpoint import WorkFolder
    from tetkik.lab.findings.data import LabelledImages
    from tetkik.lab.findings.training.held_out import HeldOut
    from tetkik.lab.findings.training.memory import MemoryPlan
    from tetkik.lab.findings.training.preparation import PreparedTraining
    from tetkik.lab.findings.training.runs import Trained
    from tetkik.lab.findings.training.trainer import Epoch
    from tetkik.lab.findings.training.tuning import Trial


def train_findings(
    images: LabelledImages, out: Path, options: TrainingOptions, progress: ProgressCallback
) -> Bundle:
    """Train networks on labelled images and write them as one bundle.

    Without folds the components of patients and duplicates are split into training, validation (which
    epoch), calibration (probabilities and thresholds) and test (the figures, once). With folds each component
    is in one part, every row is scored by networks that never saw its part, each part is read with
    calibration and thresholds from the others, and the network that ships is trained on all rows for the same
    number of epochs.
    Started under `accelerate launch`, every process calls this alike.

    Args:
        out: the bundle's folder; beside it `.NAME.training` keeps checkpoints and `.NAME.squares` the decoded
            images until the bundle is written, and `NAME-log` gets the log, its curves and the scores.
        progress: called with how far it is, in the main process only.

    Raises:
        DataError: there is nothing to learn, with the reason.
        TrainingError: training cannot go on; a subclass says that Ctrl-C came.
        UsageError: settings that cannot be.
        OutputError: `out` holds something else, or the disk is full.
        MissingExtra: torch or its companions are not installed.
    """
    _need_libraries()
    check_target(out)
    from tetkik.findings.networks import FAMILIES
    from tetkik.lab.engine.checkpoint import room_on_disk
    from tetkik.lab.engine.session import training_session
    from tetkik.lab.findings.training.bundle import write_bundle
    from tetkik.lab.findings.training.preparation import check_labels, identity, prepare_training

    check_labels(images, options)
    store = options.cache or out.parent / f".{out.name}.squares"
    with training_session(
        out,
        options,
        lambda settled: identity(images, settled),
        progress,
        cache=store if options.cache is None else None,
        # Classifiers of transformers may have layers without a part in the answer; ours have none.
        find_unused=options.network not in FAMILIES,
    ) as session:
        # The first process decodes; the others find its images.
        with session.accelerator.main_process_first():
            prepared = prepare_training(images, session.options, store, session.progress)
        result = fit(session.accelerator, prepared, session.work, session.progress)
        if session.main:
            with room_on_disk(out.parent):
                write_bundle(prepared, result, out, session.progress)
    return open_bundle(out, Task.FINDINGS)


def fit(
    accelerator: Any, prepared: PreparedTraining, work: WorkFolder, progress: ProgressCallback
) -> TrainingResult:
    """Everything between the images and the bundle: settings tried, networks trained, scores read."""
    trials: tuple[Trial, ...] = ()
    options = prepared.config.options
    if options.tune:
        options, trials = _tuned(accelerator, prepared, work, progress)
        prepared = replace(prepared, config=replace(prepared.config, options=options))
    if prepared.fold is not None:
        return _by_folds(accelerator, prepared, prepared.fold, work, progress)
    return replace(_by_parts(accelerator, prepared, work, progress), trials=trials)


def _by_parts(
    accelerator: Any, prepared: PreparedTraining, work: WorkFolder, progress: ProgressCallback
) -> TrainingResult:
    from tetkik.lab.findings.training.held_out import OperatingPoints, decide

    config, parts = prepared.config, prepared.parts
    assert parts is not None
    rows = (parts.train, parts.validation)
    members, epochs = _members(accelerator, prepared, rows, "member", work, progress)
    labels = config.labels
    calibration = _scores(accelerator, prepared, members, parts.calibration, progress)
    points = OperatingPoints.fitted(
        calibration, config.truth[parts.calibration], labels, prepared.assessed, config.options.threshold
    )
    scores = _scores(accelerator, prepared, members, parts.test, progress)
    probability, called = decide(scores, labels, points)
    split = (
        f"test, 10% by component of patient and duplicates, seed {config.options.seed}; calibration and "
        "thresholds from another 10%"
    )
    held_out = _held_out(prepared, parts.test, scores, probability, called)
    return TrainingResult(members, epochs, held_out, points, split, (), config.options)


def _by_folds(
    accelerator: Any,
    prepared: PreparedTraining,
    fold: Any,
    work: WorkFolder,
    progress: ProgressCallback,
) -> TrainingResult:
    from tetkik.lab.findings.training.held_out import OperatingPoints, cross_calibrated

    config, options, rows = prepared.config, prepared.config.options, prepared.rows
    scores = np.zeros((len(rows), len(config.labels)))
    log: list[Epoch] = []
    for number in range(options.folds):
        mine = rows[fold == number]
        parts = (rows[fold != number], None)
        members, epochs = _members(accelerator, prepared, parts, f"fold-{number}-member", work, progress)
        scores[mine] = _scores(accelerator, prepared, members, mine, progress)
        log += epochs
    final, epochs = _members(accelerator, prepared, (rows, None), "final-member", work, progress)
    truth, labels, assessed = config.truth, config.labels, prepared.assessed
    probability, called = cross_calibrated(scores, truth, fold, labels, assessed, options.threshold)
    points = OperatingPoints.fitted(scores, truth, labels, assessed, options.threshold)
    split = (
        f"out of fold, {options.folds} folds by component of patient and duplicates, seed {options.seed}; "
        "calibration and thresholds of each fold from the others"
    )
    held_out = _held_out(prepared, rows, scores, probability, called)
    return TrainingResult(final, (*log, *epochs), held_out, points, split, (), options)


def _members(
    accelerator: Any,
    prepared: PreparedTraining,
    rows: tuple[Any, Any],
    name: str,
    work: WorkFolder,
    progress: ProgressCallback,
) -> tuple[tuple[Trained, ...], tuple[Epoch, ...]]:
    """The networks of one part, which differ in their seeds."""
    from tetkik.lab.findings.training.runs import train_network, train_ridge

    options = prepared.config.options
    members = []
    for number in range(options.members):
        run = f"{name}-{number}"
        seed = options.seed + 1000 * number

        def tell(_: str, done: int, total: int | None, run: str = run) -> None:
            progress(run, done, total)

        members.append(
            train_network(accelerator, prepared.config, rows, run=run, seed=seed, work=work, progress=tell)
        )
    if options.ridge:
        members.append(
            train_ridge(
                accelerator, prepared.config, rows[0], run=f"{name}-ridge", work=work, progress=progress
            )
        )
    return tuple(members), tuple(row for member in members for row in member.epochs)


def _scores(
    accelerator: Any,
    prepared: PreparedTraining,
    members: tuple[Trained, ...],
    rows: Any,
    progress: ProgressCallback,
) -> Any:
    from tetkik.lab.findings.training.runs import mean_scores

    found = mean_scores(prepared.config, members, rows, accelerator.device, progress)
    return found.astype(np.float64)


def _held_out(prepared: PreparedTraining, rows: Any, scores: Any, probability: Any, called: Any) -> HeldOut:
    from tetkik.lab.findings.training.held_out import HeldOut

    images = prepared.images
    return HeldOut(
        prepared.config.labels,
        rows,
        scores,
        prepared.config.truth[rows],
        images.group[rows],
        tuple(images.source[row] for row in rows),
        probability,
        called,
    )


def _tuned(
    accelerator: Any, prepared: PreparedTraining, work: WorkFolder, progress: ProgressCallback
) -> tuple[TrainingOptions, tuple[Trial, ...]]:
    from tetkik.lab.findings.training.runs import train_network
    from tetkik.lab.findings.training.tuning import tuned

    parts = prepared.parts
    assert parts is not None

    def run(tried: TrainingOptions) -> tuple[float, int]:
        trained = train_network(
            accelerator,
            replace(prepared.config, options=tried),
            (parts.train, parts.validation),
            run="trial",
            seed=tried.seed,
            work=None,
            progress=lambda _, done, total: progress("trial", done, total),
        )
        accelerator.free_memory()
        return max(row.mean_auroc or 0.0 for row in trained.epochs), trained.best_epoch

    return tuned(prepared.config.options, work, run, keep=accelerator.is_main_process)


def plan_training(labels: tuple[str, ...], options: TrainingOptions) -> MemoryPlan:
    """How much memory a training would need on its GPU; nothing is trained.

    Raises:
        UsageError: no such network.
        MissingExtra: torch is not installed.
    """
    _need_libraries()
    from tetkik.findings.networks import build
    from tetkik.lab.findings.training.memory import plan_memory
    from tetkik.lab.findings.training.preparation import preprocessing_for

    if options.precision is Precision.AUTO:  # a plan is for a GPU, and every GPU in use has fp16 or bf16
        options = replace(options, precision=Precision.BF16)
    network = build(options.network, labels)
    return plan_memory(network, preprocessing_for(options), options)


def _need_libraries() -> None:
    try:
        import accelerate  # noqa: F401
        import matplotlib as mpl  # noqa: F401
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
        import safetensors  # noqa: F401
        import torch  # noqa: F401
    except ImportError as error:
        raise MissingExtra(
            "Training a network needs the package {name}; `pip install 'tetkik[torch]'`.", name=error.name
        ) from None
