"""ResNet (He et al., CVPR 2016), 18 to 152 layers; each key is torchvision's after `features.`."""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

import torch
from torch import nn

from tetkik.networks.network import Network, initialise

STAGES = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
"""Blocks of each stage by the number of layers."""
_DEEP = 50
"""From here on a block is a bottleneck."""


class Block(nn.Module):
    """Convolutions with batch norm, added to the input (brought to shape by a 1x1 where it changes).

    A basic block is two of 3x3; a bottleneck is 1x1, 3x3 and 1x1 to four times the width, its stride in the
    3x3 as torchvision has it.
    """

    def __init__(self, inputs: int, width: int, stride: int, *, bottleneck: bool) -> None:
        super().__init__()
        outputs = 4 * width if bottleneck else width
        kernels = (1, 3, 1) if bottleneck else (3, 3)
        channels = (inputs, width, width, outputs) if bottleneck else (inputs, width, outputs)
        self.count = len(kernels)
        for number, kernel in enumerate(kernels, start=1):
            step = stride if number == (2 if bottleneck else 1) else 1
            conv = nn.Conv2d(channels[number - 1], channels[number], kernel, step, kernel // 2, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm2d(channels[number]))
            self.add_module(f"relu{number}", nn.ReLU())
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(images, inputs, h, w) to (images, outputs, h / stride, w / stride)."""
        out = image
        for number in range(1, self.count + 1):
            out = self.get_submodule(f"bn{number}")(self.get_submodule(f"conv{number}")(out))
            if number == self.count:
                out = out + self.downsample(image)
            out = self.get_submodule(f"relu{number}")(out)
        return out


def _resnet(layers: int, labels: int, dropout: float = 0.0) -> Network:
    """ResNet with random weights."""
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, 2, 1),
    )
    bottleneck = layers >= _DEEP
    channels = 64
    for number, count in enumerate(STAGES[layers]):
        width = 64 << number
        blocks = []
        for block in range(count):
            stride = 2 if number and not block else 1
            blocks.append(Block(channels, width, stride, bottleneck=bottleneck))
            channels = 4 * width if bottleneck else width
        parts[f"layer{number + 1}"] = nn.Sequential(*blocks)
    network = Network(nn.Sequential(parts), channels, labels, dropout)
    initialise(network.features)
    return network


RESNETS = {f"resnet{layers}": partial(_resnet, layers) for layers in STAGES}
"""(labels, dropout) to a network, by name."""
