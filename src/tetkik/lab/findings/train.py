"""`tetkik findings train`: from labelled images to a bundle with its card, its figures and its log."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tetkik.bundle import Bundle, Task, open_bundle
from tetkik.errors import MissingExtra, as_fault_of
from tetkik.lab.engine.output import check_target, silence
from tetkik.lab.engine.precision import Precision, accelerator_for
from tetkik.lab.findings.training.options import TrainingOptions
from tetkik.lab.findings.training.outcome import Outcome
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.engine.checkpoint import WorkFolder
    from tetkik.lab.findings.data import LabelledImages
    from tetkik.lab.findings.training.judgement import Judged
    from tetkik.lab.findings.training.material import Material
    from tetkik.lab.findings.training.memory import MemoryPlan
    from tetkik.lab.findings.training.progress import Epoch
    from tetkik.lab.findings.training.runs import Trained
    from tetkik.lab.findings.training.tune import Trial


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
        images: with their labels.
        out: the bundle's folder; beside it `.NAME.training` keeps checkpoints and `.NAME.squares` the decoded
            images until the bundle is written, and `NAME-log` gets the log, its curves and the scores.
        options: the settings.
        progress: told how far it is; called in the main process only.

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
    from tetkik.lab.engine.checkpoint import WorkFolder, room_on_disk
    from tetkik.lab.findings.training.material import check_labels, identity, prepare_material
    from tetkik.lab.findings.training.writing import write_bundle

    check_labels(images, options)
    store = options.cache or out.parent / f".{out.name}.squares"
    # Classifiers of transformers may have layers without a part in the answer; ours have none.
    with accelerator_for(
        options.precision, threads=options.threads, find_unused=options.network not in FAMILIES
    ) as (accelerator, precision):
        options = replace(options, precision=precision)
        main = accelerator.is_main_process
        told = progress if main else silence
        work = WorkFolder.beside(out)
        if main:
            with as_fault_of(out):
                work.begin(identity(images, options), options.resume)
        accelerator.wait_for_everyone()
        try:
            # The first process decodes; the others find its squares.
            with accelerator.main_process_first():
                material = prepare_material(images, options, store, told)
            outcome = fit(accelerator, material, work, told)
            if main:
                with room_on_disk(out.parent):
                    write_bundle(material, outcome, out, told)
        except BaseException:
            if main and not work.has_progress():
                work.remove()
            raise
        if main:
            work.remove()
            if options.cache is None:
                shutil.rmtree(store, ignore_errors=True)
        accelerator.wait_for_everyone()
    return open_bundle(out, Task.FINDINGS)


def fit(accelerator: Any, material: Material, work: WorkFolder, progress: ProgressCallback) -> Outcome:
    """Everything between the images and the bundle: settings tried, networks trained, scores read."""
    trials: tuple[Trial, ...] = ()
    options = material.course.options
    if options.tune:
        options, trials = _tuned(accelerator, material, work, progress)
        material = replace(material, course=replace(material.course, options=options))
    if material.fold is not None:
        return _by_folds(accelerator, material, material.fold, work, progress)
    return replace(_by_parts(accelerator, material, work, progress), trials=trials)


def _by_parts(accelerator: Any, material: Material, work: WorkFolder, progress: ProgressCallback) -> Outcome:
    from tetkik.lab.findings.training.judgement import Reading, read

    course, parts = material.course, material.parts
    assert parts is not None
    rows = (parts.train, parts.validation)
    members, epochs = _members(accelerator, material, rows, "member", work, progress)
    labels = course.labels
    calibration = _scores(accelerator, material, members, parts.calibration, progress)
    reading = Reading.fitted(
        calibration, course.truth[parts.calibration], labels, material.assessed, course.options.threshold
    )
    scores = _scores(accelerator, material, members, parts.test, progress)
    probability, called = read(scores, labels, reading)
    split = (
        f"test, 10% by component of patient and duplicates, seed {course.options.seed}; calibration and "
        "thresholds from another 10%"
    )
    judged = _judged(material, parts.test, scores, probability, called)
    return Outcome(members, epochs, judged, reading, split, (), course.options)


def _by_folds(
    accelerator: Any,
    material: Material,
    fold: Any,
    work: WorkFolder,
    progress: ProgressCallback,
) -> Outcome:
    from tetkik.lab.findings.training.judgement import Reading, cross_read

    course, options, rows = material.course, material.course.options, material.rows
    scores = np.zeros((len(rows), len(course.labels)))
    log: list[Epoch] = []
    for number in range(options.folds):
        mine = rows[fold == number]
        parts = (rows[fold != number], None)
        members, epochs = _members(accelerator, material, parts, f"fold-{number}-member", work, progress)
        scores[mine] = _scores(accelerator, material, members, mine, progress)
        log += epochs
    final, epochs = _members(accelerator, material, (rows, None), "final-member", work, progress)
    truth, labels, assessed = course.truth, course.labels, material.assessed
    probability, called = cross_read(scores, truth, fold, labels, assessed, options.threshold)
    reading = Reading.fitted(scores, truth, labels, assessed, options.threshold)
    split = (
        f"out of fold, {options.folds} folds by component of patient and duplicates, seed {options.seed}; "
        "calibration and thresholds of each fold from the others"
    )
    judged = _judged(material, rows, scores, probability, called)
    return Outcome(final, (*log, *epochs), judged, reading, split, (), options)


def _members(
    accelerator: Any,
    material: Material,
    rows: tuple[Any, Any],
    name: str,
    work: WorkFolder,
    progress: ProgressCallback,
) -> tuple[tuple[Trained, ...], tuple[Epoch, ...]]:
    """The networks of one part, which differ in their seeds."""
    from tetkik.lab.findings.training.runs import train_network, train_ridge

    options = material.course.options
    members = []
    for number in range(options.members):
        run = f"{name}-{number}"
        seed = options.seed + 1000 * number

        def tell(_: str, done: int, total: int | None, run: str = run) -> None:
            progress(run, done, total)

        members.append(
            train_network(accelerator, material.course, rows, run=run, seed=seed, work=work, progress=tell)
        )
    if options.ridge:
        members.append(
            train_ridge(
                accelerator, material.course, rows[0], run=f"{name}-ridge", work=work, progress=progress
            )
        )
    return tuple(members), tuple(row for member in members for row in member.epochs)


def _scores(
    accelerator: Any, material: Material, members: tuple[Trained, ...], rows: Any, progress: ProgressCallback
) -> Any:
    from tetkik.lab.findings.training.runs import mean_scores

    found = mean_scores(material.course, members, rows, accelerator.device, progress)
    return found.astype(np.float64)


def _judged(material: Material, rows: Any, scores: Any, probability: Any, called: Any) -> Judged:
    from tetkik.lab.findings.training.judgement import Judged

    images = material.images
    return Judged(
        material.course.labels,
        rows,
        scores,
        material.course.truth[rows],
        images.group[rows],
        tuple(images.source[row] for row in rows),
        probability,
        called,
    )


def _tuned(
    accelerator: Any, material: Material, work: WorkFolder, progress: ProgressCallback
) -> tuple[TrainingOptions, tuple[Trial, ...]]:
    from tetkik.lab.findings.training.runs import train_network
    from tetkik.lab.findings.training.tune import tuned

    parts = material.parts
    assert parts is not None

    def run(tried: TrainingOptions) -> tuple[float, int]:
        trained = train_network(
            accelerator,
            replace(material.course, options=tried),
            (parts.train, parts.validation),
            run="trial",
            seed=tried.seed,
            work=None,
            progress=lambda _, done, total: progress("trial", done, total),
        )
        accelerator.free_memory()
        return max(row.mean_auroc or 0.0 for row in trained.epochs), trained.best_epoch

    return tuned(material.course.options, work, run, keep=accelerator.is_main_process)


def plan_training(labels: tuple[str, ...], options: TrainingOptions) -> MemoryPlan:
    """How much memory a training would need on its GPU; nothing is trained.

    Raises:
        UsageError: no such network.
        MissingExtra: torch is not installed.
    """
    _need_libraries()
    from tetkik.findings.networks import build
    from tetkik.lab.findings.training.material import preprocessing_for
    from tetkik.lab.findings.training.memory import plan_memory

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
