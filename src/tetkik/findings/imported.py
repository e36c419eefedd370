"""How the scores of a model from elsewhere are read: uncalibrated, at one threshold, with a band of doubt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

DEFAULT_THRESHOLD = 0.4
"""On the score, for every label."""
UNCALIBRATED: Mapping[str, Any] = MappingProxyType(
    {"kind": "none", "threshold_on": "score", "band": (0.3, 0.5)}
)
"""The `calibration` of an imported model: between the two ends of the band it is not to be trusted."""


def default_thresholds(labels: Sequence[str]) -> dict[str, float]:
    return dict.fromkeys(labels, DEFAULT_THRESHOLD)
