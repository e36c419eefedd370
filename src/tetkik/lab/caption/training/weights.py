"""The weights that learn: all that a checkpoint keeps, since the frozen base is on disk already."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from tetkik.caption.network import CaptionNetwork
from tetkik.errors import TrainingError


def learned_weights(network: CaptionNetwork) -> dict[str, nn.Parameter]:
    """The weights that learn, by name."""
    return {name: weight for name, weight in network.model.named_parameters() if weight.requires_grad}


def load_learned(network: CaptionNetwork, weights: Mapping[str, Tensor]) -> None:
    """Put weights of the same names in place of those that learn.

    Raises:
        TrainingError: they are of another network.
    """
    own = learned_weights(network)
    if own.keys() != weights.keys() or any(own[name].shape != weights[name].shape for name in own):
        raise TrainingError("The checkpoint is of a model with other weights; delete it and train afresh.")
    with torch.no_grad():
        for name, weight in weights.items():
            own[name].copy_(weight)
