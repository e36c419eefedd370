"""Heatmaps of any network from its scores alone: blur a patch away and see how far the logit falls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tetkik.findings.heatmaps.method import Method, scaled
from tetkik.findings.interface import FindingsModel
from tetkik.imaging.prepare import normalise

_BATCH = 16
_EDGE = 1e-6


class Occlusion:
    """Occlusion sensitivity (Zeiler and Fergus, ECCV 2014), with a soft-edged patch of the blurred image.

    A grey or black patch is an image of its own to a network; a blurred one only lacks the detail. The logit
    is used, because the score itself hardly moves near 0 and 1. One pass over the patches serves every label.

    Args:
        patches: patches along one side of the square; each covers two steps.
    """

    method = Method.OCCLUSION

    def __init__(self, model: FindingsModel, patches: int = 10) -> None:
        self._model = model
        self._patches = patches

    def maps(self, square: NDArray[np.float32], labels: Sequence[int]) -> NDArray[np.float32]:
        """(labels, size, size); see `Heatmaps.maps`."""
        blurred = _blurred(square)
        windows = _windows(square.shape[0], self._patches)
        columns = list(labels)
        whole = self._logits(square[None])[0, columns]
        heat = np.zeros((len(columns), *square.shape))
        for start in range(0, len(windows), _BATCH):
            batch = windows[start : start + _BATCH]
            falls = whole - self._logits(square + batch * (blurred - square))[:, columns]
            heat += np.einsum("nl,nyx->lyx", falls, batch)
        return scaled(heat / windows.sum(axis=0))

    def _logits(self, squares: NDArray[np.float32]) -> NDArray[np.float64]:
        scores = self._model.scores(normalise(squares.astype(np.float32), self._model.preprocessing))
        clipped = np.clip(scores.astype(np.float64), _EDGE, 1 - _EDGE)
        logits: NDArray[np.float64] = np.log(clipped) - np.log1p(-clipped)
        return logits


def _blurred(square: NDArray[np.float32]) -> NDArray[np.float32]:
    """The square without its detail: a Gaussian of a tenth of its side."""
    bytes_ = np.rint(square * 255).astype(np.uint8)  # Pillow blurs no floats
    soft = Image.fromarray(bytes_).filter(ImageFilter.GaussianBlur(square.shape[0] / 10))
    pixels: NDArray[np.float32] = np.asarray(soft, np.float32) / np.float32(255)
    return pixels


def _windows(size: int, patches: int) -> NDArray[np.float32]:
    """(patches², size, size), 0 to 1: bell-shaped windows on a grid; together they cover every pixel."""
    step = size / patches
    centres = (np.arange(patches) + 0.5) * step
    distance = np.abs(np.arange(size) + 0.5 - centres[:, None]) / step
    # A raised cosine, one step to either side.
    bell = np.where(distance < 1, 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance, 1)), 0).astype(np.float32)
    bell = np.maximum(bell, np.float32(1e-4))
    grid: NDArray[np.float32] = (bell[:, None, :, None] * bell[None, :, None, :]).reshape(-1, size, size)
    return grid
