"""An image becomes what a network takes: the one path, for training and for use alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tetkik.values import Fit, Radiograph

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Resample(StrEnum):
    """By which filter of Pillow an image is resized (widened where it shrinks), or how otherwise."""

    NEAREST = "nearest"
    BOX = "box"
    BILINEAR = "bilinear"
    HAMMING = "hamming"
    BICUBIC = "bicubic"
    LANCZOS = "lanczos"
    GAUSSIAN = "gaussian"
    """As scikit-image and torchxrayvision: a Gaussian where it shrinks, then linear, with grey around it."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """What is done to an image before a network, as the manifest of a bundle states it.

    Mean and deviation are of values in 0 to 1. `stretch` are the percentiles of the resized image that become
    0 and 1; None keeps the file's range.

    With `eight_bit` the image is rounded to 8 bits before and after it is resized, as Pillow, torchvision and
    transformers do it with an 8-bit file: a network of theirs then gets their very numbers. `resized` is the
    side to which the image is brought before its middle is cut out in `size`, rounded as they do; None is
    `size`.
    """

    size: int = 224
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    fit: Fit = Fit.SQUASH
    stretch: tuple[float, float] | None = None
    resized: int | None = None
    resample: Resample = Resample.BILINEAR
    eight_bit: bool = False

    def __post_init__(self) -> None:
        if not 16 <= self.size <= 4096:
            raise ValueError(f"size must be 16 to 4096, not {self.size}")
        if self.resized is not None and not self.size <= self.resized <= 4096:
            raise ValueError(f"resized must be {self.size} to 4096, not {self.resized}")
        if self.resample is Resample.GAUSSIAN and (self.fit is not Fit.CROP or self.resized is not None):
            raise ValueError("the gaussian filter takes the middle square alone")
        if len(self.mean) != len(self.std) or len(self.mean) not in (1, 3) or min(self.std) <= 0:
            raise ValueError("mean and std need one or three channels each, and std must be above 0")
        if self.stretch is not None and not 0 <= self.stretch[0] < self.stretch[1] <= 100:
            raise ValueError(f"stretch must be two rising percentiles, not {self.stretch}")

    @property
    def channels(self) -> int:
        """1 or 3; a grey image is repeated."""
        return len(self.mean)

    @property
    def kept(self) -> float:
        """The share of the resized image's side that is kept when its middle is cut out, 0 to 1."""
        return 1.0 if self.resized is None else self.size / self.resized

    def as_json(self) -> dict[str, Any]:
        """Its fields; those that only networks from elsewhere need where they differ from the default."""
        values = asdict(self)
        return {key: value for key, value in values.items() if key not in _RARE or value != _RARE[key]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Preprocessing:
        """Read back what `as_json` wrote.

        Raises:
            ValueError: a value that cannot be, or a key that is not known.
            TypeError: a value of another type.
        """
        known = {"size", "mean", "std", "fit", "stretch"}
        if unknown := sorted(set(values) - known - set(_RARE)):
            raise ValueError(f"unknown keys {unknown}")
        stretch = values.get("stretch")
        return cls(
            size=int(values["size"]),
            mean=tuple(float(value) for value in values["mean"]),
            std=tuple(float(value) for value in values["std"]),
            fit=Fit(values.get("fit", Fit.SQUASH)),
            stretch=None if stretch is None else (float(stretch[0]), float(stretch[1])),
            resized=None if values.get("resized") is None else int(values["resized"]),
            resample=Resample(values.get("resample", Resample.BILINEAR)),
            eight_bit=bool(values.get("eight_bit", False)),
        )


_RARE: Mapping[str, Any] = {"resized": None, "resample": Resample.BILINEAR, "eight_bit": False}


def to_square(image: Radiograph, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """The grey square that a network sees, before mean and deviation: (size, size), float32, 0 to 1."""
    white = image.white
    if preprocessing.eight_bit:
        # Pillow resizes 8 bits by integers; grey and each channel of colour come out the same.
        grey, white = Image.fromarray(_in_eight_bits(image)), _EIGHT_BITS
    else:
        grey = Image.fromarray(image.pixels).convert("F")
    pixels: NDArray[np.floating]
    if preprocessing.resample is Resample.GAUSSIAN:
        pixels = _gaussian_square(np.asarray(grey, np.float32) / np.float32(white), preprocessing.size)
    else:
        pixels = np.asarray(_square(grey, preprocessing), np.float32) / np.float32(white)
    if preprocessing.stretch is not None:
        low, high = np.percentile(pixels, preprocessing.stretch)
        # A flat image has nothing to stretch; the gate refuses it before.
        pixels = (pixels - low) / max(high - low, 1e-3)
    clipped: NDArray[np.float32] = np.clip(pixels, 0, 1, dtype=np.float32)
    return clipped


_EIGHT_BITS = 255


def _in_eight_bits(image: Radiograph) -> NDArray[np.uint8]:
    if image.pixels.dtype == np.uint8 and image.white == _EIGHT_BITS:
        return image.pixels.astype(np.uint8, copy=False)
    rounded: NDArray[np.uint8] = np.rint(image.pixels * np.float32(_EIGHT_BITS / image.white)).astype(
        np.uint8
    )
    return rounded


def _square(grey: Image.Image, preprocessing: Preprocessing) -> Image.Image:
    size, fit = preprocessing.size, preprocessing.fit
    resized = preprocessing.resized or size
    # Pillow widens the kernel with the scale, so nothing is skipped where an image shrinks.
    resample = Image.Resampling[preprocessing.resample.name]
    if fit is Fit.PAD:
        scale = size / max(grey.size)
        width, height = (max(1, round(side * scale)) for side in grey.size)
        square = Image.new(grey.mode, (size, size))
        square.paste(grey.resize((width, height), resample), ((size - width) // 2, (size - height) // 2))
        return square
    if fit is Fit.CROP and preprocessing.resized is None and not preprocessing.eight_bit:
        side = min(grey.size)
        left, top = (grey.width - side) / 2, (grey.height - side) / 2
        return grey.resize((size, size), resample, box=(left, top, left + side, top + side))
    width, height = resized, resized
    if fit is Fit.CROP:
        # The longer side is rounded down, and a middle between two pixels lies before them: as transformers.
        width, height = (resized * side // min(grey.size) for side in grey.size)
    whole = grey.resize((width, height), resample)
    left, top = (width - size) // 2, (height - size) // 2
    return whole.crop((left, top, left + size, top + size))


def _gaussian_square(pixels: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The middle of (rows, columns) as `skimage.transform.resize(…, mode="constant")` of values around 0."""
    side = min(pixels.shape)
    top, left = (length // 2 - side // 2 for length in pixels.shape)
    middle = pixels[top : top + side, left : left + side].astype(np.float64) - 0.5
    weights = np.zeros((size, side))
    factor = side / size
    sigma = max(0.0, (factor - 1) / 2)
    reach = int(4 * sigma + 0.5)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-9)) ** 2)
    kernel /= kernel.sum()
    centre = np.clip((np.arange(size) + 0.5) * factor - 0.5, 0, side - 1)
    before = np.minimum(centre.astype(int), max(side - 2, 0))
    for step, share in ((0, 1 - (centre - before)), (1, centre - before)):
        places = before[:, None] + step + np.arange(-reach, reach + 1)
        inside = (places >= 0) & (places < side)
        rows = np.broadcast_to(np.arange(size)[:, None], places.shape)
        np.add.at(weights, (rows[inside], places[inside]), (share[:, None] * kernel)[inside])
    resized = np.clip(weights @ middle @ weights.T, middle.min(), middle.max())
    return (resized + 0.5).astype(np.float32)


def normalise(square: NDArray[np.float32], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """`square` ((..., size, size), 0 to 1) as the network takes it: (..., channels, size, size), float32."""
    mean = np.asarray(preprocessing.mean, np.float32)[:, None, None]
    std = np.asarray(preprocessing.std, np.float32)[:, None, None]
    normal: NDArray[np.float32] = (square[..., None, :, :] - mean) / std
    return normal


def prepare(image: Radiograph, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """An image as one input of a network: (channels, size, size), float32."""
    return normalise(to_square(image, preprocessing), preprocessing)
