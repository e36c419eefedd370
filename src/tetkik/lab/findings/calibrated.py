"""What `tetkik findings calibrate` came to: the new bundle, and what became of each label."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tetkik.bundle import Bundle, Metric
from tetkik.findings.operating_points import OperatingPoint
from tetkik.lab.engine.learned_report import LearnedReport
from tetkik.lab.findings.figures import Screening, Unscored
from tetkik.lab.findings.training.label_counts import LabelCounts

FIGURES = ("auroc", "sensitivity", "specificity", "precision")


class Change(StrEnum):
    """What became of a label."""

    CALIBRATED = "calibrated"
    KEPT = "kept"
    """Too few cases: it is read as before."""
    NOT_ASSESSED = "not_assessed"
    """Its scores do not tell these images apart: it is no longer assessed."""


@dataclass(frozen=True, slots=True)
class LabelChange:
    """What became of one label, with its figures where it was calibrated."""

    counts: LabelCounts
    change: Change
    before: OperatingPoint
    after: OperatingPoint | None
    figures: dict[str, Metric]
    """By name without the label; `precision` is of what drafts state."""

    @property
    def label(self) -> str:
        return self.before.label

    def as_json(self) -> dict[str, Any]:
        figures = {name: self.figures.get(name) for name in FIGURES}
        return {
            "change": self.change.value,
            **{name: getattr(self.counts, name) for name in ("present", "absent")},
            **{name: getattr(self.counts, name) for name in ("present_groups", "absent_groups")},
            "before": _point_json(self.before),
            "after": None if self.after is None else _point_json(self.after),
            **{
                name: found and found.model_dump(include={"value", "low", "high", "n"})
                for name, found in figures.items()
            },
        }


def _point_json(point: OperatingPoint) -> dict[str, Any]:
    return {
        "threshold": point.threshold,
        "threshold_on": point.on.value,
        "asserts": point.asserts,
        "rules_out": point.rules_out,
    }


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """The new bundle, and how it came about."""

    bundle: Bundle
    source: str
    images: int
    """Those that were scored."""
    groups: int
    learned: LearnedReport
    same_patient: int
    """Images left out as of the patient of a learned one."""
    unscored: Unscored
    labels: tuple[LabelChange, ...]
    screening: tuple[Screening, ...]

    def of(self, change: Change) -> list[str]:
        return [item.label for item in self.labels if item.change is change]

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.bundle.manifest.name,
            "from": self.source,
            "path": str(self.bundle.path),
            "n": self.images,
            "groups": self.groups,
            "learned": {**self.learned.as_json(), "same_patient": self.same_patient},
            "unscored": self.unscored.as_json(),
            "metrics": [metric.model_dump() for metric in self.bundle.manifest.metrics],
            "screening": {item.route: item.as_json() for item in self.screening},
            "per_label": {item.label: item.as_json() for item in self.labels},
        }
