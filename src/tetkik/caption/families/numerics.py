"""What keeps a loss finite and memory small: fp32 where it matters, logits only where they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

IGNORED = -100
"""A target that is not to be learned."""
CHUNK = 512
"""Tokens whose logits are in memory at once: with OPT's 50,272 words 103 MB in fp32."""
_CHANCES = ("dropout", "attention_dropout", "activation_dropout", "layerdrop")


def still(module: nn.Module) -> None:
    """No dropout in `module` from now on, in training mode too, which gradient checkpointing needs."""
    for part in module.modules():
        if isinstance(part, nn.Dropout):
            part.p = 0.0
        for name in _CHANCES:
            if isinstance(getattr(part, name, None), float):
                setattr(part, name, 0.0)


def token_losses(
    hidden: Tensor, head: Callable[[Tensor], Tensor], targets: Tensor, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy, (tokens,), float32, of `hidden`, (tokens, width), and targets, (tokens,).

    Logits are made a chunk at a time and once more in the backward pass, so that never more than `CHUNK` rows
    of the vocabulary are kept; they are taken to float32 before the softmax, since fp16 overflows there.
    """

    def losses(part: Tensor, wanted: Tensor) -> Tensor:
        return nn.functional.cross_entropy(
            head(part).float(), wanted, reduction="none", label_smoothing=smoothing
        )

    if len(targets) <= CHUNK:
        return losses(hidden, targets)
    parts = zip(torch.split(hidden, CHUNK), torch.split(targets, CHUNK), strict=True)
    if torch.is_grad_enabled():
        return torch.cat([checkpoint(losses, part, wanted, use_reentrant=False) for part, wanted in parts])
    return torch.cat([losses(part, wanted) for part, wanted in parts])


def float_parameters(module: nn.Module) -> Iterator[nn.Parameter]:
    """The parameters of `module` that are not quantised."""
    return (weight for weight in module.parameters() if weight.is_floating_point())


def in_fp32(module: nn.Module) -> None:
    """Take the weights of `module` to fp32 in place."""
    for weight in float_parameters(module):
        weight.data = weight.data.float()


def numbers_of(module: nn.Module) -> torch.dtype:
    """What `module` computes in; where peft has put one that learns in its place, what that computes in."""
    learning = getattr(module, "modules_to_save", None)
    if learning is not None and len(learning):
        module = next(iter(learning.values()))
    return next(module.parameters()).dtype


def count(weight: nn.Parameter) -> int:
    """Numbers in a weight; a 4-bit one is packed, two or more in a byte."""
    packed = getattr(weight, "quant_state", None)
    return int(packed.shape.numel()) if packed is not None else weight.numel()
