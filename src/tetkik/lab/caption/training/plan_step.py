"""One step of a training played through on tensors without content: its bytes and its operations.

Forward pass, backward pass and all that they keep or write out meanwhile are those of the real network, since
they are run on it; only the numbers are missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from tetkik.caption.families.numerics import CHUNK
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import Cut
from tetkik.lab.caption.training.memory import LiveBytes, Operations, bytes_of, tensors_of
from tetkik.lab.caption.training.options import CaptionTraining, OptimizerKind
from tetkik.lab.caption.training.plan_network import materialised
from tetkik.lab.caption.training.plan_quantised import QuantisedLayer

_FP32 = 4
_SMALL_STATE = 4096
"""Weights below which bitsandbytes keeps a state in 32 bits."""
_STATE_BLOCK = 256


@dataclass(frozen=True, slots=True)
class StepBytes:
    """What a step holds in memory at its peak.

    Attributes:
        frozen: bytes of weights that do not learn, by the numbers they are kept in.
        learned: of those that do.
        weights: how many learn.
        gradients: of these.
        optimizer: its state.
        batch: features and tokens of one part.
        working: what the peak holds beyond all of that: activations, and weights written out.
        logits: the logits of caption tokens that are alive at once with their gradient; part of `working`.
        flops: multiplications and additions of one part, forward and backward.
    """

    frozen: Mapping[str, int]
    learned: int
    weights: int
    gradients: int
    optimizer: int
    batch: int
    working: int
    logits: int
    flops: float

    @property
    def peak(self) -> int:
        """All bytes that tensors take at the same time."""
        kept = sum(self.frozen.values()) + self.learned + self.gradients + self.optimizer
        return kept + self.batch + self.working

    def deeper(self, other: StepBytes, times: float) -> StepBytes:
        """What it would be with more layers, of which `other` has some more: so many times as many.

        Args:
            other: the same step of a network with more layers.
            times: the layers wanted beyond these, over those that `other` has beyond these.
        """

        def further(few: float, more: float) -> int:
            return round(few + times * (more - few))

        frozen = {name: further(size, other.frozen[name]) for name, size in self.frozen.items()}
        numbers = {
            item.name: further(getattr(self, item.name), getattr(other, item.name))
            for item in fields(self)
            if item.name != "frozen"
        }
        return StepBytes(frozen=frozen, **numbers)


@dataclass(frozen=True, slots=True)
class PassBytes:
    """What the one-off pass of the frozen part over the images takes.

    Attributes:
        frozen: bytes of its weights, without those of the language model.
        working: what it holds beyond them at its peak.
        flops: multiplications and additions of one image.
    """

    frozen: int
    working: int
    flops: float


def step_bytes(
    network: StagedNetwork,
    options: CaptionTraining,
    *,
    captions: int,
    tokens: int,
    number: torch.dtype | None,
    gpu: bool,
) -> StepBytes:
    """Play one part of a step through.

    Args:
        network: of `planned_network`; it is used up.
        options: the settings.
        captions: in the part.
        tokens: of each caption, its end included.
        number: of autocast; None without it.
        gpu: whether to follow the rules of a GPU where they differ from a CPU's.
    """
    if options.checkpointing:
        network.checkpoint_activations()
    cut, shape = network.cut, network.feature_shape()
    pixels = (captions, 3, network.image.size, network.image.size)
    size = pixels if cut is Cut.NOTHING else (captions, *shape)
    stored = number or torch.float32
    counter = Operations()
    with FakeTensorMode(allow_non_fake_inputs=True):
        materialised(network, network.trainable())
        module = network.trainable()
        module.train()
        if gpu and number is not None:
            _norms_as_on_gpu(module)
        weights = [weight for weight in module.parameters() if weight.requires_grad]
        live = LiveBytes().hold(tensors_of(module))
        held = live.now
        state = optimizer_bytes([tuple(item.shape) for item in weights], options.optimizer)
        with live:
            if options.accumulation > 1:
                for weight in weights:
                    weight.grad = torch.empty_like(weight)
            before = live.now
            features = torch.empty(size, dtype=torch.float32 if cut is Cut.NOTHING else stored)
            words, learned = _words(network, captions, tokens)
            batch = live.now - before
            with counter, _Known(learned), _computing(number):
                loss = module(features, *words, options.smoothing)
                loss.backward()
            del loss, features, words
        spare = 0 if gpu else _written_by(options.optimizer, weights)
        peak = max(live.peak, live.now + spare)
    vocabulary = network.core.get_output_embeddings().weight.shape[0]
    logits = min(captions * tokens, CHUNK) * vocabulary
    learned_bytes = bytes_of(weights)
    gradients = sum(item.numel() * item.element_size() for item in weights)
    return StepBytes(
        frozen_bytes(module),
        learned_bytes,
        sum(item.numel() for item in weights),
        gradients,
        state,
        batch,
        max(0, peak - held - gradients - batch),
        2 * logits * _FP32,
        float(counter.total),
    )


def pass_bytes(network: StagedNetwork, *, images: int, number: torch.dtype | None, gpu: bool) -> PassBytes:
    """Play the one-off pass of the frozen part through.

    Args:
        network: of `planned_network`; it is used up.
        images: at once.
        number: of autocast; None without it.
        gpu: as in `step_bytes`.
    """
    counter = Operations()
    with FakeTensorMode(allow_non_fake_inputs=True):
        materialised(network, network.core)
        language = {id(item) for item in tensors_of(network.language_model)}
        own = [item for item in tensors_of(network.core) if id(item) not in language]
        if gpu and number is not None:
            _norms_as_on_gpu(network.core)
        live = LiveBytes().hold(own)
        held = live.now
        with live, counter, _Known(0), _computing(number):
            network.frozen_features(torch.empty(images, 3, network.image.size, network.image.size))
    return PassBytes(held, live.peak - held, counter.total / images)


def frozen_bytes(module: nn.Module) -> dict[str, int]:
    """Bytes of what does not learn, by the name of its numbers: `nf4`, `int8`, `float16`."""
    found: dict[str, int] = {}
    packed = {
        id(part.packed): part.quantisation.value
        for part in module.modules()
        if isinstance(part, QuantisedLayer)
    }
    seen: set[int] = set()
    for item in tensors_of(module):
        if item.requires_grad or id(item) in seen:
            continue
        seen.add(id(item))
        name = packed.get(id(item), str(item.dtype).removeprefix("torch."))
        found[name] = found.get(name, 0) + item.numel() * item.element_size()
    return found


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


def _written_by(kind: OptimizerKind, weights: list[nn.Parameter]) -> int:
    """What the step of the optimiser itself writes out on a CPU, where it is not one kernel."""
    largest = max(weight.numel() * weight.element_size() for weight in weights)
    return {OptimizerKind.ADAMW: 2, OptimizerKind.ADAFACTOR: 3}.get(kind, 0) * largest


def _words(network: StagedNetwork, captions: int, tokens: int) -> tuple[list[Tensor], int]:
    """Ids, mask and targets of captions that are all of one length, and the tokens to learn."""
    row, before = network._compose([0] * (tokens - 1), True)
    words = [torch.empty((captions, len(row)), dtype=torch.int64) for _ in range(3)]
    return words, captions * (len(row) - before)


def _computing(number: torch.dtype | None) -> torch.autocast:
    return torch.autocast("cpu", number or torch.bfloat16, enabled=number is not None)


def _norms_as_on_gpu(network: nn.Module) -> None:
    """Autocast normalises layers in fp32 on a GPU, and keeps that copy; on a CPU it does not."""

    def normalised(part: nn.LayerNorm, states: Tensor) -> Tensor:
        weight, bias = (None if item is None else item.float() for item in (part.weight, part.bias))
        return nn.functional.layer_norm(states.float(), part.normalized_shape, weight, bias, part.eps)

    for part in network.modules():
        if isinstance(part, nn.LayerNorm):
            part.forward = partial(normalised, part)  # type: ignore[method-assign]


class _Known(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """How many places are true in a mask, which without content nobody knows: the tokens to learn.

    It stands above the counter of bytes, which must see what it puts in.
    """

    def __init__(self, places: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._places = places

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.index.Tensor and any(_is_mask(item) for item in args[1]):
            tensor, (mask,) = args
            rest = tensor.shape[mask.ndim :]
            return tensor.new_empty((self._places, *rest))
        return func(*args, **(kwargs or {}))


def _is_mask(item: Any) -> bool:
    return isinstance(item, Tensor) and item.dtype is torch.bool
