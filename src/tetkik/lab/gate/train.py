"""Training the gate: from tables and folders of images to a bundle. Needs torch."""

from __future__ import annotations

import datetime
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from tetkik.bundle import (
    Bundle,
    CardSection,
    Manifest,
    Metric,
    Task,
    finish_bundle,
    open_bundle,
    staged_folder,
)
from tetkik.errors import TrainingError
from tetkik.imaging.gate.classifier import OUTPUTS, Limits
from tetkik.imaging.prepare import Fit, Preprocessing
from tetkik.lab.engine.card import library_versions
from tetkik.lab.gate.augment import Recipe
from tetkik.lab.gate.examples import BRAIN, CHEST, OTHER, Examples, drawn
from tetkik.lab.gate.export import write_onnx
from tetkik.lab.gate.loop import Schedule, fit
from tetkik.values import ProgressCallback

LEAST = 20
"""Examples of each kind without which nothing is learned."""


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Settings of a training.

    Attributes:
        size: side of the network's input, 80 or 96.
        scenes: how many pictures are drawn beside the real images that are neither.
        limits: from which probability on the gate says what.
        threads: of torch; one is fastest for a network this small where the cores have other work.
        metrics: figures measured elsewhere (`benchmarks/imaging_gate.py`), for the card.
    """

    id: str = "gate-image"
    version: str = "1.0"
    size: int = 80
    scenes: int = 2000
    recipe: Recipe = field(default_factory=Recipe)
    schedule: Schedule = field(default_factory=Schedule)
    limits: Limits = field(default_factory=Limits)
    threads: int = 1
    licence: str = "unknown"
    data_name: str = "training images"
    metrics: tuple[Metric, ...] = ()


def train_gate(examples: Examples, out: Path, options: GateOptions, progress: ProgressCallback) -> Bundle:
    """Teach the gate's network real images of every kind, and drawn scenes, and write it as a bundle.

    Raises:
        TrainingError: there are too few images of a kind.
        OutputError: `out` is taken.
    """
    import torch

    for kind, name in ((CHEST, "chest"), (BRAIN, "brain MRI")):
        count = int((examples.kind == kind).sum())
        if count < LEAST:
            raise TrainingError(
                "There are {count} images of the kind {name}, and the gate needs at least {least}; add some.",
                count=count,
                name=name,
                least=LEAST,
            )
    torch.set_num_threads(options.threads)
    everything = examples.with_more(drawn(options.scenes, options.schedule.seed))
    with staged_folder(out) as stage:
        network = fit(
            everything,
            options.size,
            options.recipe,
            options.schedule,
            partial(progress, "train"),
        )
        difference = write_onnx(network, options.size, stage / "model.onnx")
        manifest = _manifest(examples, options, difference)
        finish_bundle(stage, manifest, _SUMMARY, _sections(examples))
    return open_bundle(out, Task.GATE)


def preprocessing(size: int) -> Preprocessing:
    """What the network takes: the whole image in a black square."""
    return Preprocessing(size=size, mean=(0.0,), std=(1.0,), fit=Fit.PAD)


def _manifest(examples: Examples, options: GateOptions, difference: float) -> Manifest:
    names, counts = np.unique(np.array(examples.source), return_counts=True)
    return Manifest(
        id=options.id,
        version=options.version,
        task=Task.GATE,
        kind="convolutional",
        labels=OUTPUTS,
        preprocessing=preprocessing(options.size).as_json(),
        thresholds=asdict(options.limits),
        metrics=options.metrics,
        training={
            "images_by_source": dict(zip(names.tolist(), counts.tolist(), strict=True)),
            "images_by_kind": {name: int((examples.kind == kind).sum()) for kind, name in enumerate(_KINDS)},
            "scenes": options.scenes,
            "data": options.data_name,
            **asdict(options.recipe),
            **asdict(options.schedule),
            "largest_difference_from_torch": round(difference, 5),
        },
        libraries=library_versions(("torch", "onnx", "numpy", "pillow")),
        licence=options.licence,
        created=datetime.datetime.now(datetime.UTC).date().isoformat(),
    )


_KINDS = ("chest radiograph", "brain MRI slice", "neither", "no chest radiograph, brain or not")
_SUMMARY = (
    "Says whether an image is a frontal chest radiograph, a slice of a brain MRI or neither, which way a "
    "chest radiograph lies, whether it is inverted and whether a large part of the chest is cut off. The "
    "quality gate asks it where the tags of a file do not decide."
)


def _sections(examples: Examples) -> list[CardSection]:
    others = int((examples.kind == OTHER).sum())
    return [
        CardSection(
            "Data",
            f"{len(examples)} images, {others} of them neither. Turned, inverted and cut films were made "
            "from the upright ones; documents, screens, noise and things were drawn.",
        ),
        CardSection(
            "Limits",
            "Never shown a lateral film, a radiograph of another part of the body or a photograph of a film. "
            "It cannot tell a film that is mirrored left to right, nor which way up a slice of a brain is.",
        ),
    ]
