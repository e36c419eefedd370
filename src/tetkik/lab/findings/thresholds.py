"""Operating points: from which score on a finding is called present, chosen on a split of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tetkik.findings.operating_points import DIGITS
from tetkik.statistics import Bools, Floats, Ints, ratio

FEWEST = 12
"""Patients above an operating point of drafts, where it is chosen."""


class ThresholdRule(StrEnum):
    """What makes an operating point the best."""

    YOUDEN = "youden"
    """The most sensitivity plus specificity (Youden, Cancer 3 (1950) 32): both errors weigh the same."""
    F1 = "f1"
    """The highest F1: false alarms weigh against hits."""
    SENSITIVITY = "sensitivity"
    """The most specificity of those that reach a given sensitivity: a miss weighs most."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """What a threshold does to known rows."""

    true_positive: int
    false_negative: int
    true_negative: int
    false_positive: int

    @classmethod
    def of(cls, called: Bools, positive: Bools) -> Decisions:
        """Count (rows,) decisions against (rows,) truth."""
        kinds = (called & positive, ~called & positive, ~called & ~positive, called & ~positive)
        return cls(*(int(kind.sum()) for kind in kinds))

    @property
    def sensitivity(self) -> float | None:
        """Share of positives that are called; None without one."""
        return _share(self.true_positive, self.true_positive + self.false_negative)

    @property
    def specificity(self) -> float | None:
        """Share of negatives that are not called; None without one."""
        return _share(self.true_negative, self.true_negative + self.false_positive)

    @property
    def f1(self) -> float | None:
        """F1 of the positives; None without one."""
        positives = self.true_positive + self.false_negative
        called = self.true_positive + self.false_positive
        return 2 * self.true_positive / (positives + called) if positives else None


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def choose_precise(
    values: Floats, positive: Bools, groups: Ints, least: float, precision: float, parts: Sequence[Bools] = ()
) -> float | None:
    """The lowest operating point from `least` on at and above which `precision` is reached; None without one.

    It has to be reached among all rows and in each of `parts`, and by `FEWEST` patients in each: the best of
    many points on few rows is luck, and does not come along to other rows.

    Args:
        groups: (rows,), patients and duplicates.
        parts: (rows,) each: rows among which it is to hold by themselves.
    """
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    enough = np.append(np.diff(ranked) != 0, True) & (ranked >= least)
    for part in (np.ones(len(values), np.bool_), *parts):
        mine = part[order]
        first = np.zeros(len(order), np.bool_)
        places = np.flatnonzero(mine)
        first[places[np.unique(groups[order][mine], return_index=True)[1]]] = True
        hits, called = np.cumsum(positive[order] & mine), np.cumsum(mine)
        enough &= (hits >= precision * called) & (np.cumsum(first) >= FEWEST)
    found = np.flatnonzero(enough)
    if not len(found):
        return None
    # A hair below the row itself, so that it stays on its side when rounded.
    lowest: float = math.floor(float(ranked[found[-1]]) * 10**DIGITS) / 10**DIGITS
    return max(least, lowest)


def choose_threshold(
    values: Floats, positive: Bools, rule: ThresholdRule = ThresholdRule.YOUDEN, target: float = 0.90
) -> float | None:
    """The operating point that `rule` likes best on these rows, which must not be those of any report.

    It lies midway between two neighbouring values, so that it does not hang on one row's last digit, and has
    6 decimals, as `predict` shows. Of several that are equally good the highest is taken: fewer false alarms.
    `target` is the least sensitivity for `Rule.SENSITIVITY`. None where only one kind occurs.
    """
    if positive.all() or not positive.any():
        return None
    order = np.argsort(-values, kind="stable")
    last = np.append(np.diff(values[order]) != 0, True)
    hits = np.cumsum(positive[order])[last].astype(np.float64)
    false = np.cumsum(~positive[order])[last].astype(np.float64)
    sensitivity, specificity = hits / hits[-1], 1 - false / false[-1]
    match rule:
        case ThresholdRule.YOUDEN:
            worth = sensitivity + specificity
        case ThresholdRule.F1:
            worth = ratio(2 * hits, hits + false + hits[-1])
        case ThresholdRule.SENSITIVITY:
            worth = np.where(sensitivity >= target - 1e-12, specificity, -1.0)
    best = int(np.flatnonzero(worth >= worth.max() - 1e-12)[0])
    distinct = values[order][last]
    middle = (distinct[best] + distinct[min(best + 1, len(distinct) - 1)]) / 2
    rounded = round(float(middle), DIGITS)
    below = distinct[best + 1] if best + 1 < len(distinct) else -math.inf
    if not below < rounded <= distinct[best]:
        # Two neighbours as close as the last decimal: the row itself, downwards, so that it stays called.
        rounded = round(float(distinct[best]), DIGITS)
        rounded = rounded if rounded <= distinct[best] else round(rounded - 10**-DIGITS, DIGITS)
    return rounded
