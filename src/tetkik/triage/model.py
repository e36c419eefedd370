"""What every triage model can do, and the loading of whichever kind a bundle holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Bundle, Manifest, Task, resolve
from tetkik.errors import BundleMismatch
from tetkik.statistics import Floats
from tetkik.values import Evidence


class TriageModel(Protocol):
    """A text classifier with calibrated probabilities."""

    @property
    def manifest(self) -> Manifest:
        """What the bundle says of itself; `labels` is in the order of the columns below."""

    def probabilities(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Calibrated probabilities, (texts, labels), float32, rows sum to 1."""

    def unknown(self, texts: Sequence[str]) -> Floats:
        """The share of each text's words that its vocabulary does not hold, (texts,), float64."""

    def evidence(self, text: str, label: int) -> tuple[Evidence, ...]:
        """The stretches of `text` that speak for the label with that index, strongest first."""


def load_model(model: str | Bundle) -> TriageModel:
    """Load a model, by id, path, hub id or bundle; `BundleError` where it is damaged or not for triage."""
    bundle = model if isinstance(model, Bundle) else resolve(model, Task.TRIAGE)
    match bundle.manifest.kind:
        case "linear":
            from tetkik.triage.linear.model import LinearModel

            return LinearModel.load(bundle)
        case "transformer":
            from tetkik.triage.transformer.model import OnnxTransformer

            return OnnxTransformer.load(bundle)
        case other:
            raise BundleMismatch(
                "{path} is a triage model of kind {kind}, which this Tetkik does not know; update Tetkik.",
                path=bundle.path,
                kind=other,
            )
