"""Class activation maps of a network that hands them out with its scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tetkik.findings.heatmaps.method import Method, scaled
from tetkik.findings.interface import FindingsModel
from tetkik.imaging.prepare import normalise


class ActivationMaps:
    """Class activation maps (Zhou et al., CVPR 2016): exact where a mean and a linear layer end the network.

    One run gives the maps of every label, and it needs no gradient, so it works on ONNX Runtime.

    Args:
        model: one that `gives_maps`.
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


def gives_maps(model: FindingsModel) -> bool:
    """Whether `model` has exact maps: it is tried on a black image."""
    size = model.preprocessing.size
    blank = normalise(np.zeros((1, size, size), np.float32), model.preprocessing)
    return model.scores_and_maps(blank)[1] is not None
