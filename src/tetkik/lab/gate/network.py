"""The gate's network: a small convolutional one with four heads, and its export to ONNX. Needs torch."""

from __future__ import annotations

import torch
from torch import nn

ROUTES = 3
"""Outputs of the first head: chest radiograph, brain MRI slice, neither."""
TURNS = 4
"""Outputs of the second: upright, and by 90, 180, 270 degrees counter-clockwise, mirrored or not."""
LOGITS = ROUTES + TURNS + 2
"""All outputs, as logits in this order: routes, turns, inverted, cropped."""
_WIDTHS = (12, 24, 48, 64, 96)
_CELLS = 3
EPSILON = 1e-5
"""Added to the variance of an image, so that a blank one stays blank."""
SIDES = (80, 96)
"""Inputs that leave 3 x 3 places after five halvings."""


class Block(nn.Module):
    """A convolution of 3 x 3 with batch norm and ReLU."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.convolution = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(after)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(n, before, h, w) to (n, after, h / stride, w / stride)."""
        activated: torch.Tensor = torch.relu(self.norm(self.convolution(features)))
        return activated

    def folded(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Kernel and bias of the one convolution that this is once trained."""
        mean, variance = self.norm.running_mean, self.norm.running_var
        if mean is None or variance is None:
            raise TypeError("batch norm without running statistics")
        scale = self.norm.weight / torch.sqrt(variance + self.norm.eps)
        return self.convolution.weight * scale[:, None, None, None], self.norm.bias - mean * scale


class GateNetwork(nn.Module):
    """(n, 1, size, size), grey of 0 to 1, to (n, 9) logits.

    Each image is first brought to mean 0 and deviation 1, so exposure and bit depth do not matter. The last
    features keep 3 x 3 places: where the lungs and the heart lie says which way is up.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks: list[Block] = []
        before = 1
        for depth, width in enumerate(_WIDTHS):
            blocks.append(Block(before, width, stride=2))
            if depth:
                blocks.append(Block(width, width, stride=1))
            before = width
        self.blocks = nn.ModuleList(blocks)
        self.dropout = nn.Dropout(0.2)
        self.heads = nn.Linear(before * _CELLS * _CELLS, LOGITS)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits of the four heads."""
        centred = image - image.mean(dim=(2, 3), keepdim=True)
        spread = centred.square().mean(dim=(2, 3), keepdim=True)
        features = centred / torch.sqrt(spread + EPSILON)
        for block in self.blocks:
            features = block(features)
        logits: torch.Tensor = self.heads(self.dropout(features.flatten(1)))
        return logits
