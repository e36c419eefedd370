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

from tetkik.errors import DataError
from tetkik.imaging.prepare import Preprocessing
from tetkik.lab.engine.batches import Rows, in_steps, prefetched
from tetkik.lab.engine.trainer import decaying_groups
from tetkik.lab.findings.sources.rows import Truth
from tetkik.lab.findings.training.decoded_images import DecodedImages
from tetkik.lab.findings.training.options import Augmentation, TrainingOptions

# Which labels the data can teach, and which of those a bundle may assess.


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """What is known about one label: rows, and components of patients, with it and without it."""

    label: str
    present: int
    absent: int
    present_groups: int
    absent_groups: int
    alone: int
    """Rows with it from sources that know of no row without it."""

    @property
    def trainable(self) -> bool:
        """Whether a loss has any meaning: both kinds are known."""
        return self.present > 0 and self.absent > 0

    def assessed(self, least: int) -> bool:
        """Whether there is enough of both kinds for a figure and a threshold."""
        return min(self.present_groups, self.absent_groups) >= least

    @property
    def shortcut(self) -> bool:
        """Whether most of its positives come from sources without a negative.

        The network may then learn the source, and so may its pooled figures.
        """
        return self.trainable and 2 * self.alone > self.present


def count_labels(
    truth: Truth, labels: Sequence[str], groups: NDArray[np.int64], sources: Sequence[str]
) -> tuple[LabelCounts, ...]:
    """What is known about each label; `groups` is the component of each row, (rows,)."""
    _, source = np.unique(np.array(sources, dtype=object).astype(str), return_inverse=True)
    found = []
    for number, label in enumerate(labels):
        present, absent = truth[:, number] == 1, truth[:, number] == 0
        without = np.bincount(source[absent], minlength=int(source.max(initial=0)) + 1) == 0
        rows, negatives = int(present.sum()), int(absent.sum())
        components, others = (len(np.unique(groups[kind])) for kind in (present, absent))
        alone = int((present & without[source]).sum())
        found.append(LabelCounts(label, rows, negatives, components, others, alone))
    return tuple(found)


def check_learnable(known: Sequence[LabelCounts], least: int) -> None:
    """Refuse data from which no label can be learned (DataError)."""
    if not any(item.present or item.absent for item in known):
        raise DataError("Nothing is known about any label of these images; check the labels in the table.")
    if not any(item.trainable for item in known):
        raise DataError(
            "Each label of these images is only ever known to be present or only ever absent, so a loss "
            "would mean nothing; add images that are known to be otherwise."
        )
    if not any(item.assessed(least) for item in known):
        best = max(known, key=lambda item: min(item.present_groups, item.absent_groups))
        raise DataError(
            "No label is known in {least} patients or groups to be present and in {least} to be absent (best "
            "is {label}: {present} and {absent}); add images or lower --min-positives.",
            least=least,
            label=best.label,
            present=best.present_groups,
            absent=best.absent_groups,
        )


def mask_unlearnable(truth: Truth, known: Sequence[LabelCounts]) -> Truth:
    """`truth` with the labels that cannot be trained made unknown, so that they have no part in the loss."""
    trainable = np.array([item.trainable for item in known])
    return np.where(trainable, truth, np.int8(-1))


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
    """Body and head with their rates."""
    parts: tuple[list[nn.Parameter], ...] = ([], [])
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            parts[name.startswith(f"{head}.")].append(parameter)
    return [
        {**group, "lr": options.learning_rate * rate}
        for rate, parameters in zip((1.0, options.head_rate), parts, strict=True)
        for group in decaying_groups(parameters, options.weight_decay)
    ]
