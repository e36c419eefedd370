"""What tests of networks share: one opened, a batch of captions, pixels, and the loss."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.caption.tiny import SENTENCES
from tetkik.caption.families import load_base
from tetkik.caption.families.staged import StagedNetwork
from tetkik.caption.network import CaptionBatch


def opened(base: Path, **more: Any) -> StagedNetwork:
    return load_base(str(base), **more)


def pixels(number: int = 3, seed: int = 1) -> torch.Tensor:
    return torch.randn(number, 3, 28, 28, generator=torch.Generator().manual_seed(seed))


def batch_of(network: StagedNetwork, number: int = 3) -> CaptionBatch:
    """Captions of different lengths, so that there is filling."""
    return network.batch(network.encode(SENTENCES[:number]))


def summed(network: StagedNetwork, features: torch.Tensor, batch: CaptionBatch) -> torch.Tensor:
    loss: torch.Tensor = network.trainable()(features, batch.ids, batch.mask, batch.targets)
    return loss


def mean(network: StagedNetwork, features: torch.Tensor, batch: CaptionBatch) -> float:
    return float(summed(network, features, batch).detach()) / int((batch.targets != -100).sum())


def learned(network: StagedNetwork) -> list[Any]:
    return [weight for weight in network.trainable().parameters() if weight.requires_grad]
