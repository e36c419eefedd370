"""The network of a training: the base, opened frozen, and the weights that learn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from tetkik.caption.adapters import make_trainable
from tetkik.caption.families import load_base
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.options import Learning, Quantisation
from tetkik.errors import TrainingError
from tetkik.lab.caption.training.options import CaptionTraining
from tetkik.lab.engine.precision import torch_type

if TYPE_CHECKING:
    from tetkik.caption.image_spec import ImageSpec


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
