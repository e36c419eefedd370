"""The network of a training: the base, opened frozen, the weights that learn, and what changes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tetkik.caption.adapters import make_trainable
from tetkik.caption.families import load_base
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.options import Learning, Quantisation
from tetkik.errors import MissingExtra, TrainingError, UsageError
from tetkik.lab.caption.training.options import CaptionTraining, OptimizerKind
from tetkik.lab.engine.precision import torch_type

if TYPE_CHECKING:
    from tetkik.caption.image_spec import ImageSpec

_MOMENTUM = 0.9


def new_network(options: CaptionTraining, image: ImageSpec, device: torch.device) -> StagedNetwork:
    """A network to be trained, the same for the same seed.

    Frozen weights are kept in the numbers that are computed in, no longer AUTO; what learns is fp32.
    """
    full = options.learning is Learning.FULL
    network = load_base(
        options.base,
        revision=options.revision,
        quantisation=options.quantisation,
        device=device,
        dtype=torch.float32 if full else torch_type(options.precision),
        image=image,
    )
    if options.prompt is not None:
        network.prompt = options.prompt
    torch.manual_seed(options.seed)
    make_trainable(network, options.learning, options.adapter)
    return network


def whole_network(
    weights: Mapping[str, Tensor], options: CaptionTraining, image: ImageSpec, device: torch.device
) -> StagedNetwork:
    """A trained network with the frozen part that was dropped.

    Only quantised weights need the device; others wait on the CPU, which has more room.
    """
    plain = options.quantisation is Quantisation.NONE
    network = new_network(options, image, torch.device("cpu") if plain else device)
    load_learned(network, weights)
    return network


def learned_weights(network: StagedNetwork) -> dict[str, nn.Parameter]:
    return {name: weight for name, weight in network.model.named_parameters() if weight.requires_grad}


def load_learned(network: StagedNetwork, weights: Mapping[str, Tensor]) -> None:
    """Put weights of the same names in place of those that learn."""
    own = learned_weights(network)
    if own.keys() != weights.keys() or any(own[name].shape != weights[name].shape for name in own):
        raise TrainingError("The checkpoint is of a model with other weights; delete it and train afresh.")
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(weight)


def make_optimizer(
    parameters: Sequence[torch.nn.Parameter], options: CaptionTraining, device: torch.device
) -> torch.optim.Optimizer:
    """An optimiser of the parameters that learn, in fp32; only matrices decay."""
    groups: list[dict[str, Any]] = [
        {"params": [item for item in parameters if item.ndim > 1], "weight_decay": options.weight_decay},
        {"params": [item for item in parameters if item.ndim <= 1], "weight_decay": 0.0},
    ]
    groups = [group for group in groups if group["params"]]
    rate = options.learning_rate
    match options.optimizer:
        case OptimizerKind.ADAMW:
            return torch.optim.AdamW(groups, lr=rate, fused=device.type == "cuda")
        case OptimizerKind.SGD:
            return torch.optim.SGD(groups, lr=rate, momentum=_MOMENTUM)
        case OptimizerKind.ADAFACTOR:
            from transformers.optimization import Adafactor

            # The schedule is ours, so its own must be off (Shazeer and Stern, 2018).
            made: torch.optim.Optimizer = Adafactor(
                groups, lr=rate, scale_parameter=False, relative_step=False, warmup_init=False
            )
            return made
        case OptimizerKind.ADAMW_8BIT:
            return _eight_bit(groups, rate, device)


def _eight_bit(groups: list[dict[str, Any]], rate: float, device: torch.device) -> torch.optim.Optimizer:
    if device.type != "cuda":
        raise UsageError("--optimizer adamw_8bit needs a GPU; choose adamw or adafactor.")
    try:
        from bitsandbytes.optim import AdamW8bit
    except ImportError:
        raise MissingExtra(
            "--optimizer adamw_8bit needs the package bitsandbytes; `pip install 'tetkik[caption]'`."
        ) from None
    made: torch.optim.Optimizer = AdamW8bit(groups, lr=rate)
    return made
