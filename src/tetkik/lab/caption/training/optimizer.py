"""What changes the weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tetkik.errors import MissingExtra, UsageError
from tetkik.lab.caption.training.options import CaptionTraining, OptimizerKind

if TYPE_CHECKING:
    from collections.abc import Sequence

_MOMENTUM = 0.9


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
