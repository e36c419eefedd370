"""MobileNetV2 (Sandler et al., CVPR 2018): light enough for a CPU, in two layouts."""

from __future__ import annotations

import torch
from torch import nn

from tetkik.networks.network import Network, initialise

# Of each stage: expansion, channels, blocks, stride of the first block (table 2 of the paper).
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
CHANNELS = 1280


class SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's `same` does: where the two sides differ, the far one gets more."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(images, channels, rows, columns) to the same divided by the stride, rounded up."""
        pads: list[int] = []
        for side, kernel, stride in zip(
            reversed(image.shape[2:]), reversed(self.kernel_size), reversed(self.stride), strict=True
        ):
            total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(nn.functional.pad(image, pads) if any(pads) else image)


def _folded(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> list[nn.Module]:
    return [SameConv(inputs, outputs, kernel, stride, groups=groups)]


def _normed(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(outputs)]


class InvertedResidual(nn.Module):
    """Widen by 1x1, filter each channel by 3x3, narrow by 1x1; added to the input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, *, folded: bool) -> None:
        super().__init__()
        wide = inputs * expansion
        unit = _folded if folded else _normed
        layers: list[nn.Module] = []
        if expansion > 1:
            layers.append(nn.Sequential(*unit(inputs, wide, 1, 1, 1), nn.ReLU6()))
        layers.append(nn.Sequential(*unit(wide, wide, 3, stride, wide), nn.ReLU6()))
        layers += unit(wide, outputs, 1, 1, 1)
        self.conv = nn.Sequential(*layers)
        self.added = stride == 1 and inputs == outputs

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """(images, inputs, h, w) to (images, outputs, h / stride, w / stride)."""
        out: torch.Tensor = self.conv(image)
        return image + out if self.added else out


def _mobilenet_v2(labels: int, dropout: float, *, folded: bool) -> Network:
    unit = _folded if folded else _normed
    layers: list[nn.Module] = [nn.Sequential(*unit(3, 32, 3, 2, 1), nn.ReLU6())]
    channels = 32
    for expansion, outputs, blocks, first_stride in STAGES:
        for number in range(blocks):
            stride = first_stride if number == 0 else 1
            layers.append(InvertedResidual(channels, outputs, stride, expansion, folded=folded))
            channels = outputs
    layers.append(nn.Sequential(*unit(channels, CHANNELS, 1, 1, 1), nn.ReLU6()))
    network = Network(nn.Sequential(*layers), CHANNELS, labels, dropout)
    initialise(network.features)
    return network


def mobilenet_v2(labels: int, dropout: float = 0.0) -> Network:
    """MobileNetV2 with batch norm folded into its 52 convolutions, padded as TensorFlow does.

    Without batch norm it is quick to fine-tune in small batches, and hard to train from random weights: give
    it ImageNet's. It takes images scaled to -1 to 1.
    """
    return _mobilenet_v2(labels, dropout, folded=True)


def mobilenet_v2_bn(labels: int, dropout: float = 0.2) -> Network:
    """MobileNetV2 with batch norm, in torchvision's key layout but for the classifier (`classifier.1`)."""
    return _mobilenet_v2(labels, dropout, folded=False)
