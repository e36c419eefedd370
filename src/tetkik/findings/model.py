"""What every model of findings can do, and the loading of whichever kind a bundle holds."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Manifest
from tetkik.imaging.prepare import Preprocessing


class FindingsModel(Protocol):
    """A multi-label image classifier."""

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself; `labels` is in the order of the columns below."""

    @property
    def preprocessing(self) -> Preprocessing:
        """What an image must go through first."""

    def scores(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's sigmoids.

        Args:
            batch: (images, channels, size, size), float32, from `tetkik.imaging.prepare`.

        Returns:
            (images, labels), float32, 0 to 1.
        """
