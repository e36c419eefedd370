"""An image becomes what a network takes: the one path, for training and for use alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tetkik.values import Radiograph

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Fit(StrEnum):
    """How an oblong image becomes a square."""

    SQUASH = "squash"
    """Both sides are brought to the size: nothing is lost, proportions change."""
    CROP = "crop"
    """The shorter side is brought to the size and the middle of the longer is kept."""
    PAD = "pad"
    """The longer side is brought to the size and the rest is black."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What is done to an image before a network, as the manifest of a bundle states it.

    Mean and deviation are of values in 0 to 1. `stretch` are the percentiles of the resized image that become
    0 and 1; None keeps the file's range.
    """

    size: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    fit: Fit = Fit.SQUASH
    stretch: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 4096:
            raise ValueError(f"size must be 16 to 4096, not {self.size}")
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3) or min(self.std) <= 0:
            raise ValueError("mean and std need one or three channels each, and std must be above 0")
        if self.stretch is not None and not 0 <= self.stretch[0] < self.stretch[1] <= 100:
            raise ValueError(f"stretch must be two rising percentiles, not {self.stretch}")

    @property
    def channels(self) -> int:
        """1 or 3; a grey image is repeated."""
        return len(self.mean)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read back what `as_json` wrote.

        Raises:
            ValueError: a value that cannot be, or a key that is not known.
            TypeError: a value of another type.
        """
        known = {"size", "mean", "std", "fit", "stretch"}
        if unknown := sorted(set(values) - known):
            raise ValueError(f"unknown keys {unknown}")
        stretch = values.get("stretch")
        return cls(
            size=int(values["size"]),
            mean=tuple(float(value) for value in values["mean"]),
            std=tuple(float(value) for value in values["std"]),
            fit=Fit(values.get("fit", Fit.SQUASH)),
            stretch=None if stretch is None else (float(stretch[0]), float(stretch[1])),
        )


def to_square(image: Radiograph, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The grey square that a network sees, before mean and deviation: (size, size), float32, 0 to 1."""
    size = preprocessing.size
    # Pillow widens the bilinear kernel with the scale, so nothing is skipped where an image shrinks.
    grey = Image.fromarray(image.pixels).convert("F")
    match preprocessing.fit:
        case Fit.SQUASH:
            square = grey.resize((size, size), Image.Resampling.BILINEAR)
        case Fit.CROP:
            side = min(grey.size)
            left, top = (grey.width - side) / 2, (grey.height - side) / 2
            box = (left, top, left + side, top + side)
            square = grey.resize((size, size), Image.Resampling.BILINEAR, box=box)
        case Fit.PAD:
            scale = size / max(grey.size)
            width, height = (max(1, round(side * scale)) for side in grey.size)
            square = Image.new("F", (size, size))
            small = grey.resize((width, height), Image.Resampling.BILINEAR)
            square.paste(small, ((size - width) // 2, (size - height) // 2))
    pixels = np.asarray(square, np.float32) / np.float32(image.white)
    if preprocessing.stretch is not None:
        low, high = np.percentile(pixels, preprocessing.stretch)
        # A flat image has nothing to stretch; the gate refuses it before.
        pixels = (pixels - low) / max(high - low, 1e-3)
    clipped: NDArray[np.float32] = np.clip(pixels, 0, 1, dtype=np.float32)
    return clipped


def normalise(square: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """`square` ((..., size, size), 0 to 1) as the network takes it: (..., channels, size, size), float32."""
    mean = np.asarray(preprocessing.mean, np.float32)[:, None, None]
    std = np.asarray(preprocessing.std, np.float32)[:, None, None]
    normal: NDArray[np.float32] = (square[..., None, :, :] - mean) / std
    return normal


def prepare(image: Radiograph, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """An image as one input of a network: (channels, size, size), float32."""
    return normalise(to_square(image, preprocessing), preprocessing)
