"""`tetkik caption train`: from a prepared folder to a captioner with its card, its curves and its log."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tetkik.bundle import Bundle, Task, open_bundle
from tetkik.bundle.store import check_target
from tetkik.caption.families.loading import require
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.engine.session import Notify
from tetkik.values import ProgressCallback

if TYPE_CHECKING:
    from tetkik.lab.caption.prepared import Prepared


def train_caption(
    prepared: Prepared,
    out: Path,
    options: CaptionTraining,
    progress: ProgressCallback,
    notify: Notify = lambda _: None,
) -> Bundle:
    """Train a captioner on a prepared folder and write it as a bundle.

    Only the training and the validation split are opened. Image features up to the last frozen stage are
    computed once and kept on disk; then only what learns is in memory. Validation chooses the epoch and, with
    `tune`, the settings. Started under `torchrun`, every process calls this alike; `progress` and
    `notify` are called in the main one. Beside `out`, `.NAME.training` keeps checkpoints and `.NAME.features`
    the image features until the bundle is written, and `NAME-log` gets the log, its curves and the captions
    made on validation.

    Raises:
        TrainingError: training cannot go on; a subclass says that Ctrl-C came.
    """
    require("accelerate", "jinja2", "matplotlib", "peft", "safetensors", "torch", "transformers")
    check_target(out)
    from tetkik.lab.caption.training.run import run_training

    run_training(prepared, out, options, progress, notify)
    return open_bundle(out, Task.CAPTION)
