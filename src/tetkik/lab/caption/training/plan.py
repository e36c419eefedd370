"""`tetkik caption train --plan`: the memory and the disk that a training needs, shown before it begins.

Weights are counted and the rest is estimated, so a card can be planned for that is not there and a base that
was not downloaded.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tetkik.caption.adapters import make_trainable
from tetkik.caption.families.loading import family_of, model_class
from tetkik.caption.families.staged import CHUNK, BaseLocation, find_base, is_path
from tetkik.caption.image_spec import ImageSpec
from tetkik.caption.network import Cut
from tetkik.caption.options import Learning, Quantisation
from tetkik.errors import BundleNotFound, UsageError
from tetkik.lab.caption.evaluate import EvaluationOptions
from tetkik.lab.caption.prepared import Split
from tetkik.lab.caption.training.features import (
    cache_place,
    check_room,
    feature_numbers,
    frozen_would_be_smaller,
)
from tetkik.lab.caption.training.options import CaptionTraining, OptimizerKind
from tetkik.lab.engine.arrays import free_bytes
from tetkik.lab.engine.precision import Precision, torch_type
from tetkik.language import Sentence
from tetkik.networks.huggingface import quiet_transformers, read_config

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tetkik.caption.families.staged import StagedNetwork
    from tetkik.lab.caption.prepared import Prepared


# How much memory a training needs: parameter counts and published formulas.
#
# The network is built from its sizes alone on the meta device, which counts its weights exactly. What a
# step holds beside them is estimated: 34 bytes for each number of the width, token and layer in fp16
# (Korthikanti et al., "Reducing activation recomputation in large transformer models", 2022; fused
# attention keeps no matrix of scores).


_TOKENS_A_WORD = 1.5
"""Of English medical text in OPT's vocabulary."""
_FP32 = 4
_SMALL_STATE, _STATE_BLOCK = 4096, 256
"""bitsandbytes keeps the state of fewer weights in 32 bits, and one scale for a block of larger ones."""
_NF4_BLOCK, _NF4_SECOND, _NF4_CODES = 64, 256, (256 + 16 + 1) * 4
"""Weights that share a scale, scales that share one, and bytes of the tables (Dettmers et al., 2023)."""


@dataclass(frozen=True, slots=True)
class StepMemory:
    """What a step holds in memory at its peak, in bytes.

    `frozen` by the numbers they are kept in; `logits` of caption tokens that are alive at once with their
    gradient are part of `working`.
    """

    frozen: Mapping[str, int]
    learned: int
    weights: int
    gradients: int
    optimizer: int
    batch: int
    working: int
    logits: int

    @property
    def peak(self) -> int:
        """All bytes that tensors take at the same time."""
        kept = sum(self.frozen.values()) + self.learned + self.gradients + self.optimizer
        return kept + self.batch + self.working


@dataclass(frozen=True, slots=True)
class PassMemory:
    """What the one-off pass of the frozen part over the images takes, without the language model."""

    frozen: int
    working: int


@dataclass(frozen=True, slots=True)
class _Stack:
    """Transformer layers of one width that see so many tokens of a caption.

    `inner` is the width of the feed-forward part; a gated one counts its second matrix. `rms` norms are
    computed in fp32 step by step. `seen` are tokens of another sequence that a layer attends to as well, and
    `heads` those of attention that keeps its scores, as T5's does; 0 where it is fused.
    """

    layers: int
    width: int
    inner: int
    tokens: int
    rms: bool = False
    seen: int = 0
    heads: int = 0

    def kept(self, quantisation: Quantisation, size: int) -> int:
        """Bytes that one layer keeps of one caption for the backward pass.

        Of the 34, 11 belong to attention, 4 to the norms and 3 + 4 x inner / width to the feed-forward part.
        RMSNorm keeps 10 and T5's feed-forward part, half of it in fp32, twice as much; LLM.int8 keeps the
        input of each product; behind either quantisation the states between products are fp32.
        """
        cross = bool(self.seen)
        factor = 14 + 11 * cross + (2 + cross) * (10 if self.rms else 2)
        factor += {Quantisation.NONE: 0, Quantisation.NF4: 9, Quantisation.INT8: 19}[quantisation]
        inner = (8 if self.heads else 4) + 2 * (quantisation is Quantisation.INT8)
        scores = 8 * self.heads * (self.tokens + self.seen)
        return self.tokens * (factor * self.width + inner * self.inner + scores) * size // 2


@dataclass(frozen=True, slots=True)
class Lengths:
    """In the place of a tokenizer, which nothing is read with: only lengths count here."""

    fingerprint: ClassVar[str] = ""
    tokenizer: ClassVar[Any] = SimpleNamespace(bos_token_id=0, eos_token_id=1, pad_token_id=1)

    def encode(self, captions: Sequence[str]) -> list[NDArray[np.int32]]:
        return [np.full(round(_TOKENS_A_WORD * len(text.split())), 4, np.int32) for text in captions]


@cache
def _published() -> dict[str, Any]:
    text = resources.files("tetkik").joinpath("lab/caption/training/plan_shapes.toml").read_text("utf-8")
    return {base: shapes for shapes in tomllib.loads(text).values() for base in shapes["bases"]}


def config_of(base: str, revision: str | None = None) -> Any:
    """The configuration of a base: from its folder, from what is known of published ones, or from the hub."""
    from transformers import AutoConfig, Blip2Config

    if not is_path(base) and base in _published():
        shapes = _published()[base]
        return Blip2Config(text_config=shapes["text"], image_token_index=shapes["image_token_index"])
    try:
        found = find_base(base, revision, weights=False)
    except BundleNotFound as error:
        if is_path(base):
            raise
        raise UsageError(
            "The sizes of {base} are not known here and the hub cannot be reached; give a folder with its "
            "config.json, or one of {names}.",
            base=base,
            names=", ".join(sorted(_published())),
        ) from error
    family_of(base, read_config(found.folder))
    with quiet_transformers():
        return AutoConfig.from_pretrained(found.folder, local_files_only=True, trust_remote_code=False)


_DEPTHS = ("num_hidden_layers", "num_layers", "num_decoder_layers")
"""What families call the number of layers of a language model; T5 has two such numbers."""


def depth_of(config: Any) -> int:
    """Layers of the language model; of an encoder and a decoder the fewer."""
    text = config.text_config
    return min(int(getattr(text, name)) for name in _DEPTHS if getattr(text, name, None))


def planned_network(options: CaptionTraining, config: Any, number: torch.dtype) -> StagedNetwork:
    """A network on the meta device with what learns in it; quantised layers are not replaced."""
    import transformers

    family = family_of(options.base, config.to_dict())
    full = options.learning is Learning.FULL
    number = torch.float32 if full else number
    size = getattr(config.vision_config, "image_size", 224)
    with torch.device("meta"), quiet_transformers():
        made = model_class(config.to_dict(), getattr(transformers, family.usual))(config)
        core = made.to(number).requires_grad_(False)
    network = family(
        core,
        Lengths(),  # type: ignore[arg-type]
        ImageSpec(size=size if isinstance(size, int) else size[0]),
        BaseLocation(Path(), options.base, options.revision, options.base),
        options.quantisation,
    )
    family.settle(core)
    network.prompt = network.default_prompt if options.prompt is None else options.prompt
    with torch.device("meta"):
        make_trainable(network, options.learning, options.adapter)
    return network


def step_memory(
    network: StagedNetwork, options: CaptionTraining, config: Any, *, captions: int, tokens: int
) -> StepMemory:
    """Estimate one part of a step of a `planned_network`; tokens include the caption's end."""
    module = network.trainable()
    learned = [item for item in module.parameters() if item.requires_grad]
    weights = sum(item.numel() for item in learned)
    frozen = frozen_bytes(network, options.quantisation)
    size = torch_type(options.precision).itemsize
    row = len(network._compose([0] * (tokens - 1), True)[0])
    stacks = _stacks(network, config, row)
    layers = [stack.layers * stack.kept(options.quantisation, size) for stack in stacks]
    vocabulary = network.core.get_output_embeddings().weight.shape[0]
    logits = 2 * min(captions * tokens, CHUNK) * vocabulary * _FP32
    if options.checkpointing:
        state = size if options.quantisation is Quantisation.NONE else _FP32
        between = sum(stack.layers * stack.tokens * stack.width * state for stack in stacks)
        one = max(stack.kept(options.quantisation, size) for stack in stacks)
        working = captions * between + max(captions * one, logits)
    else:
        working = captions * sum(layers) + logits
    if size < _FP32 and not options.checkpointing:
        # Autocast keeps a copy in 16 bits of each matrix that is fp32.
        full = options.learning is Learning.FULL
        working += (frozen.get("float32", 0) + full * _FP32 * weights) // 2
    if options.quantisation is not Quantisation.NONE:
        # One matrix at a time is written out to be multiplied.
        working += size * max(stack.width * stack.inner for stack in stacks)
    cut = network.cut
    side = network.image.size
    pixels = (3, side * side) if cut is Cut.NOTHING else network.feature_shape()
    features = pixels[0] * pixels[1] * (_FP32 if cut is Cut.NOTHING else size)
    return StepMemory(
        frozen,
        sum(item.numel() * item.element_size() for item in learned),
        weights,
        sum(item.numel() * item.element_size() for item in learned),
        optimizer_bytes([tuple(item.shape) for item in learned], options.optimizer),
        captions * (features + 3 * 8 * row),
        working,
        logits,
    )


def pass_memory(network: StagedNetwork, config: Any, *, images: int, precision: Precision) -> PassMemory:
    """Estimate the one-off pass of the frozen part of a `planned_network` over the images."""
    language = {id(item) for item in network.language_model.parameters()}
    own = [item for item in network.core.parameters() if id(item) not in language]
    tokens, width = network.stages()[0].shape
    inner = getattr(config.vision_config, "intermediate_size", 4 * width)
    size = torch_type(precision).itemsize
    working = images * tokens * (5 * width + 2 * inner) * size
    return PassMemory(sum(item.numel() * item.element_size() for item in own), working)


def _stacks(network: StagedNetwork, config: Any, row: int) -> list[_Stack]:
    """The layers that gradients go through, with the tokens of one caption in each."""
    text = config.text_config
    width = int(getattr(text, "hidden_size", 0) or text.d_model)
    inner = next(int(getattr(text, name)) for name in _INNER if getattr(text, name, None))
    gated = "gated" in str(getattr(text, "feed_forward_proj", "")) or hasattr(text, "hidden_activation")
    inner = inner * 3 // 2 if gated else inner
    image = network.stages()[-1].shape[0]
    if getattr(text, "is_encoder_decoder", False):
        heads = int(text.num_heads)
        stacks = [
            _Stack(int(text.num_layers), width, inner, image, rms=True, heads=heads),
            _Stack(int(text.num_decoder_layers), width, inner, row, rms=True, seen=image, heads=heads),
        ]
    else:
        stacks = [_Stack(depth_of(config), width, inner, image + row, rms=hasattr(text, "rms_norm_eps"))]
    if network.bridge is not None and network.cut in {Cut.VISION, Cut.NOTHING}:
        bridge, seen = config.qformer_config, network.stages()[0].shape[0]
        stacks.append(
            _Stack(bridge.num_hidden_layers, bridge.hidden_size, bridge.intermediate_size, image, seen=seen)
        )
    return stacks


_INNER = ("ffn_dim", "d_ff", "intermediate_size")
"""What families call the width of the feed-forward part."""


def frozen_bytes(network: StagedNetwork, quantisation: Quantisation) -> dict[str, int]:
    """Bytes of what does not learn behind the cut, by the name of its numbers: `nf4`, `int8`, `float16`."""
    module = network.trainable()
    packed: set[int] = set()
    if quantisation is not Quantisation.NONE:
        keep = network.kept_whole
        packed = {
            id(part.weight)
            for name, part in network.core.named_modules()
            if isinstance(part, nn.Linear) and set(name.split(".")).isdisjoint(keep)
        }
    found: dict[str, int] = {}
    seen: set[int] = set()
    for item in (*module.parameters(), *module.buffers()):
        if item.requires_grad or id(item) in seen:
            continue
        seen.add(id(item))
        if id(item) in packed:
            name, size = quantisation.value, packed_bytes(item.shape[0], item.shape[1], quantisation)
        else:
            name, size = str(item.dtype).removeprefix("torch."), item.numel() * item.element_size()
        found[name] = found.get(name, 0) + size
    return found


def packed_bytes(rows: int, columns: int, quantisation: Quantisation) -> int:
    """Bytes of a frozen matrix of (rows, columns) in 4 or 8 bits, scales included."""
    weights = rows * columns
    if quantisation is Quantisation.INT8:
        return weights + _FP32 * rows
    blocks = -(-weights // _NF4_BLOCK)
    return -(-weights // 2) + blocks + _FP32 * -(-blocks // _NF4_SECOND) + _NF4_CODES


def optimizer_bytes(shapes: list[tuple[int, ...]], kind: OptimizerKind) -> int:
    """Bytes of an optimiser's state for weights of these shapes, all fp32."""
    return sum(_state(shape, kind) for shape in shapes)


def _state(shape: tuple[int, ...], kind: OptimizerKind) -> int:
    numbers = torch.Size(shape).numel()
    match kind:
        case OptimizerKind.SGD:
            return _FP32 * numbers
        case OptimizerKind.ADAMW:
            return _FP32 * (2 * numbers + 1)
        case OptimizerKind.ADAMW_8BIT:
            if numbers < _SMALL_STATE:
                return 2 * _FP32 * numbers
            return 2 * (numbers + _FP32 * -(-numbers // _STATE_BLOCK))
        case OptimizerKind.ADAFACTOR:
            # A row and a column in the place of a matrix (Shazeer and Stern, 2018).
            return _FP32 * (numbers // shape[-1] + numbers // shape[-2] if len(shape) > 1 else numbers)


GB = 10**9
GIB = 2**30
_LEFT = 0.92
"""Share of the printed size that a program sees: a T4 with 16 GB has 14.75 GiB."""


@dataclass(frozen=True, slots=True)
class GpuCard:
    """One GPU: its name, the bytes that a program sees of its memory, and whether it computes in bf16."""

    name: str
    memory: int
    bf16: bool = False


DEFAULT_CARD = "16GB"


def card_of(size: str | None) -> GpuCard:
    """A card of that size, such as `16GB` or `24 GiB`."""
    found = re.fullmatch(r"(\d{1,4}(?:\.\d{1,3})?)gi?b", (size or DEFAULT_CARD).lower().replace(" ", ""))
    if found is None or not float(found[1]):
        raise UsageError("The card {name} is not known; give its memory, such as 16GB.", name=size)
    return GpuCard(f"{found[1]} GB", int(float(found[1]) * GIB * _LEFT))


ROCOV2_ROWS, ROCOV2_VALID = 59_958, 9_904
"""Training and validation rows of ROCOv2 (Rückert et al., 2024), which is planned for without a folder."""
_USUAL_TOKENS = 32
"""Of a caption of 20 words, the mean of radiology captions in ROCO."""
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

    card: GpuCard
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


def this_card() -> GpuCard:
    properties = torch.cuda.get_device_properties(0)
    return GpuCard(
        properties.name,
        int(properties.total_memory),
        bf16=torch.cuda.is_bf16_supported(including_emulation=False),
    )


@dataclass(frozen=True, slots=True)
class _Planner:
    config: Any
    card: GpuCard
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


_FP32_PLAN, _HALF = 4, 2
_SEARCHED = 3
"""Tensors of a logit for each word and beam that a step of the search holds."""


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """Bytes on the card.

    `captions` are decoded at once, each with `beams`; `keys` are the keys and values of all of them.
    """

    card: GpuCard
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
    search = _SEARCHED * beams * vocabulary * _FP32_PLAN
    confidence = 2 * min(usual.batch_size * decoding.max_tokens, CHUNK) * vocabulary * _FP32_PLAN
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
