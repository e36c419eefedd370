"""Writing the bundle of a training: adapter or whole weights, manifest, card and log."""

from __future__ import annotations

import datetime
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Manifest, Metric, Task, bundle_id, render_card, staged_folder, write_manifest
from tetkik.caption.network import CaptionNetwork
from tetkik.caption.storage import preprocessing_of, write_network
from tetkik.lab.caption.training.card import (
    LIBRARIES,
    DataDescription,
    ModelDescription,
    card_sections,
    summary,
)
from tetkik.lab.caption.training.epoch import Epoch
from tetkik.lab.caption.training.log import write_log
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.plots import training_curves
from tetkik.lab.caption.training.tuning import Trial
from tetkik.lab.caption.training.validation import GeneratedCaptions
from tetkik.lab.engine.card import library_versions
from tetkik.lab.engine.output import Notify, log_folder
from tetkik.lab.engine.trainer import TrainingState
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.values import ProgressCallback

SEEN = "seen.npy"
CURVES = "curves.png"


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """What a training resulted in.

    Attributes:
        trials: what `--tune` tried.
        options: the settings, those that `--tune` chose included.
        captions: the captions of validation that they came from; None without validation rows.
    """

    network: CaptionNetwork
    state: TrainingState[Epoch]
    trials: tuple[Trial, ...]
    options: CaptionTraining
    model: ModelDescription
    data: DataDescription
    metrics: tuple[Metric, ...]
    captions: GeneratedCaptions | None
    seen: NDArray[np.uint64]


def write_bundle(result: TrainingResult, out: Path, progress: ProgressCallback, notify: Notify) -> None:
    """Write the bundle and the log beside it.

    Raises:
        OutputError: `out` holds something else, or the disk is full.
    """
    progress("export", 0, 2)
    with staged_folder(out) as stage:
        for sentence in write_network(result.network, stage, merge=result.options.merge):
            notify(sentence)
        np.save(stage / SEEN, result.seen, allow_pickle=False)
        # The card is English, and so is its picture.
        state = result.state
        curves = training_curves(state.epochs, state.best_epoch, Language.EN)
        (stage / CURVES).write_bytes(curves)
        progress("export", 1, 2)
        manifest = _manifest(result, out)
        sections = card_sections(result.data, result.model, result.options, state, result.trials)
        card = render_card(manifest, summary(result.model, result.data), sections)
        (stage / "README.md").write_text(card, encoding="utf-8")
        write_manifest(stage, manifest)
        listed = result.captions.listed if result.captions is not None else []
        if settings().language is not Language.EN:
            curves = training_curves(state.epochs, state.best_epoch, settings().language)
        write_log(log_folder(out), state.epochs, result.trials, listed, curves)
    progress("export", 2, 2)


def _manifest(result: TrainingResult, out: Path) -> Manifest:
    """Everything that the bundle says of itself, but for the hashes of its files."""
    options, network, model = result.options, result.network, result.model
    return Manifest(
        id=options.id or bundle_id(out.resolve().name) or "caption",
        version="1.0",
        licence=options.licence,
        task=Task.CAPTION,
        kind=network.family,
        labels=("caption",),
        preprocessing=preprocessing_of(network),
        metrics=result.metrics,
        training={
            **_plain(options),
            "base": model.base,
            "revision": model.revision,
            "data_counts": dict(result.data.counts),
            "rows_left_out": dict(result.data.left_out),
            "learned_weights": model.learned,
            "weights": model.weights,
            "cut": model.cut,
            "best_epoch": result.state.best_epoch,
            "skipped_steps": result.state.skipped,
            "processes": model.processes,
        },
        libraries=library_versions([name for name in LIBRARIES if importlib.util.find_spec(_module(name))]),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def _plain(options: CaptionTraining) -> dict[str, Any]:
    """The settings as JSON has them."""
    return {
        name: str(value) if isinstance(value, Path) else value for name, value in options.as_json().items()
    }


def _module(package: str) -> str:
    return {"pillow": "PIL"}.get(package, package)
