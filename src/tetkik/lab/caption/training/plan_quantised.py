"""Quantised layers without numbers: what they weigh and what they keep, for a plan.

They stand in the place of the layers of bitsandbytes, which cannot be made without weights to quantise: the
same bytes at rest, the same weights written out in full while a product is computed, the same tensors kept
for the backward pass.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tetkik.caption.options import Quantisation

_BLOCK = 64
"""Weights that share one scale in nf4 (Dettmers et al., 2023)."""
_SECOND = 256
"""Scales that share one scale of their own: the double quantisation."""
_CODES = (256 + 16 + 1) * 4
"""Bytes of the two tables of values and the mean of the scales."""


class QuantisedLayer(nn.Linear):
    """A linear layer with frozen weights in 4 or 8 bits.

    Attributes:
        packed: the weights and their scales, uint8.
        bias: in the numbers of the computation; None where there is none.
    """

    packed: Tensor

    def __init__(self, layer: nn.Linear, quantisation: Quantisation, number: torch.dtype) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = layer.in_features, layer.out_features
        self.quantisation, self.number = quantisation, number
        size = packed_bytes(self.out_features, self.in_features, quantisation)
        device = layer.weight.device
        self.register_buffer("packed", torch.empty(size, dtype=torch.uint8, device=device))
        self.bias = None if layer.bias is None else nn.Parameter(layer.bias.to(number), requires_grad=False)

    @property
    def weight(self) -> Tensor:  # type: ignore[override]
        """The weights written out; each call makes them anew, as DoRA does for its norms."""
        return self.packed.new_empty((self.out_features, self.in_features), dtype=self.number)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Linear has
        """The product, in the numbers of the input."""
        x = input.to(self.number)
        made: Tensor = _Product.apply(x, self)  # type: ignore[no-untyped-call]
        return made.to(input.dtype)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, layer: QuantisedLayer) -> Tensor:
        ctx.layer = layer
        # LLM.int8 keeps its input although the gradient of frozen weights is never asked for; nf4 does not.
        ctx.kept = x if layer.quantisation is Quantisation.INT8 else None
        return nn.functional.linear(x, layer.weight, layer.bias)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        (gradient,) = gradients
        return torch.matmul(gradient, ctx.layer.weight.to(gradient.dtype)), None


def packed_bytes(rows: int, columns: int, quantisation: Quantisation) -> int:
    """Bytes at rest of a frozen matrix of (rows, columns), scales included."""
    weights = rows * columns
    if quantisation is Quantisation.INT8:
        return weights + 4 * rows
    blocks = -(-weights // _BLOCK)
    return -(-weights // 2) + blocks + 4 * -(-blocks // _SECOND) + _CODES


def quantise_layers(
    network: nn.Module, quantisation: Quantisation, number: torch.dtype, keep: tuple[str, ...]
) -> None:
    """Put stand-ins in the place of linear layers.

    Args:
        network: on the meta device.
        quantisation: not NONE.
        number: in which products are computed.
        keep: names of modules that stay as they are, with all inside them.
    """
    for place, module in list(network.named_modules()):
        for name, layer in list(module.named_children()):
            inside = {*place.split("."), name}
            if isinstance(layer, nn.Linear) and inside.isdisjoint(keep):
                setattr(module, name, QuantisedLayer(layer, quantisation, number))
