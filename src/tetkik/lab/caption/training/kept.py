"""What is kept of a training because validation is better with it, and by how much."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tetkik.lab.caption.data import group_numbers
from tetkik.lab.caption.metrics.scores import quick_measures, replicates
from tetkik.lab.caption.training.options import StopBy
from tetkik.lab.caption.training.validation import GeneratedCaptions
from tetkik.statistics import ClusterBootstrap, percentile_interval

# Named as the options are, which is the same in every language.
CONCEPTS = "--concepts"
NEIGHBOURS = "--neighbours"
SELF_CRITICAL = "--self-critical"
_REPLICATES = 1000


@dataclass(frozen=True, slots=True)
class Comparison:
    """Validation with a part and without it, by `metric`; `low` and `high` bound the difference at 95%.

    Both are None where there are too few cases for an interval. Without concepts or neighbours the weights
    are the same, and learned with them.
    """

    part: str
    metric: str
    with_part: float
    without: float
    low: float | None
    high: float | None
    n: int

    @property
    def kept(self) -> bool:
        return self.low is not None and self.low > 0

    @property
    def difference(self) -> str:
        """What the part gains, with its interval."""
        interval = "" if self.low is None else f" [{self.low:+.3f}, {self.high:+.3f}]"
        return f"{self.with_part - self.without:+.3f}{interval}"


def compare(part: str, made: GeneratedCaptions, other: Sequence[str], metric: StopBy) -> Comparison:
    """What `made` with a part scores, and `other` captions of the same rows without it."""
    truth = [text for _, text, _ in made.listed]
    measures = [
        next(one for one in quick_measures(texts, truth) if one.name == metric.value)
        for texts in (made.made, other)
    ]
    draws = ClusterBootstrap(group_numbers(made.part.groups, made.rows.tolist()), _REPLICATES)
    interval = None
    if draws.possible:
        drawn = replicates(measures, draws)
        interval = percentile_interval(drawn[0] - drawn[1])
    low, high = (None, None) if interval is None else (interval.low, interval.high)
    return Comparison(part, metric.value, measures[0].value, measures[1].value, low, high, len(made.made))
