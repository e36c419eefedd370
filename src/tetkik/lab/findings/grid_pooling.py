"""A linear layer over the grid means of many stages of a network, for small data sets.

What a network trained on photographs sees half-way (edges, textures) serves a radiograph better than what it
sees last. The means of each stage over a coarse grid keep roughly where it was seen (spatial pyramid,
Lazebnik et al., CVPR 2006).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import nn

GRID = 3
"""Cells along each side."""
_FIRST_STAGE = 0.35
"""The share of a network's stages, from its input, that is left out: edges and blobs alone."""


def pooled_stages(features: nn.Sequential) -> tuple[int, ...]:
    """The stages whose grid means are used: the later ones, but for the last widening."""
    return tuple(range(round(_FIRST_STAGE * len(features)), len(features) - 1))


def _windows(side: int) -> torch.Tensor:
    """The mean over each cell as a matrix (GRID, side); cells overlap where the side does not divide."""
    matrix = torch.zeros(GRID, side)
    for cell in range(GRID):
        start, end = cell * side // GRID, -(-(cell + 1) * side // GRID)
        matrix[cell, start:end] = 1 / (end - start)
    return matrix


def grid_means(image: torch.Tensor) -> torch.Tensor:
    """(images, channels, h, w) to (images, channels, GRID, GRID): `adaptive_avg_pool2d`, in matrices.

    ONNX has no adaptive pooling for sides that the grid does not divide.
    """
    rows = _windows(image.shape[2]).to(image)
    columns = _windows(image.shape[3]).to(image)
    return rows @ image @ columns.T


class GridPooled(nn.Module):
    """Logits linear in the grid means of several stages; its maps are exact.

    Attributes:
        weights: for each, (labels, channels, GRID, GRID).
        bias: (labels,).
    """

    def __init__(self, features: nn.Sequential, labels: int, channels: Sequence[int]) -> None:
        super().__init__()
        self.features = features
        self.stages = pooled_stages(features)
        self.weights = nn.ParameterList(
            [nn.Parameter(torch.zeros(labels, count, GRID, GRID)) for count in channels]
        )
        self.bias = nn.Parameter(torch.zeros(labels))

    @classmethod
    def over(cls, features: nn.Sequential, labels: int, channels: int = 3) -> GridPooled:
        """With weights of 0; the channels of each stage are found by running it."""
        with torch.no_grad():
            size = 64
            seen = stage_outputs(features, torch.zeros(1, channels, size, size))
        return cls(features, labels, [output.shape[1] for output in seen])

    def pooled(self, image: torch.Tensor) -> torch.Tensor:
        """The grid means of all stages, flat: (images, numbers), in the order of `set_linear`."""
        return torch.cat([grid_means(x).flatten(1) for x in stage_outputs(self.features, image)], dim=1)

    def set_linear(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        """Take over a linear layer on `pooled`: weight (labels, numbers), bias (labels,)."""
        start = 0
        with torch.no_grad():
            for mine in self.weights:
                count = mine[0].numel()
                mine.copy_(weight[:, start : start + count].reshape(mine.shape))
                start += count
            self.bias.copy_(bias)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits: (images, labels)."""
        total = self.bias
        for weight, output in zip(self.weights, stage_outputs(self.features, image), strict=True):
            total = total + grid_means(output).flatten(1) @ weight.flatten(1).T
        return total

    def has_maps(self, image: torch.Tensor) -> bool:
        """Whether every stage can be brought to the size of the last one by a mean over whole pixels."""
        sizes = [output.shape[2:] for output in stage_outputs(self.features, image)]
        height, width = sizes[-1]
        return all(size[0] % height == 0 and size[1] % width == 0 for size in sizes)

    def logits_and_maps(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (images, labels) and maps (images, labels, h, w) in the size of the last stage.

        As with a class activation map, the mean of a map plus the bias of its label is the label's logit.
        """
        outputs = stage_outputs(self.features, image)
        height, width = outputs[-1].shape[2:]
        total = torch.zeros(1).to(image)
        for weight, output in zip(self.weights, outputs, strict=True):
            rows, columns = output.shape[2:]
            # Each pixel weighs in a cell what the cell's mean gives it, and the map's mean must undo the sum.
            share = torch.einsum("ih,jw->ijhw", _windows(rows), _windows(columns)).flatten(0, 1).to(image)
            kernels = weight.permute(0, 2, 3, 1).flatten(0, 2)[:, :, None, None]
            cells = nn.functional.conv2d(output, kernels).reshape(
                output.shape[0], weight.shape[0], GRID * GRID, rows, columns
            )
            here = (cells * share).sum(dim=2) * (rows * columns)
            total = total + nn.functional.avg_pool2d(here, (rows // height, columns // width))
        return total.mean(dim=(2, 3)) + self.bias, total


def stage_outputs(features: nn.Sequential, image: torch.Tensor) -> list[torch.Tensor]:
    """What the pooled stages give for `image`, each (images, channels, h, w)."""
    wanted = pooled_stages(features)
    found = []
    for number, stage in enumerate(features):
        if number > wanted[-1]:
            break
        image = cast("torch.Tensor", stage(image))
        if number in wanted:
            found.append(image)
    return found
