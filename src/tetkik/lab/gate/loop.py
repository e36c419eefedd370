"""The training loop of the gate's network. Needs torch."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F  # noqa: N812 - the name that torch's users know

from tetkik.lab.gate.augment import Augmenter, Batch, Recipe
from tetkik.lab.gate.examples import BRAIN, CHEST, DRAWN, NOT_CHEST, OTHER, Examples
from tetkik.lab.gate.network import ROUTES, TURNS, GateNetwork


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast the network learns.

    Attributes:
        batch: examples in each.
        rate: highest learning rate, of AdamW, with a warm-up and a cosine to nothing.
        memory: share of the running mean of the weights that each step keeps; that mean is what is used.
        seed: of weights, order and changes.
    """

    steps: int = 1200
    batch: int = 64
    rate: float = 3e-3
    decay: float = 0.05
    memory: float = 0.99
    seed: int = 0


def fit(
    examples: Examples, size: int, recipe: Recipe, schedule: Schedule, tick: Callable[[int, int], None]
) -> GateNetwork:
    """Teach a network and return it ready for use; `tick` is called with (steps done, steps in all)."""
    torch.manual_seed(schedule.seed)
    network = GateNetwork()
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    augmenter = Augmenter(size, recipe, schedule.seed)
    random = np.random.default_rng(schedule.seed)
    optimiser = torch.optim.AdamW(network.parameters(), schedule.rate, weight_decay=schedule.decay)
    rates = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, schedule.rate, total_steps=schedule.steps, pct_start=0.15
    )
    share = _shares(examples)
    mean = copy.deepcopy(network)
    network.train()
    for step in range(schedule.steps):
        rows = random.choice(len(examples), schedule.batch, p=share)
        batch = augmenter.batch(
            torch.from_numpy(examples.squares[rows]),
            torch.from_numpy(examples.aspect[rows]),
            torch.from_numpy(examples.kind[rows]),
        )
        loss = losses(network(batch.images.contiguous(memory_format=torch.channels_last)), batch)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(network.parameters(), 2.0)
        optimiser.step()
        rates.step()
        # At first the mean must forget the random weights that it began with.
        _follow(mean, network, min(schedule.memory, (1 + step) / (10 + step)))
        tick(step + 1, schedule.steps)
    return mean.eval()


@torch.no_grad()
def _follow(mean: GateNetwork, network: GateNetwork, memory: float) -> None:
    """Move the running mean of the weights a step towards those of `network`."""
    for kept, new in zip(mean.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - memory)


def losses(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The sum of the four heads' losses; what is unknown of an example adds nothing."""
    route = F.log_softmax(logits[:, :ROUTES], dim=1)
    # An example that may be of two kinds is right with either.
    total = -torch.logsumexp(route.masked_fill(batch.allowed == 0, -torch.inf), dim=1).mean()
    turned = batch.turn >= 0
    if turned.any():
        total = total + F.cross_entropy(logits[turned, ROUTES : ROUTES + TURNS], batch.turn[turned])
    for place, target in ((-2, batch.inverted), (-1, batch.cropped)):
        known = target >= 0
        if known.any():
            total = total + F.binary_cross_entropy_with_logits(logits[known, place], target[known])
    return total


_SHARES = {CHEST: 0.4, BRAIN: 0.18, OTHER: 0.38, NOT_CHEST: 0.04}
_DRAWN = 0.7


def _shares(examples: Examples) -> NDArray[np.float64]:
    """The chance of each row: by kind, and within a kind sources by the root of their size.

    What is drawn counts less than that: real slices are what is mistaken for a chest.
    """
    names, source = np.unique(np.array(examples.source), return_inverse=True)
    favour = np.where(names == DRAWN, _DRAWN, 1.0)
    share = np.zeros(len(examples))
    for kind, weight in _SHARES.items():
        of_kind = examples.kind == kind
        counts = np.bincount(source[of_kind], minlength=len(names))
        wanted = np.sqrt(counts) * favour
        if counts.any():
            share[of_kind] = weight * (wanted / wanted.sum() / np.maximum(counts, 1))[source[of_kind]]
    normal: NDArray[np.float64] = share / share.sum()
    return normal
