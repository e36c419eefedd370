"""How much memory a training needs, measured before it begins (`--plan`)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.precision import Precision, autocast
from tetkik.lab.findings.training.data import network_input
from tetkik.lab.findings.training.options import TrainingOptions

_FP32 = 4
_ADAM = 2
"""Numbers that AdamW keeps for each weight."""
_OVERHEAD = 1 << 30
"""For CUDA's context, cuDNN's work space and fragmentation; measured at 0.6 to 0.9 GiB on common cards."""
_TRIED = 2


@dataclass(frozen=True, slots=True)
class MemoryPlan:
    """Bytes that a training needs on its GPU, with its number of parameters and the images of one part."""

    parameters: int
    weights: int
    """Of the weights, their gradients, AdamW's state and the moving average."""
    activations: int
    """What the backward pass needs of one part of a batch."""
    batch: int
    overhead: int = _OVERHEAD

    @property
    def total(self) -> int:
        return self.weights + self.activations + self.overhead


def plan_memory(network: nn.Module, preprocessing: Preprocessing, options: TrainingOptions) -> MemoryPlan:
    """Measure what a training of `network` holds in memory at the same time.

    Two images are sent through it, and every tensor that the backward pass keeps is counted once. The
    `precision` of the settings is no longer AUTO.
    """
    parameters = sum(item.numel() for item in network.parameters() if item.requires_grad)
    frozen = sum(item.numel() for item in network.parameters() if not item.requires_grad)
    copies = 2 + _ADAM + (1 if options.ema else 0)
    own = {_address(item) for item in network.state_dict().values()}
    saved: dict[int, int] = {}
    # Held until counted: the memory of a freed tensor may be given to the next.
    alive: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        if _address(tensor) not in own:
            saved[_address(tensor)] = tensor.untyped_storage().nbytes()
        alive.append(tensor)
        return tensor

    was_training = network.training
    network.train()
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        autocast(torch.device("cpu"), options.precision),
    ):
        images = network_input(torch.rand(_TRIED, 1, preprocessing.size, preprocessing.size), preprocessing)
        network(images)
    network.train(was_training)
    # Autocast keeps a copy of each weight in the short type, once for all images of the batch.
    of_weights = parameters * 2 if options.precision in {Precision.BF16, Precision.FP16} else 0
    batch = -(-options.batch_size // options.accumulation)
    each = max(0, sum(saved.values()) - of_weights) / _TRIED
    weights = (parameters * copies + frozen) * _FP32
    return MemoryPlan(parameters, weights, int(each * batch) + of_weights, batch)


def _address(tensor: Tensor) -> int:
    """Tensors that share their memory have the same."""
    return tensor.untyped_storage().data_ptr()
