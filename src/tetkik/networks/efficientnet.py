"""EfficientNet B0 to B4 (Tan and Le, ICML 2019) in torchvision's key layout but for the classifier."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import nn

from tetkik.networks.network import Network, initialise

# Of each stage: expansion, kernel, stride of the first block, channels, blocks (table 1 of the paper).
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
SCALES = {"b0": (1.0, 1.0), "b1": (1.0, 1.1), "b2": (1.1, 1.2), "b3": (1.2, 1.4), "b4": (1.4, 1.8)}
"""Width and depth. From B5 on torchvision's batch norm has another epsilon."""
_LAST = 4
"""The last convolution widens so many times."""
_SQUEEZE = 4


def _eighths(channels: float) -> int:
    """To the nearest multiple of 8, but not below nine tenths."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


def _unit(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class SqueezeExcitation(nn.Module):
    """Each channel weighted by what the mean of all channels says of it (Hu et al., CVPR 2018)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.SiLU()
        self.fc2 = nn.Conv2d(squeezed, channels, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(images, channels, h, w) to the same."""
        mean = image.mean(dim=(2, 3), keepdim=True)
        weighted: torch.Tensor = image * self.fc2(self.activation(self.fc1(mean))).sigmoid()
        return weighted


class MBConv(nn.Module):
    """Widen by 1x1, filter and weigh each channel, narrow; added to the input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = _eighths(inputs * expansion)
        layers: list[nn.Module] = []
        if wide != inputs:
            layers.append(nn.Sequential(*_unit(inputs, wide, 1), nn.SiLU()))
        layers.append(nn.Sequential(*_unit(wide, wide, kernel, stride, wide), nn.SiLU()))
        layers.append(SqueezeExcitation(wide, max(1, inputs // _SQUEEZE)))
        layers.append(nn.Sequential(*_unit(wide, outputs, 1)))
        self.block = nn.Sequential(*layers)
        self.added = stride == 1 and inputs == outputs

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(images, inputs, h, w) to (images, outputs, h / stride, w / stride)."""
        out: torch.Tensor = self.block(image)
        return image + out if self.added else out


def _efficientnet(scale: str, labels: int, dropout: float = 0.2) -> Network:
    width, depth = SCALES[scale]
    channels = _eighths(32 * width)
    layers: list[nn.Module] = [nn.Sequential(*_unit(3, channels, 3, 2), nn.SiLU())]
    for expansion, kernel, stride, wanted, count in STAGES:
        outputs, blocks = _eighths(wanted * width), []
        for block in range(math.ceil(count * depth)):
            blocks.append(MBConv(channels, outputs, kernel, 1 if block else stride, expansion))
            channels = outputs
        layers.append(nn.Sequential(*blocks))
    layers.append(nn.Sequential(*_unit(channels, _LAST * channels, 1), nn.SiLU()))
    network = Network(nn.Sequential(*layers), _LAST * channels, labels, dropout)
    initialise(network.features)
    return network


EFFICIENTNETS = {f"efficientnet_{scale}": partial(_efficientnet, scale) for scale in SCALES}
"""(labels, dropout) to a network, by name."""
