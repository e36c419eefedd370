"""DenseNet (Huang et al., CVPR 2017) in torchvision's key layout; 121 is the shared reference (CheXNet)."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch
from torch import nn

from tetkik.networks.network import Network, initialise

SHAPES = {
    121: ((6, 12, 24, 16), 32, 64),
    161: ((6, 12, 36, 24), 48, 96),
    169: ((6, 12, 32, 32), 32, 64),
    201: ((6, 12, 48, 32), 32, 64),
}
"""Layers of the blocks, growth and first channels by the number of layers."""
BOTTLENECK = 4


class DenseLayer(nn.Module):
    """Normalise, activate, 1x1 to the bottleneck; normalise, activate, 3x3 to `growth` new channels."""

    def __init__(self, channels: int, growth: int) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU()
        self.conv1 = nn.Conv2d(channels, BOTTLENECK * growth, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(BOTTLENECK * growth)
        self.relu2 = nn.ReLU()
        self.conv2 = nn.Conv2d(BOTTLENECK * growth, growth, 3, padding=1, bias=False)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The new channels alone."""
        narrow = self.conv1(self.relu1(self.norm1(image)))
        new: torch.Tensor = self.conv2(self.relu2(self.norm2(narrow)))
        return new


class DenseBlock(nn.ModuleDict):
    """Each layer sees what all before it gave."""

    def __init__(self, layers: int, channels: int, growth: int) -> None:
        super().__init__()
        for number in range(layers):
            self[f"denselayer{number + 1}"] = DenseLayer(channels + number * growth, growth)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """The input and every layer's new channels, in order."""
        for layer in self.values():
            image = torch.cat((image, layer(image)), 1)
        return image


def _transition(channels: int) -> nn.Sequential:
    """Between two blocks: half the channels, half the side."""
    return nn.Sequential(
        OrderedDict(
            norm=nn.BatchNorm2d(channels),
            relu=nn.ReLU(),
            conv=nn.Conv2d(channels, channels // 2, 1, bias=False),
            pool=nn.AvgPool2d(2, 2),
        )
    )


def _densenet(depth: int, labels: int, dropout: float = 0.0) -> Network:
    """DenseNet with random weights.

    Its keys and shapes are torchvision's (`features.denseblock1.denselayer1.norm1.weight`, …,
    `classifier.weight`). The last activation, a function in torchvision, is the layer `features.relu5` here,
    and no activation works in place: Grad-CAM hooks see the true values.
    """
    blocks, growth, channels = SHAPES[depth]
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv0=nn.Conv2d(3, channels, 7, stride=2, padding=3, bias=False),
        norm0=nn.BatchNorm2d(channels),
        relu0=nn.ReLU(),
        pool0=nn.MaxPool2d(3, stride=2, padding=1),
    )
    for number, count in enumerate(blocks, start=1):
        layers[f"denseblock{number}"] = DenseBlock(count, channels, growth)
        channels += count * growth
        if number < len(blocks):
            layers[f"transition{number}"] = _transition(channels)
            channels //= 2
    layers["norm5"] = nn.BatchNorm2d(channels)
    layers["relu5"] = nn.ReLU()
    network = Network(nn.Sequential(layers), channels, labels, dropout)
    initialise(network.features)
    return network


DENSENETS = {f"densenet{depth}": partial(_densenet, depth) for depth in SHAPES}
"""(labels, dropout) to a network, by name."""
