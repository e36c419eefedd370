"""`tetkik caption train --plan`: the memory and the disk that a training needs, shown before it begins.

Weights are counted and the rest is estimated, so a card can be planned for that is not there and a base that
was not downloaded.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tetkik.caption.families.staged import CHUNK
from tetkik.caption.network import Cut
from tetkik.caption.options import Learning, Quantisation
from tetkik.errors import UsageError
from tetkik.lab.caption.evaluate import EvaluationOptions
from tetkik.lab.caption.prepared import Split
from tetkik.lab.caption.training.features import (
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
    depth_of,
    frozen_bytes,
    pass_memory,
    planned_network,
    step_memory,
)
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
    """One GPU: its name, the bytes that a program sees of its memory, and whether it computes in bf16."""

    name: str
    memory: int
    bf16: bool = False


DEFAULT_CARD = "16GB"


def card_of(size: str | None) -> Card:
    """A card of that size, such as `16GB` or `24 GiB`."""
    found = re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)gi?b", (size or DEFAULT_CARD).lower().replace(" ", ""))
    if found is None or not float(found[1]):
        raise UsageError("The card {name} is not known; give its memory, such as 16GB.", name=size)
    return Card(f"{found[1]} GB", int(float(found[1]) * GIB * _LEFT))


ROCOV2_ROWS, ROCOV2_VALID = 59_958, 9_904
"""Training and validation rows of ROCOv2 (Rückert et al., 2024), which is planned for without a folder."""
_USUAL_TOKENS = 32
"""Of a caption of 20 words, the mean of radiology captions in ROCO."""
_TOKENS_A_WORD = 1.5
CONTEXT = GIB // 2
"""What CUDA and its libraries take outside of tensors: 0.3 to 0.5 GiB on cards in use."""
_LOST = 0.05
"""Share of the working bytes that the allocator loses in gaps."""


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
    learns.
    """

    card: Card
    rows: Rows
    precision: Precision
    setting: Setting
    fits: bool
    nearest: Setting | None
    images: PassMemory | None
    cache: CachePlan | None


def plan_training(
    options: CaptionTraining, prepared: Prepared | None, card: str | None, store: Path | None = None
) -> Plan:
    """Plan a training for a card; nothing is trained and no weights are read.

    `accumulation` is raised until a part of a step fits. Without `prepared` the plan is for ROCOv2, without a
    card for that of this computer, or one of 16 GB; the features go to `store`, where it is known.

    Raises:
        UsageError: no size of a card, or settings that do not fit the base.
        BundleError: the base has no configuration that can be read.
        MissingExtra: torch or its companions are not installed.
    """
    chosen = this_card() if card is None and torch.cuda.is_available() else card_of(card)
    config = config_of(options.base, options.revision)
    if options.precision is Precision.AUTO:
        options = replace(options, precision=Precision.BF16 if chosen.bf16 else Precision.FP16)
    rows = _rows(options, prepared)
    images, cache = _images(options, config, rows, options.cache or store)
    before = 0 if images is None else images.frozen + images.working
    planner = _Planner(config, chosen, rows.longest, before)
    setting = planner.largest(options)
    fits = planner.fits(setting)
    nearest = None if fits else planner.nearest(options)
    return Plan(chosen, rows, options.precision, setting, fits, nearest, images, cache)


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

    def step(self, options: CaptionTraining, captions: int) -> StepMemory:
        network = planned_network(options, self.config, torch_type(options.precision))
        return step_memory(network, options, self.config, captions=captions, tokens=self.tokens)

    def tried(self, options: CaptionTraining, captions: int) -> Setting:
        parts = -(-options.batch_size // captions)
        options = replace(options, accumulation=max(parts, options.accumulation))
        step = self.step(options, captions)
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
    return images, CachePlan(
        cache_place(network),
        each,
        rows.train + rows.valid,
        store,
        free_bytes(store),
        frozen_would_be_smaller(network),
        certain=place is not None and not any(store.glob("features-*")),
    )


# `tetkik caption train --test --plan`: the memory that judging the test split needs.


_FP32, _HALF = 4, 2
_SEARCHED = 3
"""Tensors of a logit for each word and beam that a step of the search holds."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """Bytes on the card.

    `captions` are decoded at once, each with `beams`; `keys` are the keys and values of all of them.
    """

    card: Card
    captions: int
    beams: int
    weights: int
    keys: int
    working: int

    @property
    def total(self) -> int:
        return self.weights + self.keys + self.working + CONTEXT


def plan_evaluation(plan: Plan) -> EvaluationPlan:
    """Plan `caption evaluate` of the test split with its usual settings, after the training of `plan`."""
    usual = EvaluationOptions()
    decoding = usual.decoding
    half = Precision.BF16 if plan.card.bf16 else Precision.FP16
    # Whole weights are loaded in 16 bits, and an adapter counts little.
    options = replace(plan.setting.options, precision=half, learning=Learning.ADAPTER)
    config = config_of(options.base, options.revision)
    network = planned_network(options, config, torch_type(half))
    images = pass_memory(network, config, images=usual.batch_size, precision=half)
    frozen = frozen_bytes(network, options.quantisation)
    width = int(getattr(config.text_config, "hidden_size", 0) or config.text_config.d_model)
    vocabulary = network.core.get_output_embeddings().weight.shape[0]
    before = network.stages()[-1].shape[0] + len(network._compose([], False)[0])
    length = before + decoding.max_tokens
    beams = usual.batch_size * decoding.beams
    keys = 2 * depth_of(config) * width * beams * length * _HALF
    first = beams * before * 12 * width * _HALF
    search = _SEARCHED * beams * vocabulary * _FP32
    confidence = 2 * min(usual.batch_size * decoding.max_tokens, CHUNK) * vocabulary * _FP32
    working = max(images.working, first + search, confidence)
    if options.quantisation is not Quantisation.NONE:
        # One matrix at a time is written out to be multiplied.
        working += 4 * width * width * _HALF
    return EvaluationPlan(
        plan.card,
        usual.batch_size,
        decoding.beams,
        images.frozen + sum(frozen.values()) + plan.setting.step.learned,
        keys,
        working,
    )
