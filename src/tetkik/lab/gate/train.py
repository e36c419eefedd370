"""Training the gate: from tables and folders of images to a bundle. Needs torch."""

from __future__ import annotations

import copy
import datetime
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - the name that torch's users know

from tetkik.bundle import (
    Bundle,
    Manifest,
    Metric,
    Task,
    finish_bundle,
    open_bundle,
    staged_folder,
)
from tetkik.errors import TrainingError
from tetkik.imaging.gate.judge import OUTPUTS, Limits
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.card import library_versions, read_card
from tetkik.lab.gate.augment import Augmenter, Batch, Recipe
from tetkik.lab.gate.examples import BRAIN, CHEST, DRAWN, NOT_CHEST, OTHER, Examples, drawn
from tetkik.lab.gate.network import ROUTES, TURNS, GateNetwork, write_onnx
from tetkik.statistics import Floats
from tetkik.values import Fit, ProgressCallback


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast the network learns."""

    steps: int = 1200
    batch: int = 64  # examples in each
    rate: float = 3e-3  # highest learning rate, of AdamW, with a warm-up and a cosine to nothing
    decay: float = 0.05
    # share of the running mean of the weights that each step keeps; that mean is what is used
    memory: float = 0.99
    seed: int = 0  # of weights, order and changes


def fit(
    examples: Examples, size: int, recipe: Recipe, schedule: Schedule, tick: Callable[[int, int], None]
) -> GateNetwork:
    """Teach a network and return it ready for use; `tick` is called with (steps done, steps in all)."""
    torch.manual_seed(schedule.seed)
    network = GateNetwork()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    augmenter = Augmenter(size, recipe, schedule.seed)
    random = np.random.default_rng(schedule.seed)
    optimiser = torch.optim.AdamW(network.parameters(), schedule.rate, weight_decay=schedule.decay)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=schedule.steps, pct_start=0.15
    )
    share = _shares(examples)
    mean = copy.deepcopy(network)
    network.train()
    for step in range(schedule.steps):
        rows = random.choice(len(examples), schedule.batch, p=share)
        batch = augmenter.batch(
            torch.from_numpy(examples.squares[rows]),
            torch.from_numpy(examples.aspect[rows]),
            torch.from_numpy(examples.kind[rows]),
        )
        loss = losses(network(batch.images.contiguous(memory_format=torch.channels_last)), batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        rates.step()
        # At first the mean must forget the random weights that it began with.
        _follow(mean, network, min(schedule.memory, (1 + step) / (10 + step)))
        tick(step + 1, schedule.steps)
    return mean.eval()


@torch.no_grad()
def _follow(mean: GateNetwork, network: GateNetwork, memory: float) -> None:
    """Move the running mean of the weights a step towards those of `network`."""
    for kept, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - memory)


def losses(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The sum of the four heads' losses; what is unknown of an example adds nothing."""
    route = F.log_softmax(logits[:, :ROUTES], dim=1)
    # An example that may be of two kinds is right with either.
    total = -torch.logsumexp(route.masked_fill(batch.allowed == 0, -torch.inf), dim=1).mean()
    turned = batch.turn >= 0
    if turned.any():
        total = total + F.cross_entropy(logits[turned, ROUTES : ROUTES + TURNS], batch.turn[turned])
    for place, target in ((-2, batch.inverted), (-1, batch.cropped)):
        known = target >= 0
        if known.any():
            total = total + F.binary_cross_entropy_with_logits(logits[known, place], target[known])
    return total


_SHARES = {CHEST: 0.4, BRAIN: 0.18, OTHER: 0.38, NOT_CHEST: 0.04}
_DRAWN = 0.7


def _shares(examples: Examples) -> Floats:
    """The chance of each row: by kind, and within a kind sources by the root of their size.

    What is drawn counts less than that: real slices are what is mistaken for a chest.
    """
    names, source = np.unique(np.array(examples.source), return_inverse=True)
    favour = np.where(names == DRAWN, _DRAWN, 1.0)
    share = np.zeros(len(examples))
    for kind, weight in _SHARES.items():
        of_kind = examples.kind == kind
        counts = np.bincount(source[of_kind], minlength=len(names))
        wanted = np.sqrt(counts) * favour
        if counts.any():
            share[of_kind] = weight * (wanted / wanted.sum() / np.maximum(counts, 1))[source[of_kind]]
    normal: Floats = share / share.sum()
    return normal


LEAST = 20
"""Examples of each kind without which nothing is learned."""


@dataclass(frozen=True, slots=True)
class GateOptions:
    """Settings of a training."""

    id: str = "gate-image"
    version: str = "1.0"
    size: int = 80  # side of the network's input, 80 or 96
    scenes: int = 2000  # how many pictures are drawn beside the real images that are neither
    recipe: Recipe = field(default_factory=Recipe)
    schedule: Schedule = field(default_factory=Schedule)
    limits: Limits = field(default_factory=Limits)  # from which probability on the gate says what
    threads: int = 1  # of torch; one is fastest for a network this small where the cores have other work
    licence: str = "unknown"
    data_name: str = "training images"
    # figures measured elsewhere (`benchmarks/imaging_gate.py`), for the card
    metrics: tuple[Metric, ...] = ()


def train_gate(examples: Examples, out: Path, options: GateOptions, progress: ProgressCallback) -> Bundle:
    """Teach the gate's network real images of every kind, and drawn scenes, and write it as a bundle.

    Raises:
        TrainingError: there are too few images of a kind.
        OutputError: `out` is taken.
    """
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
        others = int((examples.kind == OTHER).sum())
        card = read_card("tetkik.lab.gate", images=len(examples), others=others)
        finish_bundle(stage, manifest, *card)
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
