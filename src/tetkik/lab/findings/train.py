"""`tetkik findings train`: from labelled images to a bundle with its card, its figures and its log."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from tetkik.bundle import Bundle, Task, open_bundle
from tetkik.bundle.store import check_target
from tetkik.errors import MissingExtra
from tetkik.lab.engine.precision import Precision
from tetkik.lab.findings.training.options import TrainingOptions
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.findings.data import LabelledImages
    from tetkik.lab.findings.training.memory import MemoryPlan


def train_findings(
    images: LabelledImages, out: Path, options: TrainingOptions, progress: ProgressCallback
) -> Bundle:
    """Train networks on labelled images and write them as one bundle.

    Without folds the components of patients and duplicates are split into training, validation (which
    epoch), calibration (probabilities and thresholds) and test (the figures, once). With folds each component
    is in one part, every row is scored by networks that never saw its part, each part is read with
    calibration and thresholds from the others, and the network that ships is trained on all rows for the same
    number of epochs.
    Started under `torchrun`, every process calls this alike.

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
    from tetkik.lab.engine.processes import main_first
    from tetkik.lab.engine.session import training_session
    from tetkik.lab.findings.training.bundle import write_bundle
    from tetkik.lab.findings.training.fit import fit
    from tetkik.lab.findings.training.runs import (
        check_labels,
        encoder_identity,
        identity,
        prepare_training,
        with_encoder,
    )

    check_labels(images, options)
    store = options.cache or out.parent / f".{out.name}.squares"
    with training_session(
        out,
        options,
        lambda settled: identity(images, settled),
        progress,
        cache=store if options.cache is None else None,
        # Classifiers of transformers may have layers without a part in the answer; ours have none.
        find_unused=options.network not in FAMILIES or options.encoder is not None,
    ) as session:
        # The first process decodes; the others find its images.
        with main_first(session.accelerator):
            prepared = prepare_training(images, session.options, store, session.progress)
            prepared = with_encoder(prepared, store, session.accelerator.device, session.progress)
            if session.main and prepared.config.encoder is not None:
                session.work.hold_to("encoder", encoder_identity(prepared.config))
        result = fit(session, prepared)
        if session.main:
            with room_on_disk(out.parent):
                write_bundle(prepared, result, out, session.progress)
    return open_bundle(out, Task.FINDINGS)


def plan_training(labels: tuple[str, ...], options: TrainingOptions) -> MemoryPlan:
    """How much memory a training would need on its GPU; nothing is trained."""
    _need_libraries()
    from tetkik.findings.networks import build
    from tetkik.lab.findings.training.encoders import planned_network
    from tetkik.lab.findings.training.memory import plan_memory
    from tetkik.lab.findings.training.runs import preprocessing_for

    if options.precision is Precision.AUTO:  # a plan is for a GPU, and every GPU in use has fp16 or bf16
        options = replace(options, precision=Precision.BF16)
    preprocessing = preprocessing_for(options)
    if options.encoder is None:
        return plan_memory(build(options.network, labels), preprocessing, options)
    return plan_memory(planned_network(preprocessing, options, len(labels)), preprocessing, options)


def _need_libraries() -> None:
    try:
        for name in ("accelerate", "matplotlib", "onnx", "onnxscript", "safetensors", "torch"):
            import_module(name)
    except ImportError as error:
        raise MissingExtra(
            "Training a network needs the package {name}; `{extra}`.", extra="torch", name=error.name
        ) from None
