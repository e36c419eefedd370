"""The moving average of a network's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class MovingAverage:
    """Weights averaged over the steps (Polyak and Juditsky, 1992); whole numbers are taken as they are.

    The decay of step t is at most (1 + t) / (10 + t), so that the random start is soon forgotten.

    Args:
        decay: of each step, 0 to 1.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self._network = network
        self._decay = decay
        self.weights = {name: tensor.detach().clone() for name, tensor in network.state_dict().items()}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Take up the average of a checkpoint."""
        for name, tensor in weights.items():
            self.weights[name].copy_(tensor)

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after `step` (from 1)."""
        decay = min(self._decay, (1 + step) / (10 + step))
        for name, tensor in self._network.state_dict().items():
            average = self.weights[name]
            if average.is_floating_point():
                average.lerp_(tensor, 1 - decay)
            else:
                average.copy_(tensor)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """The network has the averaged weights inside the block, and its own again after it."""
        own = {name: tensor.detach().clone() for name, tensor in self._network.state_dict().items()}
        self._network.load_state_dict(self.weights)
        try:
            yield
        finally:
            self._network.load_state_dict(own)
