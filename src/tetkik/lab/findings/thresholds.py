"""Operating points: from which score on a finding is called present, chosen on a split of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tetkik.findings.operating_points import DIGITS
from tetkik.statistics import Bools, Floats, Ints, ratio

_Z = 0.6745
"""Of a normal distribution, with a quarter beyond it."""


class Rule(StrEnum):
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
    values: Floats, positive: Bools, groups: Ints, least: float, precision: float
) -> float | None:
    """The lowest operating point from `least` on at which `precision` is borne out; None without one.

    What is at or above it is right so often that the lower end of Wilson's interval (75% of the
    probability) over patients, not images, reaches `precision`: the best of many points on few rows is
    mostly luck, and luck does not come along to other rows.

    Args:
        groups: (rows,), patients and duplicates.
    """
    order = np.argsort(-values, kind="stable")
    ranked = values[order]
    last = np.append(np.diff(ranked) != 0, True) & (ranked >= least)
    first = np.zeros(len(order), np.bool_)
    first[np.unique(groups[order], return_index=True)[1]] = True
    people, called = np.cumsum(first)[last], np.arange(1, len(order) + 1)[last]
    share = np.cumsum(positive[order])[last] / np.maximum(called, 1)
    enough = np.flatnonzero(_lower_end(share, people) >= precision)
    if not len(enough):
        return None
    # A hair below the row itself, so that it stays on its side when rounded.
    return math.floor(float(ranked[last][enough[-1]]) * 10**DIGITS) / 10**DIGITS


def _lower_end(share: Floats, trials: Floats) -> Floats:
    """Wilson's lower end with `_Z`."""
    z2 = _Z**2
    centre = share + z2 / (2 * trials)
    half = _Z * np.sqrt(share * (1 - share) / trials + z2 / (4 * trials**2))
    return np.asarray((centre - half) / (1 + z2 / trials))


def choose_threshold(
    values: Floats, positive: Bools, rule: Rule = Rule.YOUDEN, target: float = 0.90
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
        case Rule.YOUDEN:
            worth = sensitivity + specificity
        case Rule.F1:
            worth = ratio(2 * hits, hits + false + hits[-1])
        case Rule.SENSITIVITY:
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
