"""The bundle of a training: the adapter or whole weights, the manifest with its figures, card and log."""

from __future__ import annotations

import datetime
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Manifest, Metric, Task, bundle_id, render_card, staged_folder, write_manifest
from tetkik.caption.network import CaptionNetwork
from tetkik.caption.storage import preprocessing_of, write_network
from tetkik.lab.caption.training.card import LIBRARIES, DataStory, ModelStory, card_sections, summary
from tetkik.lab.caption.training.figures import Judged
from tetkik.lab.caption.training.log import log_folder, write_log
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.plots import training_curves
from tetkik.lab.caption.training.progress import Progress, Tell
from tetkik.lab.caption.training.tune import Trial
from tetkik.language import Language
from tetkik.settings import settings
from tetkik.values import ProgressCallback

SEEN = "seen.npy"
CURVES = "curves.png"


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What a training came to.

    Attributes:
        network: with the weights of its best epoch.
        story: its epochs.
        trials: what `--tune` tried.
        options: the settings, those that `--tune` chose included.
        model: what the card says of the model.
        data: what the card says of the data.
        metrics: on validation.
        judged: the captions of validation that they came from; None without validation rows.
        seen: hashes of what was learned from or chosen on.
    """

    network: CaptionNetwork
    story: Progress
    trials: tuple[Trial, ...]
    options: CaptionTraining
    model: ModelStory
    data: DataStory
    metrics: tuple[Metric, ...]
    judged: Judged | None
    seen: NDArray[np.uint64]


def write_bundle(outcome: Outcome, out: Path, progress: ProgressCallback, tell: Tell) -> None:
    """Write the bundle and the log beside it.

    Raises:
        OutputError: `out` holds something else, or the disk is full.
    """
    progress("export", 0, 2)
    with staged_folder(out) as stage:
        for sentence in write_network(outcome.network, stage, merge=outcome.options.merge):
            tell(sentence)
        np.save(stage / SEEN, outcome.seen, allow_pickle=False)
        # The card is English, and so is its picture.
        story = outcome.story
        curves = training_curves(story.epochs, story.best_epoch, Language.EN)
        (stage / CURVES).write_bytes(curves)
        progress("export", 1, 2)
        manifest = _manifest(outcome, out)
        sections = card_sections(outcome.data, outcome.model, outcome.options, story, outcome.trials)
        card = render_card(manifest, summary(outcome.model, outcome.data), sections)
        (stage / "README.md").write_text(card, encoding="utf-8")
        write_manifest(stage, manifest)
        listed = outcome.judged.listed if outcome.judged is not None else []
        if settings().language is not Language.EN:
            curves = training_curves(story.epochs, story.best_epoch, settings().language)
        write_log(log_folder(out), story, outcome.trials, listed, curves)
    progress("export", 2, 2)


def _manifest(outcome: Outcome, out: Path) -> Manifest:
    """Everything that the bundle says of itself, but for the hashes of its files."""
    options, network, model = outcome.options, outcome.network, outcome.model
    return Manifest(
        id=options.id or bundle_id(out.resolve().name) or "caption",
        version="1.0",
        licence=options.licence,
        task=Task.CAPTION,
        kind=network.family,
        labels=("caption",),
        preprocessing=preprocessing_of(network),
        metrics=outcome.metrics,
        training={
            **_plain(options),
            "base": model.base,
            "revision": model.revision,
            "data_counts": dict(outcome.data.counts),
            "rows_left_out": dict(outcome.data.left_out),
            "learned_weights": model.learned,
            "weights": model.weights,
            "cut": model.cut,
            "best_epoch": outcome.story.best_epoch,
            "skipped_steps": outcome.story.skipped,
            "processes": model.processes,
        },
        libraries={name: _version(name) for name in LIBRARIES if importlib.util.find_spec(_module(name))},
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


def _plain(options: CaptionTraining) -> dict[str, Any]:
    """The settings as JSON has them."""
    return {
        name: str(value) if isinstance(value, Path) else value for name, value in options.as_json().items()
    }


def _module(package: str) -> str:
    return {"pillow": "PIL"}.get(package, package)


def _version(package: str) -> str:
    return importlib.metadata.version(package)
