"""How many studies a trial needs to be likely to end in a decision."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from tetkik.errors import MissingExtra
from tetkik.lab.trial.limits import LabelLimit
from tetkik.statistics.intervals import Z95


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


def needed_for(share: float, limit: float, power: float) -> int:
    """From how many trials on the 95% interval (Wilson) lies at or above `limit` with probability `power`.

    Args:
        share: of success, above `limit`.
    """
    try:
        from scipy.stats import binom
    except ImportError:
        raise MissingExtra(
            "A plan needs {package}; `pip install 'tetkik[train]'`.", package="scipy"
        ) from None
    spread, own = (math.sqrt(value * (1 - value)) for value in (limit, share))
    about = ((Z95 * spread + NormalDist().inv_cdf(power) * own) / (share - limit)) ** 2
    trials = np.arange(1, int(1.5 * about) + 100)
    # Wilson's interval holds the shares that the score test does not refuse.
    least = np.ceil(trials * limit + Z95 * spread * np.sqrt(trials))
    # With one trial more it may be less likely again, as successes are whole numbers.
    short = np.flatnonzero(binom.sf(least - 1, trials, share) < power)
    return int(trials[short[-1]]) + 1 if len(short) else 1


def plan(
    labels: Sequence[str],
    sensitivity: float,
    specificity: float,
    margin: float,
    power: float,
    truths: Iterable[Mapping[str, int]] = (),
) -> tuple[list[Needed], dict[str, LabelLimit]]:
    """What each label needs, and limits to begin with: what is expected, less `margin`.

    Args:
        power: with which probability a model that is as expected reaches each limit.
        truths: what earlier reports say, for the prevalence.
    """
    known: Counter[str] = Counter()
    present: Counter[str] = Counter()
    for truth in truths:
        known.update(truth.keys())
        present.update(label for label, value in truth.items() if value)
    limits = [round(max(0.0, share - margin), 4) for share in (sensitivity, specificity)]
    positives = needed_for(sensitivity, limits[0], power)
    negatives = needed_for(specificity, limits[1], power)
    needed = [
        Needed(label, positives, negatives, present[label] / known[label] if known[label] else None)
        for label in labels
    ]
    limit = LabelLimit(sensitivity=limits[0], specificity=limits[1], positives=positives)
    return needed, dict.fromkeys(labels, limit)
