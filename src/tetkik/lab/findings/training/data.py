"""The training data of one network: rows of each epoch, batches, augmentation, input and output.

Changes of images are drawn on the CPU from a generator that the caller seeds, so that they are the same on
every device and after a resume.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import affine_grid, grid_sample

from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.batches import Rows, in_steps, prefetched
from tetkik.lab.findings.training.decoded_images import DecodedImages
from tetkik.lab.findings.training.options import Augmentation, TrainingOptions


@dataclass(frozen=True, slots=True, eq=False)
class TrainingData:
    """The rows that one network is trained and validated on."""

    images: DecodedImages
    truth: NDArray[np.int8]
    """(rows, labels), int8: 1, 0, -1 unknown or not to be taught."""
    weight: NDArray[np.float32]
    """(rows,), float32, how often a row comes."""
    training: Rows
    validation: Rows | None = None
    """Rows to judge each epoch on; None trains every epoch and keeps the last."""
    teacher: NDArray[np.float32] | None = None
    """(rows, teacher labels), float32, NaN where unknown: z-scored logits for a second head, whose outputs
    follow the labels; or (rows, labels) probabilities to distil."""


def epoch_rows(weight: NDArray[np.float32], seed: int, epoch: int) -> Rows:
    """The rows of one epoch, in an order that follows from seed and epoch alone.

    A row of weight 1 comes once. Another comes as often as its weight says, on the average over epochs,
    spread evenly (systematic sampling): a large source of low weight does not drown the rest, and none of its
    rows is left out for good. Their number is the same in every epoch (from 1).
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(weight))
    if (weight == 1).all():
        return order.astype(np.int64)
    ends = np.cumsum(weight[order].astype(np.float64))
    count = max(1, round(float(ends[-1])))
    points = (np.arange(count) + random.random()) * (ends[-1] / count)
    drawn = order[np.minimum(np.searchsorted(ends, points, "right"), len(order) - 1)]
    # Rows that come several times must not stand together.
    return random.permutation(drawn).astype(np.int64)


def load_batches(
    images: DecodedImages, parts: Sequence[Rows], device: torch.device
) -> Iterator[tuple[Rows, Tensor]]:
    """Each part with its images on `device`, (rows, size, size), uint8, or embeddings, loaded ahead."""
    on_gpu = device.type == "cuda"

    def fetch(part: Rows) -> Tensor:
        batch = torch.from_numpy(images.batch(part))
        return batch.pin_memory() if on_gpu else batch

    for rows, batch in prefetched(fetch, parts):
        yield rows, batch.to(device, non_blocking=True)


def plain(pixels: Tensor) -> Tensor:
    """uint8 (n, size, size) as float32 (n, 1, size, size), 0 to 1."""
    return pixels.unsqueeze(1).float().div_(255)


def augmented(pixels: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Each image, (n, size, size), turned, scaled, shifted, its grey values changed, by its own amounts.

    As `plain` gives it; what comes in from outside is black, as the padding of a radiograph is.
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


def network_input(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """(n, 1, size, size), 0 to 1, as the network takes it; as `tetkik.imaging.prepare.normalise` does."""
    mean = torch.tensor(preprocessing.mean, device=images.device)[:, None, None]
    std = torch.tensor(preprocessing.std, device=images.device)[:, None, None]
    return ((images - mean) / std).contiguous(memory_format=torch.channels_last)


def as_input(batch: Tensor, preprocessing: Preprocessing) -> Tensor:
    """A batch as the network takes it: uint8 images, or what an encoder said of them, for a head."""
    if batch.is_floating_point():
        return batch.float()
    return network_input(plain(batch), preprocessing)


@torch.no_grad()
def logits_of(
    network: nn.Module,
    images: DecodedImages,
    rows: Rows,
    preprocessing: Preprocessing,
    batch_size: int,
    device: torch.device,
) -> NDArray[np.float32]:
    """The network's outputs, (rows, outputs), in fp32 and without augmentation."""
    was_training = network.training
    network.eval()
    found = [
        network(as_input(batch, preprocessing)).float().cpu().numpy()
        for _, batch in load_batches(images, in_steps(rows, batch_size), device)
    ]
    network.train(was_training)
    return np.concatenate(found) if found else np.zeros((0, 0), np.float32)


def parameter_groups(network: nn.Module, head: str, options: TrainingOptions) -> list[dict[str, Any]]:
    """Body and head with their rates; weight decay for matrices and kernels only, not biases and norms."""
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups.setdefault((name.startswith(f"{head}."), parameter.ndim >= 2), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": options.weight_decay if decays else 0.0,
            "lr": options.learning_rate * (options.head_rate if in_head else 1.0),
        }
        for (in_head, decays), parameters in sorted(groups.items(), key=lambda item: item[0])
    ]
