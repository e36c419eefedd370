"""What every way of drawing a heatmap can do, and the way from the network's square back to the image."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tetkik.values import Fit


class Method(StrEnum):
    """How a heatmap is made."""

    CAM = "cam"
    """Class activation maps: the network's own last maps, weighted by its last layer."""
    GRAD_CAM = "grad_cam"
    """Grad-CAM: the last feature map, weighted by the gradient of the label's logit."""
    OCCLUSION = "occlusion"
    """How far the label's logit falls where a patch is blurred away; needs nothing but the scores."""


class Heatmaps(Protocol):
    """A way of saying where a network looked."""

    method: Method

    def maps(self, square: NDArray[np.float32], labels: Sequence[int]) -> NDArray[np.float32]:
        """Where the network looked for each label: (labels, h, w), float32, over the whole square.

        Each map is 0 to 1 with its greatest value 1, or 0 all over where nothing speaks for the label.
        `square` is (size, size), float32, 0 to 1, from `tetkik.imaging.prepare.to_square`.
        """


def scaled(maps: NDArray[np.floating]) -> NDArray[np.float32]:
    """Maps (..., h, w) without what speaks against the label, each brought to 0 to 1."""
    positive = np.maximum(np.nan_to_num(np.asarray(maps, np.float64)), 0)
    peak = positive.max(axis=(-2, -1), keepdims=True)
    return (positive / np.where(peak > 0, peak, 1)).astype(np.float32)


def onto_image(
    heat: NDArray[np.float32], rows: int, columns: int, fit: Fit, kept: float = 1.0
) -> NDArray[np.float32]:
    """A map (h, w) over the network's square as one over the image, (rows, columns): `to_square` undone.

    It is 0 where the network did not see the image. `kept` is the share of the side that a crop after
    resizing kept.
    """
    square = Image.fromarray(np.ascontiguousarray(heat, np.float32))
    match fit:
        case Fit.SQUASH | Fit.CROP:
            seen = (rows, columns) if fit is Fit.SQUASH else (min(rows, columns),) * 2
            high, wide = (max(1, round(kept * side)) for side in seen)
            top, left = (rows - high) // 2, (columns - wide) // 2
            whole = np.zeros((rows, columns), np.float32)
            whole[top : top + high, left : left + wide] = _stretched(square, wide, high)
        case Fit.PAD:
            # The part of the square that the image filled, in the map's own pixels.
            side = max(rows, columns)
            width, height = square.width * columns / side, square.height * rows / side
            x, y = (square.width - width) / 2, (square.height - height) / 2
            whole = _stretched(square, columns, rows, box=(x, y, x + width, y + height))
    return np.clip(whole, 0, 1)


def _stretched(
    square: Image.Image, width: int, height: int, box: tuple[float, float, float, float] | None = None
) -> NDArray[np.float32]:
    # Bilinear would draw a diamond around every point of a map of 7 by 7.
    return np.array(square.resize((width, height), Image.Resampling.BICUBIC, box=box), np.float32)
