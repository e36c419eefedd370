"""Networks over a pretrained encoder: a head alone, or with low-rank changes of the encoder (LoRA)."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from tetkik.errors import UsageError
from tetkik.findings.networks.encoder import Encoder, EncoderNetwork, Head, Pooling, open_encoder
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.batches import Rows, in_steps
from tetkik.lab.findings.training.data import as_input, load_batches
from tetkik.lab.findings.training.decoded_images import DecodedImages
from tetkik.lab.findings.training.options import EncoderHead, TrainingOptions

_MEASURED = 256
"""Training images over which what a head reads is standardised."""
_BATCH = 16
_DROPOUT = 0.05
_SCALE = 2.0
_LEAST_SPREAD = 1e-4
"""Variance below this share of the mean of all: of a channel that was silent, such as behind a ReLU."""


class LowRank(nn.Module):
    """A frozen linear layer and a change of low rank, 0 at first (Hu et al., LoRA, ICLR 2022)."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer
        self.dropout = nn.Dropout(_DROPOUT)
        self.down = nn.Linear(layer.in_features, rank, bias=False)
        self.up = nn.Linear(rank, layer.out_features, bias=False)
        nn.init.zeros_(self.up.weight)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        changed: torch.Tensor = self.layer(values) + _SCALE * self.up(self.down(self.dropout(values)))
        return changed

    @torch.no_grad()
    def merged(self) -> nn.Linear:
        """The layer with the change in its weights."""
        self.layer.weight += _SCALE * self.up.weight @ self.down.weight
        return self.layer


def pooling_of(options: TrainingOptions) -> Pooling:
    return Pooling.ATTENTION if options.encoder_head is EncoderHead.ATTENTION else Pooling.LINEAR


def over_encoder(encoder: Encoder, options: TrainingOptions, outputs: int) -> Head | EncoderNetwork:
    """A new head, which reads embeddings; or for LoRA a network that reads images."""
    pooling = pooling_of(options)
    head = Head(pooling, encoder.summary, encoder.width, outputs)
    if options.frozen:
        return head
    network = EncoderNetwork(copy.deepcopy(encoder), [head], pooling)
    model = network.encoder.model
    found = 0
    for part in list(model.modules()):
        # The projections within torch's own attention are read as plain weights.
        layers = {} if isinstance(part, nn.MultiheadAttention) else dict(part.named_children())
        for name, layer in layers.items():
            if isinstance(layer, nn.Linear):
                setattr(part, name, LowRank(layer, options.lora_rank))
                found += 1
    if not found:
        raise UsageError(
            "{name} has no linear layers that LoRA could change; take --encoder-head linear or attention, or "
            "fine-tune all of it with --network.",
            name=options.encoder,
        )
    return network


def planned_network(preprocessing: Preprocessing, options: TrainingOptions, outputs: int) -> EncoderNetwork:
    """The network of one training, of which the memory is counted."""
    encoder = open_encoder(str(options.encoder), preprocessing)
    network = over_encoder(encoder, options, outputs)
    if isinstance(network, EncoderNetwork):
        return network
    return EncoderNetwork(encoder, [network], pooling_of(options))


def merge_lora(network: nn.Module) -> nn.Module:
    """The network with low-rank changes added to the weights, in place."""
    for part in list(network.modules()):
        for name, layer in list(part.named_children()):
            if isinstance(layer, LowRank):
                setattr(part, name, layer.merged())
    return network


@torch.no_grad()
def standardise(
    network: nn.Module, inputs: DecodedImages, rows: Rows, preprocessing: Preprocessing, device: torch.device
) -> None:
    """Let the head of `over_encoder` take mean and deviation of what it is to read, over some of `rows`."""
    chosen = rows[np.unique(np.linspace(0, len(rows) - 1, min(len(rows), _MEASURED)).astype(np.int64))]
    network.to(device).eval()
    head: Any = network.heads[0] if isinstance(network, EncoderNetwork) else network
    count = 0
    total = squares = torch.zeros_like(head.mean, dtype=torch.float64, device="cpu")
    for _, batch in load_batches(inputs, in_steps(chosen, _BATCH), device):
        given = as_input(batch, preprocessing)
        read = network.embed(given) if isinstance(network, EncoderNetwork) else given
        numbers = read.cpu().double().flatten(0, -2)
        count, total = count + len(numbers), total + numbers.sum(dim=0)
        squares = squares + numbers.square().sum(dim=0)
    if count:
        mean = total / count
        head.mean.copy_(mean)
        variance = (squares / count - mean.square()).clamp_min(0)
        usual = variance.mean() if variance.any() else torch.tensor(1.0).double()
        # By its own deviation a silent channel would be enormous in the first image that wakes it.
        head.deviation.copy_(torch.where(variance > _LEAST_SPREAD * usual, variance, usual).sqrt())
