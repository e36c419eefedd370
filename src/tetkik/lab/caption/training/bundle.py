"""Writing the bundle of a training: adapter or whole weights, manifest, card and log."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from tetkik.bundle import Manifest, Metric, Task, bundle_id, finish_bundle, staged_folder
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.storage import preprocessing_of, write_network
from tetkik.lab.caption.prepared import Prepared
from tetkik.lab.caption.training.card import (
    LIBRARIES,
    ModelDescription,
    counted,
    left_out,
    make_card,
)
from tetkik.lab.caption.training.data import learned_rows
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.tuning import Epoch, Trial
from tetkik.lab.caption.training.validation import GeneratedCaptions
from tetkik.lab.engine.card import library_versions, rows_csv
from tetkik.lab.engine.charts import training_curves
from tetkik.lab.engine.evaluation_page import csv_text
from tetkik.lab.engine.session import Notify, log_folder
from tetkik.lab.engine.trainer import TrainingState
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.values import ProgressCallback

CURVES = "curves.png"
LOSS = "Loss a token (nats)"
MEASURED = {"cider": "CIDEr on validation", "rouge_l": "ROUGE-L on validation"}


@dataclass(frozen=True, slots=True, eq=False)
class TrainingResult:
    """What a training resulted in; `options` are those that `--tune` chose, captions those of validation."""

    network: StagedNetwork
    state: TrainingState[Epoch]
    trials: tuple[Trial, ...]
    options: CaptionTraining
    model: ModelDescription
    prepared: Prepared
    metrics: tuple[Metric, ...]
    captions: GeneratedCaptions | None


def write_bundle(result: TrainingResult, out: Path, progress: ProgressCallback, notify: Notify) -> None:
    """Write the bundle and the log beside it."""
    progress("export", 0, 2)
    with staged_folder(out) as stage:
        for sentence in write_network(result.network, stage, merge=result.options.merge):
            notify(sentence)
        learned_rows(result.prepared).after(result.network.found.folder).write(stage)
        curves = _curves(result.state, settings().language)
        (stage / CURVES).write_bytes(curves)
        progress("export", 1, 2)
        manifest = _manifest(result, out)
        card = make_card(result.prepared, result.model, result.options, result.state, result.trials)
        finish_bundle(stage, manifest, *card)
        _write_log(result, log_folder(out), curves)
    progress("export", 2, 2)


def _curves(state: TrainingState[Epoch], language: Language) -> bytes:
    return training_curves(state.epochs, language, loss=LOSS, measured=MEASURED, best_epoch=state.best_epoch)


def _write_log(result: TrainingResult, folder: Path, curves: bytes) -> None:
    """Write `epochs.csv`, `curves.png`, `validation_captions.csv` and, after `--tune`, `trials.csv`.

    They are not part of the bundle: names of images and captions may be those of a hospital.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CURVES).write_bytes(curves)
    listed = result.captions.listed if result.captions is not None else []
    tables = {
        "epochs.csv": rows_csv(result.state.epochs, Epoch),
        "validation_captions.csv": csv_text(["id", "reference", "caption"], listed),
    }
    if result.trials:
        tables["trials.csv"] = rows_csv(result.trials, Trial)
    for name, text in tables.items():
        (folder / name).write_text(text, encoding="utf-8")


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
            **options.as_json(),
            "base": model.base,
            "revision": model.revision,
            "data_counts": counted(result.prepared),
            "rows_left_out": left_out(result.prepared),
            "learned_weights": model.learned,
            "weights": model.weights,
            "cut": model.cut,
            "best_epoch": result.state.best_epoch,
            "skipped_steps": result.state.skipped,
            "processes": model.processes,
        },
        libraries=library_versions([name for name, module in LIBRARIES.items() if find_spec(module)]),
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )
