"""The part of a captioner that learns, as one module."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from tetkik.caption.families.numerics import IGNORED, token_losses

if TYPE_CHECKING:
    from tetkik.caption.families.staged import StagedNetwork


class Learner(nn.Module):
    """What is wrapped for several GPUs: everything after the cut.

    Called with features at the cut, (n, tokens, width), and a `CaptionBatch`'s parts on the same device, it
    gives the sum of the cross-entropy over the tokens to learn, a float32 scalar.
    """

    def __init__(self, network: StagedNetwork) -> None:
        super().__init__()
        # Not a module, so that the frozen part before the cut is not among the weights here.
        self.network = network
        for name, part in network.learning_parts().items():
            if isinstance(part, nn.Parameter):
                self.register_parameter(name.replace(".", "_"), part)
            else:
                self.add_module(name.replace(".", "_"), part)
        self.add_module("language_model", network.language_model)
        head = network.head_outside_language()
        if head is not None:
            self.add_module("head", head)

    def forward(
        self, features: Tensor, ids: Tensor, mask: Tensor, targets: Tensor, smoothing: float = 0.0
    ) -> Tensor:
        """The sum of the cross-entropy, as the class says."""
        network = self.network
        hidden = network.hidden(network.to_language(features), ids, mask, targets)
        return token_losses(hidden, network.logits, targets[targets != IGNORED], smoothing).sum()
