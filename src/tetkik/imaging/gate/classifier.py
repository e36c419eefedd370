"""The learned part of the gate, as it runs: one small network on ONNX Runtime."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Bundle, ModelCache, Task, open_bundle, resolve
from tetkik.errors import BundleCorrupt, TetkikError
from tetkik.imaging.prepare import Preprocessing, prepare
from tetkik.networks.onnx_session import onnx_session
from tetkik.values import Radiograph, Route

BUILT_IN = "gate-image"
OUTPUTS = (
    "chest",
    "brain_mri",
    "neither",
    "upright",
    "turned_90",
    "turned_180",
    "turned_270",
    "inverted",
    "cropped",
)
"""What the network's outputs mean, in order; a bundle for the gate has these labels."""


_MIRRORED = [0, 1, 2, 3, 6, 5, 4, 7, 8]
"""Where each output of an image stands among those of its mirror image."""


@dataclass(frozen=True, slots=True)
class GatePrediction:
    """What the network makes of an image, as probabilities; 1 less their sum is neither route, or upright.

    `turned`: on the left side (by 90 degrees counter-clockwise), upside down, on the right side, mirrored or
    not; `cropped`: a large part of the chest is cut off.
    """

    routes: dict[Route, float]
    turned: tuple[float, float, float]
    inverted: float
    cropped: float


@dataclass(frozen=True, slots=True)
class Limits:
    """From which probability on the gate says what; `sure` overrules a tag that contradicts it."""

    accept: float = 0.8
    accept_brain: float = 0.6
    tagged: float = 0.1
    sure: float = 0.95
    turned: float = 0.8
    inverted: float = 0.8
    cropped: float = 0.9


class Classifier:
    """The network of a bundle for the gate."""

    def __init__(self, bundle: Bundle) -> None:
        manifest = bundle.manifest
        try:
            if manifest.labels != OUTPUTS:
                raise ValueError("labels")
            self.limits = Limits(**manifest.thresholds)
            self.preprocessing = Preprocessing.from_json(manifest.preprocessing)
            graph = bundle.file("model.onnx").read_bytes()
            # A network this small loses more in handing work to threads than it gains.
            self._session: Any = onnx_session(graph, threads=1)
        except (TetkikError, OSError, ImportError):
            raise
        # ONNX Runtime has an exception of its own for each way to be no network, below no common one.
        except Exception as error:
            raise BundleCorrupt(
                "{path} is no model for the gate ({fault}); train it again with `tetkik findings "
                "train-gate`.",
                path=bundle.path,
                fault=type(error).__name__,
            ) from None

    def predict(self, image: Radiograph) -> GatePrediction:
        square = prepare(image, self.preprocessing)
        both = self.logits(np.stack([square, square[..., ::-1]]))
        # The mean with the mirrored image, in which left and right turns change places, is steadier.
        return prediction_from_logits((both[0] + both[1][_MIRRORED]) / 2)

    def logits(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 1, size, size) to (n, 9)."""
        (logits,) = self._session.run(None, {"image": batch})
        found: NDArray[np.float32] = logits
        return found


def prediction_from_logits(logits: NDArray[np.float32]) -> GatePrediction:
    """The nine logits of one image as probabilities."""
    chest, brain, _ = _softmax(logits[:3])
    _, left, over, right = _softmax(logits[3:7])
    inverted, cropped = 1 / (1 + np.exp(-logits[7:].astype(np.float64)))
    return GatePrediction(
        routes={Route.CHEST: float(chest), Route.BRAIN_MRI: float(brain)},
        turned=(float(left), float(over), float(right)),
        inverted=float(inverted),
        cropped=float(cropped),
    )


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    powers = np.exp(logits.astype(np.float64) - logits.max())
    shares: NDArray[np.float64] = powers / powers.sum()
    return shares


def load_classifier(path: Path) -> Classifier:
    """The classifier of a bundle in the folder `path`."""
    return Classifier(open_bundle(path, Task.GATE))


_MODELS = ModelCache(lambda name: Classifier(resolve(name, Task.GATE)))


def built_in() -> Classifier:
    """The classifier that comes with Tetkik."""
    return _MODELS.get(BUILT_IN).model
