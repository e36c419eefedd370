"""Training images changed a little, many at once, on whichever device they are.

The changes are drawn on the CPU from a generator that the caller seeds, so that they are the same on every
device and after a resume.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from tetkik.lab.findings.training.options import Augmentation


def plain(pixels: Tensor) -> Tensor:
    """uint8 (n, size, size) as float32 (n, 1, size, size), 0 to 1."""
    return pixels.unsqueeze(1).float().div_(255)


def augmented(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Each image turned, scaled, shifted and its grey values changed, by amounts of its own.

    What comes in from outside is black, as the padding of a radiograph is.

    Args:
        pixels: (n, size, size), uint8.

    Returns:
        (n, 1, size, size), float32, 0 to 1.
    """
    count, device = len(pixels), pixels.device
    drawn = torch.rand(count, 8, generator=generator) * 2 - 1
    images = plain(pixels)
    if augmentation.rotation or augmentation.scale or augmentation.shift or augmentation.flip:
        grid = affine_grid(
            _placement(drawn, augmentation).to(device), list(images.shape), align_corners=False
        )
        images = grid_sample(images, grid, align_corners=False)
    brightness, contrast, gamma = (drawn[:, index, None, None, None].to(device) for index in (5, 6, 7))
    if augmentation.gamma:
        images = images.clamp_(0, 1).pow(torch.exp(gamma * augmentation.gamma))
    if augmentation.contrast or augmentation.brightness:
        mean = images.mean(dim=(2, 3), keepdim=True)
        images = (images - mean) * (1 + contrast * augmentation.contrast) + mean
        images = images + brightness * augmentation.brightness
    return images.clamp_(0, 1)


def _placement(drawn: Tensor, augmentation: Augmentation) -> Tensor:
    """Where each output pixel is taken from: (n, 2, 3), in the units of `affine_grid` (the side is 2)."""
    angle = drawn[:, 0] * math.radians(augmentation.rotation)
    size = torch.exp(drawn[:, 1] * math.log1p(augmentation.scale))
    mirror = torch.where(drawn[:, 2] < 0, -1.0, 1.0) if augmentation.flip else torch.ones(len(drawn))
    cosine, sine = torch.cos(angle) * size, torch.sin(angle) * size
    shift = drawn[:, 3:5] * (2 * augmentation.shift)
    first = torch.stack((cosine * mirror, -sine, shift[:, 0]), 1)
    second = torch.stack((sine * mirror, cosine, shift[:, 1]), 1)
    return torch.stack((first, second), 1)
