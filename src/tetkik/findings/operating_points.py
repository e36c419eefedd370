"""What a score means: calibrated probability, operating point, band of doubt, power to rule out."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tetkik.bundle import Manifest
from tetkik.errors import BundleCorrupt, UsageError
from tetkik.values import (
    BRAIN_LABELS,
    FINDING_LABELS,
    NIH_LABELS,
    NORMAL_LABELS,
    Finding,
    Route,
    ThresholdOn,
    route_of,
)

DIGITS = 6
"""Decimals of what is answered; whatever is decided is decided on the rounded figures that are shown."""
DEFAULT_THRESHOLD = 0.4
"""On the score, for every label of a model from elsewhere."""
UNCALIBRATED: Mapping[str, Any] = MappingProxyType(
    {"kind": "none", "threshold_on": "score", "band": (0.3, 0.5)}
)
"""The `calibration` of such a model: between the two ends of the band it is not to be trusted."""
_EDGE = 1e-7
"""A float32 sigmoid reaches 0 and 1, a logit does not."""


def logit(score: ArrayLike, edge: float = _EDGE) -> NDArray[np.float64]:
    """Log-odds of probabilities, which are kept so far from 0 and 1."""
    clipped = np.clip(np.asarray(score, np.float64), edge, 1 - edge)
    return np.asarray(np.log(clipped) - np.log1p(-clipped))


def platt(score: ArrayLike, slope: float, intercept: float) -> NDArray[np.float64]:
    """Calibrated probability of sigmoids: sigmoid(slope * logit(score) + intercept) (Platt 1999)."""
    value = slope * logit(score) + intercept
    # Written so that neither end overflows.
    decay = np.exp(-np.abs(value))
    return np.asarray(np.where(value >= 0, 1.0, decay) / (1 + decay))


def default_thresholds(labels: Sequence[str]) -> dict[str, float]:
    return dict.fromkeys(labels, DEFAULT_THRESHOLD)


def check_assessed(label: str, assessed: Collection[str]) -> None:
    """Refuse (`UsageError`) a threshold of a label that a model does not assess."""
    if label not in assessed:
        raise UsageError(
            "The model does not assess {label}, so it can have no threshold; choose among: {labels}.",
            label=label,
            labels=", ".join(assessed),
        )


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """How one label's score is read."""

    label: str
    threshold: float
    on: ThresholdOn
    platt: tuple[float, float] | None = None
    """Slope and intercept of the calibration; None where there is none."""
    band: tuple[float, float] | None = None
    """Between these two an imported model is not to be trusted; None for a calibrated one."""
    rules_out: bool = False
    asserts: float | None = None
    """From where on a draft states it, on the scale of `threshold`; None where it never does."""

    def probability(self, score: float) -> float | None:
        """The calibrated probability, rounded; None without a calibration."""
        return None if self.platt is None else round(float(platt(score, *self.platt)), DIGITS)

    def read(self, score: float) -> Finding:
        """The finding that `score` amounts to."""
        score = round(score, DIGITS)
        probability = self.probability(score)
        compared = score if self.on is ThresholdOn.SCORE or probability is None else probability
        positive = compared >= self.threshold
        uncertain = self.band is not None and self.band[0] <= compared <= self.band[1]
        return Finding(
            label=self.label,
            assessed=True,
            score=score,
            probability=probability,
            threshold=self.threshold,
            threshold_on=self.on,
            positive=positive,
            asserts=positive and not uncertain and self.asserts is not None and compared >= self.asserts,
            rules_out=self.rules_out and not positive and not uncertain,
            uncertain=uncertain,
        )


@dataclass(frozen=True, slots=True)
class OperatingPoints:
    """How every label of a model is read."""

    labels: tuple[str, ...]
    points: Mapping[str, OperatingPoint]
    """By label; a label without one was not taught."""
    ages: tuple[float, float] | None = None
    """Youngest and oldest patient trained on, in years, where the bundle says so."""
    graded: bool = False
    """Whether the words of likelihood are borne out by held-out precision."""

    @classmethod
    def of(cls, manifest: Manifest, rules_out_bound: float) -> OperatingPoints:
        """Read a manifest; the lower 95% bound of a sensitivity must reach `rules_out_bound`.

        So must that of the precision with which an image is called normal, for that denies every finding.
        """
        try:
            return cls(
                manifest.labels,
                _points(manifest, rules_out_bound),
                _pair(manifest, "ages"),
                manifest.calibration.get("graded") is True,
            )
        except (KeyError, TypeError, ValueError, AttributeError):
            raise BundleCorrupt(
                "The thresholds or the calibration in the manifest of {model} cannot be read; "
                "train or import the bundle again.",
                model=manifest.id,
            ) from None

    def with_thresholds(self, given: Mapping[str, float]) -> OperatingPoints:
        """With other thresholds of some labels, each on the scale that the label's own is on.

        A label whose threshold rises rules nothing out any more: that was proven at the lower one.
        """
        changed = {}
        for label, threshold in given.items():
            check_assessed(label, self.points)
            old = self.points[label]
            new = round(threshold, DIGITS)
            changed[label] = replace(old, threshold=new, rules_out=old.rules_out and new <= old.threshold)
        return replace(self, points={**self.points, **changed})

    def read(self, scores: Sequence[float], route: Route | None) -> tuple[Finding, ...]:
        """The findings of one image: the shared labels in their order, then the model's own.

        `route` says which labels may be assessed; None all that were taught.
        """
        by_label = dict(zip(self.labels, scores, strict=True))
        order = (*FINDING_LABELS, *(label for label in self.labels if label not in FINDING_LABELS))
        return tuple(
            self.points[label].read(by_label[label])
            if label in self.points and (route is None or route_of(label) is route)
            else Finding(label, assessed=False)
            for label in order
        )


def screen(findings: Sequence[Finding], route: Route | None) -> float | None:
    """Probability that anything is abnormal, rounded; None where it cannot be computed.

    One minus the calibrated probability of the label that says that nothing is wrong, where the model has it.
    Otherwise the noisy-or of the findings, where enough of them are assessed and calibrated to speak of
    "anything": at least half of the 14 of a chest radiograph, or every tumour of a brain MRI slice.
    """
    known = {finding.label: finding.probability for finding in findings if finding.assessed}
    routes = {route_of(label) for label in known}
    route = route or (routes.pop() if len(routes) == 1 else None)
    if route is None:
        return None
    normal = known.get("No_Tumor" if route is Route.BRAIN_MRI else "Normal")
    if normal is not None:
        return round(1 - normal, DIGITS)
    ills = {label: value for label, value in known.items() if label not in NORMAL_LABELS}
    if route is Route.BRAIN_MRI:
        enough = all(label in ills for label in BRAIN_LABELS if label not in NORMAL_LABELS)
    else:
        enough = 2 * sum(label in ills for label in NIH_LABELS) >= len(NIH_LABELS)
    if not enough or any(value is None for value in ills.values()):
        return None
    return round(1 - math.prod(1 - value for value in ills.values() if value is not None), DIGITS)


def _points(manifest: Manifest, bound: float) -> dict[str, OperatingPoint]:
    calibration = manifest.calibration
    slopes = calibration.get("labels", {}) if calibration.get("kind") == "platt" else {}
    of_most = ThresholdOn(calibration.get("threshold_on", ThresholdOn.SCORE))
    # Labels that `findings calibrate` left as an uncalibrated model had them.
    on_score = frozenset(map(str, calibration.get("on_score", ())))
    proven = {metric.name for metric in manifest.metrics if metric.low is not None and metric.low >= bound}
    asserts = calibration.get("asserts", {})
    points = {}
    for label, threshold in manifest.thresholds.items():
        if label not in manifest.labels or not 0 <= threshold <= 1:
            raise ValueError(label)
        slope = slopes.get(label)
        on = ThresholdOn.SCORE if label in on_score else of_most
        if on is ThresholdOn.PROBABILITY and slope is None:
            raise ValueError(label)
        stated = None if label not in asserts else round(float(asserts[label]), DIGITS)
        if stated is not None and not 0 <= stated <= 1:
            raise ValueError(label)
        if label in NORMAL_LABELS and f"precision:{label}" not in proven:
            stated = None
        points[label] = OperatingPoint(
            label=label,
            threshold=round(float(threshold), DIGITS),
            on=on,
            platt=None if slope is None else _finite(slope),
            band=_pair(manifest, "band") if on is ThresholdOn.SCORE else None,
            rules_out=f"sensitivity:{label}" in proven,
            asserts=stated,
        )
    return points


def _pair(manifest: Manifest, key: str) -> tuple[float, float] | None:
    values = manifest.calibration.get(key)
    if values is None:
        return None
    low, high = _finite(values)
    if low > high:
        raise ValueError(key)
    return low, high


def _finite(values: Sequence[float]) -> tuple[float, float]:
    first, second = (float(value) for value in values)
    if not (math.isfinite(first) and math.isfinite(second)):
        raise ValueError(values)
    return first, second
