"""`tetkik caption train --plan`: what a training needs and how long it takes, shown before it begins.

Weights are counted and the rest is estimated, so a card can be planned for that is not there and a base that
was not downloaded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tetkik.caption.network import Cut
from tetkik.caption.options import Learning, Quantisation
from tetkik.errors import UsageError
from tetkik.lab.caption.data import Split
from tetkik.lab.caption.training.features import (
    MEAN_BYTES,
    cache_place,
    check_room,
    feature_numbers,
    free_bytes,
    frozen_would_be_smaller,
)
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.caption.training.plan_memory import (
    PassMemory,
    StepMemory,
    config_of,
    pass_memory,
    planned_network,
    step_memory,
)
from tetkik.lab.caption.training.prompts import check_prompts
from tetkik.lab.engine.precision import Precision, torch_type
from tetkik.language import Sentence

if TYPE_CHECKING:
    from tetkik.lab.caption.prepared import Prepared

GB = 10**9
GIB = 2**30
_LEFT = 0.92
"""Share of the printed size that a program sees: a T4 with 16 GB has 14.75 GiB."""


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU, named as `--card` takes it: bytes that a program sees, and figures of its data sheet or None.

    `flops` are multiplications and additions a second of its fp16 tensor cores without sparsity, `bandwidth`
    bytes a second of its memory.
    """

    name: str
    memory: int
    flops: float | None = None
    bandwidth: float | None = None
    bf16: bool = False


CARDS = {
    name: Card(name, int(gib * GIB), tera * 1e12, gigabytes * 1e9, bf16)
    for name, gib, tera, gigabytes, bf16 in (
        ("t4", 14.75, 65, 320, False),
        ("v100", 15.77, 112, 900, False),
        ("l4", 22.05, 121, 300, True),
        ("rtx3090", 23.69, 71, 936, True),
        ("a100", 39.39, 312, 1555, True),
        ("h100", 79.11, 989, 3350, True),
    )
}
"""By name. V100 is the PCIe card with 16 GB, A100 the one with 40 GB, H100 the SXM one with 80 GB."""
DEFAULT_CARD = "t4"


def card_of(name: str | None) -> Card:
    """The card of that name, or one of that size: `t4`, `16GB`, `24 GiB`."""
    word = (name or DEFAULT_CARD).lower().replace(" ", "")
    plain = word.replace("-", "").replace("_", "")
    if plain in CARDS:
        return CARDS[plain]
    size = re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)gi?b", word)
    if size is None or not float(size[1]):
        raise UsageError(
            "The card {name} is not known; give one of {names}, or its memory, such as 16GB.",
            name=name,
            names=", ".join(sorted(CARDS)),
        )
    return Card(f"{size[1]} GB", int(float(size[1]) * GIB * _LEFT))


ROCOV2_ROWS, ROCOV2_VALID = 59_958, 9_904
"""Training and validation rows of ROCOv2 (Rückert et al., 2024), which is planned for without a folder."""
_USUAL_TOKENS = 32
"""Of a caption of 20 words, the mean of radiology captions in ROCO."""
_TOKENS_A_WORD = 1.5
CONTEXT = GIB // 2
"""What CUDA and its libraries take outside of tensors: 0.3 to 0.5 GiB on cards in use."""
_LOST = 0.05
"""Share of the working bytes that the allocator loses in gaps."""
REACHED = 0.30
"""Share of a card's fp16 operations that training reaches: an assumption. Matrices of some hundred rows and
heat keep a T4 well below its data sheet."""
REACHED_MEMORY = 0.70
"""Share of a card's memory bandwidth that writing out quantised weights reaches: an assumption."""
_PACKED = {"nf4": 2.0, "int8": 1.0}
"""Weights in a byte, near enough."""
_WRITTEN = 4
"""Bytes moved for each weight that is written out: 2 are written and read again by the product."""
_HOUR = 3600


@dataclass(frozen=True, slots=True)
class Rows:
    """The data planned for; known from a prepared folder, or ROCOv2's published figures.

    `longest` counts the tokens of the longest caption after the cut, its end included.
    """

    train: int
    valid: int
    longest: int
    mean: int
    known: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """A way to train that was tried, in bytes of the card; `lost` are those that the allocator loses.

    `before` is the frozen part before the cut with its activations, on the card with the language model while
    the features are made; without a cache they are there in every step.
    """

    options: CaptionTraining
    captions: int
    step: StepMemory
    lost: int
    before: int = 0

    @property
    def total(self) -> int:
        """Bytes of the card that a step needs."""
        standing = 0 if self.options.cache_features else self.before
        return self.step.peak + CONTEXT + self.lost + standing

    @property
    def first(self) -> int:
        """Bytes of the card before the first step, when the features are made."""
        return sum(self.step.frozen.values()) + self.step.learned + self.before + CONTEXT

    @property
    def most(self) -> int:
        return max(self.total, self.first)


@dataclass(frozen=True, slots=True)
class CachePlan:
    """The cache of image features: where they are cut, bytes of one, images, bytes free.

    `smaller` is whether a frozen Q-Former would make them smaller. `certain` is whether all of them are still
    to be written there: some may be in the folder already, or no folder was named.
    """

    place: Sentence
    each: int
    images: int
    folder: Path
    free: int
    smaller: bool
    certain: bool = True

    @property
    def size(self) -> int:
        return self.each * self.images

    def check(self) -> None:
        """Refuse a cache that does not fit the disk, as the training would."""
        check_room(self.size, self.folder, smaller=self.smaller)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a training needs: the largest part of a step that fits; where nothing fits, one caption.

    `nearest` is another setting that would fit where this one does not. `images` is None where all of it
    learns, and hours are None where the card's speed is not known.
    """

    card: Card
    rows: Rows
    precision: Precision
    setting: Setting
    fits: bool
    nearest: Setting | None
    images: PassMemory | None
    cache: CachePlan | None
    hours: Hours | None


def plan_training(
    options: CaptionTraining, prepared: Prepared | None, card: str | None, store: Path | None = None
) -> Plan:
    """Plan a training for a card; nothing is trained and no weights are read.

    `accumulation` is raised until a part of a step fits. Without `prepared` the plan is for ROCOv2, without a
    card for that of this computer, or a T4; the features go to `store`, where it is known.

    Raises:
        UsageError: an unknown card, or settings that do not fit the base.
        BundleError: the base has no configuration that can be read.
        MissingExtra: torch or its companions are not installed.
    """
    chosen = this_card() if card is None and torch.cuda.is_available() else card_of(card)
    config = config_of(options.base, options.revision)
    if options.precision is Precision.AUTO:
        options = replace(options, precision=Precision.BF16 if chosen.bf16 else Precision.FP16)
    rows = _rows(options, prepared)
    if options.words:
        network = planned_network(options, config, torch_type(options.precision))
        check_prompts(network, options, prepared)
    images, cache = _images(options, config, rows, options.cache or store)
    before = 0 if images is None else images.frozen + images.working
    planner = _Planner(config, chosen, rows.longest, before)
    setting = planner.largest(options)
    fits = planner.fits(setting)
    nearest = None if fits else planner.nearest(options)
    hours = None
    if chosen.flops is not None:
        short = planner.step(setting.options, setting.captions, rows.mean)
        hours = hours_of(
            chosen, setting.options, short.flops, setting.captions, short.frozen, images, rows.train
        )
    return Plan(chosen, rows, options.precision, setting, fits, nearest, images, cache, hours)


def this_card() -> Card:
    properties = torch.cuda.get_device_properties(0)
    return Card(
        properties.name,
        int(properties.total_memory),
        bf16=torch.cuda.is_bf16_supported(including_emulation=False),
    )


@dataclass(frozen=True, slots=True)
class _Planner:
    config: Any
    card: Card
    tokens: int
    before: int = 0

    def step(self, options: CaptionTraining, captions: int, tokens: int) -> StepMemory:
        network = planned_network(options, self.config, torch_type(options.precision))
        return step_memory(network, options, self.config, captions=captions, tokens=tokens)

    def tried(self, options: CaptionTraining, captions: int) -> Setting:
        parts = -(-options.batch_size // captions)
        options = replace(options, accumulation=max(parts, options.accumulation))
        step = self.step(options, options.drawn * captions, self.tokens)
        return Setting(options, captions, step, int(_LOST * step.working), self.before)

    def fits(self, setting: Setting) -> bool:
        return setting.most <= self.card.memory

    def largest(self, options: CaptionTraining) -> Setting:
        """The largest part of a step that fits: the whole, a half, a quarter, …; else one caption.

        What a part takes grows evenly with its captions, so two are enough to guess, and the guess is tried.
        """
        one = self.tried(options, 1)
        most = max(1, options.batch_size // options.accumulation)
        if most == 1 or not self.fits(one):
            return one
        two = self.tried(options, 2)
        each = max(1, two.total - one.total)
        captions = most
        while captions > 1 and one.total + (captions - 1) * each > self.card.memory:
            captions //= 2
        while captions > 2:
            setting = self.tried(options, captions)
            if self.fits(setting):
                return setting
            captions //= 2
        return two if captions == 2 and self.fits(two) else one

    def nearest(self, options: CaptionTraining) -> Setting | None:
        """The first change of settings with which one caption fits, tried in the order of what it costs."""
        ways: list[dict[str, Any]] = [{"checkpointing": True}]
        if options.learning is not Learning.FULL:
            ways += [
                {"quantisation": Quantisation.INT8},
                {"quantisation": Quantisation.NF4},
                {"quantisation": Quantisation.NF4, "checkpointing": True},
            ]
        for way in ways:
            changed = replace(options, **way)
            if changed != options and self.fits(self.tried(changed, 1)):
                return self.largest(changed)
        return None


def _rows(options: CaptionTraining, prepared: Prepared | None) -> Rows:
    if prepared is None:
        longest = options.max_tokens + 1
        return Rows(ROCOV2_ROWS, ROCOV2_VALID, longest, min(_USUAL_TOKENS, longest), known=False)
    train, valid = prepared.part(Split.TRAIN), prepared.part(Split.VALID)
    tokens = train.tokens(prepared.fingerprint) if prepared.fingerprint else None
    if tokens is None:
        lengths = [round(_TOKENS_A_WORD * len(caption.split())) for caption in train.captions]
    else:
        lengths = [len(row) for row in tokens]
    lengths = [min(length, options.max_tokens) + 1 for length in lengths] or [options.max_tokens + 1]
    mean = round(sum(lengths) / len(lengths))
    return Rows(len(train), len(valid), max(lengths), mean, known=True)


def _images(
    options: CaptionTraining, config: Any, rows: Rows, place: Path | None
) -> tuple[PassMemory | None, CachePlan | None]:
    """The pass over the images, and what it leaves on the disk."""
    network = planned_network(options, config, torch_type(options.precision))
    if network.cut is Cut.NOTHING:
        return None, None
    images = pass_memory(network, config, images=8, precision=options.precision)
    if not options.cache_features:
        return images, None
    store = (place or Path()).resolve()
    each = math.prod(network.feature_shape()) * feature_numbers(options.precision).itemsize
    if options.words:
        each += MEAN_BYTES * network.stages()[0].shape[1]
    return images, CachePlan(
        cache_place(network),
        each,
        rows.train + rows.valid,
        store,
        free_bytes(store),
        frozen_would_be_smaller(network),
        certain=place is not None and not any(store.glob("features-*")),
    )


@dataclass(frozen=True, slots=True)
class Hours:
    """The reasoning, line by line: hours of an epoch on one card, and of the one pass over the images.

    `moved` are the bytes that an epoch moves to write out quantised weights, and `unpacking` its hours.
    """

    caption_flops: float
    image_flops: float
    rows: int
    compute: float
    moved: float
    unpacking: float
    images: float
    epochs: int

    def epoch(self, cards: int) -> float:
        """Hours of one epoch without the pass over the images."""
        return (self.compute + self.unpacking) / cards

    def all(self, cards: int) -> float:
        """Hours of the pass over the images and all epochs."""
        return self.images / cards + self.epochs * self.epoch(cards)


def unpacked_bytes(frozen: Mapping[str, int]) -> float:
    """What is moved to write out all quantised weights once and to read them again."""
    return _WRITTEN * sum(size * _PACKED[name] for name, size in frozen.items() if name in _PACKED)


def hours_of_flops(card: Card, flops: float) -> float:
    assert card.flops is not None
    return flops / (card.flops * REACHED * _HOUR)


def hours_of_bytes(card: Card, moved: float) -> float:
    assert card.bandwidth is not None
    return moved / (card.bandwidth * REACHED_MEMORY * _HOUR)


def hours_of(
    card: Card,
    options: CaptionTraining,
    flops: float,
    captions: int,
    frozen: Mapping[str, int],
    images: PassMemory | None,
    rows: int,
) -> Hours:
    """Estimate them; `frozen` are bytes by their numbers, `images` None without a cache."""
    each = flops / captions
    # Forward, backward, and forward once more with checkpoints.
    times = 3 if options.checkpointing else 2
    packed = sum(size for name, size in frozen.items() if name in _PACKED)
    moved = times * (packed + unpacked_bytes(frozen)) * rows / captions
    image = images.flops if images is not None else 0.0
    if not options.cache_features:
        # Without a cache the frozen part runs in every epoch.
        each, image = each + image, 0.0
    return Hours(
        each,
        image,
        rows,
        hours_of_flops(card, rows * each),
        moved,
        hours_of_bytes(card, moved),
        hours_of_flops(card, rows * image),
        options.epochs,
    )
