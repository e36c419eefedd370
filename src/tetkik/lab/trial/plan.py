"""How many studies a trial needs before its intervals say anything."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tetkik.lab.trial.limits import LabelLimit
from tetkik.statistics import wilson_interval

_MOST = 1 << 24


@dataclass(frozen=True, slots=True)
class Needed:
    """Studies that one label needs; None where no report has the finding, or none was given."""

    label: str
    positives: int
    negatives: int
    prevalence: float | None

    @property
    def studies(self) -> int | None:
        if self.prevalence is None or not 0 < self.prevalence < 1:
            return None
        return math.ceil(max(self.positives / self.prevalence, self.negatives / (1 - self.prevalence)))


def needed_for(share: float, width: float) -> int:
    """The fewest trials with which the 95% interval (Wilson) of `share` is at most `width` to each side."""
    low, high = 1, _MOST
    while low < high:
        middle = (low + high) // 2
        interval = wilson_interval(share * middle, middle)
        assert interval is not None
        if max(share - interval.low, interval.high - share) <= width:
            high = middle
        else:
            low = middle + 1
    return low


def plan(
    labels: Sequence[str],
    sensitivity: float,
    specificity: float,
    width: float,
    truths: Iterable[Mapping[str, int]] = (),
) -> tuple[list[Needed], dict[str, LabelLimit]]:
    """What each label needs, and limits to begin with: what is expected, less the width of its interval.

    Args:
        truths: what earlier reports say, for the prevalence.
    """
    known: Counter[str] = Counter()
    present: Counter[str] = Counter()
    for truth in truths:
        known.update(truth.keys())
        present.update(label for label, value in truth.items() if value)
    positives, negatives = needed_for(sensitivity, width), needed_for(specificity, width)
    needed = [
        Needed(label, positives, negatives, present[label] / known[label] if known[label] else None)
        for label in labels
    ]
    limit = LabelLimit(
        sensitivity=round(max(0.0, sensitivity - width), 4),
        specificity=round(max(0.0, specificity - width), 4),
        positives=positives,
    )
    return needed, dict.fromkeys(labels, limit)
