"""A network of a few hundred weights with everything that `tetkik.findings.networks.Network` has."""

from __future__ import annotations

import torch
from torch import nn

from tetkik.networks.network import Network

SIZE = 32


def small_network(labels: int = 3, *, seed: int = 0, stride: int = 4) -> Network:
    """Convolution, batch norm that has seen something, ReLU, convolution, ReLU; in evaluation mode."""
    torch.manual_seed(seed)
    layers = [
        nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride // 2, 1),
        nn.ReLU(),
    ]
    network = Network(nn.Sequential(*layers), 16, labels, dropout=0.5).train()
    with torch.no_grad():
        network.classifier.weight.normal_(0, 2)
        for _ in range(8):
            network(torch.randn(8, 3, SIZE, SIZE) * 2 + 1)
    return network.eval()
