"""ResNet18 (He et al., CVPR 2016): a plain light network; each key is torchvision's after `features.`."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from tetkik.networks.network import Network, initialise

CHANNELS = 512


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, added to the input (brought to shape by a 1x1 where it changes)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )
        self.relu2 = nn.ReLU()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(images, inputs, h, w) to (images, outputs, h / stride, w / stride)."""
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(image)))))
        added: torch.Tensor = self.relu2(out + self.downsample(image))
        return added


def resnet18(labels: int, dropout: float = 0.0) -> Network:
    """ResNet18 with random weights."""
    layers: OrderedDict[str, nn.Module] = OrderedDict(
        conv1=nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        bn1=nn.BatchNorm2d(64),
        relu=nn.ReLU(),
        maxpool=nn.MaxPool2d(3, 2, 1),
    )
    channels = 64
    for number, outputs in enumerate((64, 128, 256, 512), start=1):
        stride = 1 if number == 1 else 2
        blocks = BasicBlock(channels, outputs, stride), BasicBlock(outputs, outputs, 1)
        layers[f"layer{number}"] = nn.Sequential(*blocks)
        channels = outputs
    network = Network(nn.Sequential(layers), CHANNELS, labels, dropout)
    initialise(network.features)
    return network
