"""The ways that need no gradient, and which one a model allows: the exact before the approximate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from tetkik.errors import UsageError
from tetkik.findings.heatmaps.method import Heatmaps, Method, scaled
from tetkik.findings.onnx_model import FindingsModel
from tetkik.findings.operating_points import logit
from tetkik.imaging.prepare import normalise

_BATCH = 16
_EDGE = 1e-6


def heatmaps_for(model: FindingsModel, method: Method | None = None) -> Heatmaps:
    """How it is said where `model` looked.

    Without a `method` the best that it allows: its own maps, Grad-CAM for one on torch, or occlusion.

    Raises:
        UsageError: the model does not allow `method`.
    """
    size = model.preprocessing.size
    blank = normalise(np.zeros((1, size, size), np.float32), model.preprocessing)
    network = getattr(model, "network", None)
    maps = method in {None, Method.CAM} and model.scores_and_maps(blank)[1] is not None
    if maps:
        return ActivationMaps(model)
    if method is Method.CAM or (method is Method.GRAD_CAM and network is None):
        raise UsageError(
            "The model {model} allows no {method}; choose another way, such as occlusion.",
            model=model.manifest.name,
            method=method,
        )
    if network is not None and method is not Method.OCCLUSION:
        from tetkik.findings.heatmaps.grad_cam import GradCam

        return GradCam(network, model.preprocessing)
    return Occlusion(model)


class ActivationMaps:
    """Class activation maps (Zhou et al., CVPR 2016): exact where a mean and a linear layer end the network.

    One run gives the maps of every label, and it needs no gradient, so it works on ONNX Runtime.
    """

    method = Method.CAM

    def __init__(self, model: FindingsModel) -> None:
        self._model = model

    def maps(self, square: NDArray[np.float32], labels: Sequence[int]) -> NDArray[np.float32]:
        """(labels, h, w) with h and w of the network's last map; see `Heatmaps.maps`."""
        _, maps = self._model.scores_and_maps(normalise(square[None], self._model.preprocessing))
        if maps is None:
            raise ValueError(f"{self._model.manifest.name} has no maps")
        return scaled(maps[0, list(labels)])


class Occlusion:
    """Occlusion sensitivity (Zeiler and Fergus, ECCV 2014), with a soft-edged patch of the blurred image.

    A grey or black patch is an image of its own to a network; a blurred one only lacks the detail. The logit
    is used, because the score itself hardly moves near 0 and 1. One pass over the patches, of which so many
    stand along a side, serves every label.
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
        return logit(scores, _EDGE)


def _blurred(square: NDArray[np.float32]) -> NDArray[np.float32]:
    """The square without its detail: a Gaussian of a tenth of its side."""
    bytes_ = np.rint(square * 255).astype(np.uint8)  # Pillow blurs no floats
    soft = Image.fromarray(bytes_).filter(ImageFilter.GaussianBlur(square.shape[0] / 10))
    return np.asarray(soft, np.float32) / np.float32(255)


def _windows(size: int, patches: int) -> NDArray[np.float32]:
    """(patches², size, size), 0 to 1: bell-shaped windows on a grid; together they cover every pixel."""
    step = size / patches
    centres = (np.arange(patches) + 0.5) * step
    distance = np.abs(np.arange(size) + 0.5 - centres[:, None]) / step
    # A raised cosine, one step to either side.
    bell = np.where(distance < 1, 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance, 1)), 0).astype(np.float32)
    bell = np.maximum(bell, np.float32(1e-4))
    return (bell[:, None, :, None] * bell[None, :, None, :]).reshape(-1, size, size)
