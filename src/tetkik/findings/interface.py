"""What every model of findings can do."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Bundle, Manifest
from tetkik.errors import BundleCorrupt
from tetkik.imaging.prepare import Preprocessing


class FindingsModel(Protocol):
    """A multi-label image classifier."""

    manifest: Manifest
    """What the bundle says of itself; `labels` is in the order of the columns below."""
    preprocessing: Preprocessing
    """What an image must go through first."""

    def scores(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Sigmoids (images, labels) of (images, channels, size, size) as `tetkik.imaging.prepare` gives."""

    def scores_and_maps(
        self, batch: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """The sigmoids, and class activation maps (images, labels, h, w) where the network has exact ones.

        The mean of a label's map plus a constant of the label is its logit.
        """


def preprocessing_of(bundle: Bundle) -> Preprocessing:
    """What a bundle's manifest says must be done to an image."""
    try:
        return Preprocessing.from_json(bundle.manifest.preprocessing)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise BundleCorrupt(
            "The preprocessing in the manifest of {path} cannot be read ({fault}); train or import it again.",
            path=bundle.path,
            fault=error,
        ) from None
