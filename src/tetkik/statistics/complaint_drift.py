"""What a triage model saw and said, as counts in fixed bins; and how far those of now lie from others.

tally = Tally()
tally.add(seen)
moved = compare_complaints(reference, described(tally, ...))

A complaint's figures are never kept side by side: a tally knows how many complaints had so many words and how
many were thought to be for so and so, and of none of them both. The bins are the same for every model and
hospital, so that a hospital can count before it knows what it will be compared with.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from tetkik.bundle import ComplaintReference, Histogram, LabelReference
from tetkik.language import Sentence
from tetkik.statistics.drift import share_shift, shift
from tetkik.statistics.image_drift import REFUSED, InputMoved, LabelMoved, Movement, furthest

WORDS, UNKNOWN, PLAIN = "words", "unknown", "plain"
PROBABILITY, ABSTAINED = "probability", "abstained"
URGENCY = "urgency:"
"""How the name of a share begins, before the level or `NOT_ASSESSED`."""
NOT_ASSESSED = "none"
_LEVEL, _FIRST, _KNOWN, _OF = "urgency", "first", "known", "of:"


EDGES: Mapping[str, tuple[float, ...]] = {
    # Whole numbers, each of them up to 12 and then 8% apart, as far as 5,000.
    WORDS: tuple(sorted({float(round(1.08**step)) for step in range(112)})),
    UNKNOWN: tuple(step / 40 for step in range(1, 40)),
    # Half a unit of log-odds apart: as fine near 0, where most departments lie, as near 1.
    PROBABILITY: tuple(float(f"{1 / (1 + math.exp(-step / 2)):.6g}") for step in range(-16, 17)),
}
"""Inner edges of the bins; a department's probability is counted between those of the first one's."""


@dataclass(frozen=True, slots=True)
class SeenComplaint:
    """One complaint and what a model said of it, without a word of it."""

    words: int
    plain: bool
    # share of its words that the model's vocabulary does not hold; None where it was not read
    unknown: float | None
    probabilities: Mapping[str, float]  # by department; empty where no model reads it
    urgency: str | None  # None where it could not be assessed
    abstained: bool
    known: str | None = None  # the department that it truly went to; None where that is not known


@dataclass(frozen=True, slots=True)
class Tally:
    """How many complaints fell into each bin of each figure; shares have the bins `yes` and `no`."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)

    @classmethod
    def from_json(cls, content: Mapping[str, Mapping[str, int]]) -> Self:
        return cls({name: Counter(bins) for name, bins in content.items()})

    def as_json(self) -> dict[str, dict[str, int]]:
        return {name: dict(bins) for name, bins in self.counts.items()}

    @property
    def total(self) -> int:
        """How many complaints were counted."""
        return self.counts[WORDS].total() if WORDS in self.counts else 0

    def add(self, seen: SeenComplaint) -> None:
        self._number(WORDS, WORDS, seen.words)
        self._share(PLAIN, seen.plain)
        self._share(REFUSED, not seen.probabilities)
        self._bin(_LEVEL, seen.urgency or NOT_ASSESSED)
        if seen.known is not None:
            self._bin(_KNOWN, seen.known)
        if not seen.probabilities:
            return
        if seen.unknown is not None:
            self._number(UNKNOWN, UNKNOWN, seen.unknown)
        first = max(seen.probabilities, key=seen.probabilities.__getitem__)
        self._share(ABSTAINED, seen.abstained)
        self._bin(_FIRST, first)
        self._number(PROBABILITY, PROBABILITY, seen.probabilities[first])
        for label, probability in seen.probabilities.items():
            self._number(_OF + label, PROBABILITY, probability)

    def more(self, other: Tally) -> None:
        for name, bins in other.counts.items():
            self.counts.setdefault(name, Counter()).update(bins)

    def hits(self, name: str, of: str = "yes") -> int:
        """Complaints in one bin of a figure."""
        return self.counts[name][of] if name in self.counts else 0

    def histogram(self, name: str, kind: str) -> Histogram | None:
        """A figure over the bins of its kind, its mean from their middles; None where nothing was counted."""
        counted, edges = self.counts.get(name), EDGES[kind]
        if counted is None or not counted.total():
            return None
        counts = tuple(counted[str(place)] for place in range(len(edges) + 1))
        mean = sum(n * _middle(kind, place) for place, n in enumerate(counts)) / sum(counts)
        return Histogram(edges=edges, counts=counts, mean=float(f"{mean:.6g}"))

    def labels(self) -> list[str]:
        """The departments that have probabilities, in the order of the model."""
        return [name.removeprefix(_OF) for name in self.counts if name.startswith(_OF)]

    def _bin(self, name: str, place: str) -> None:
        self.counts.setdefault(name, Counter())[place] += 1

    def _share(self, name: str, yes: bool) -> None:
        self._bin(name, "yes" if yes else "no")

    def _number(self, name: str, kind: str, value: float) -> None:
        self._bin(name, str(bisect_right(EDGES[kind], value)))


def described(tally: Tally, *, data: str, split: tuple[Sentence, ...], created: str) -> ComplaintReference:
    """A tally, of one complaint at least, as a bundle's reference, `created` on a date in ISO 8601."""
    words = tally.histogram(WORDS, WORDS)
    assert words is not None
    return ComplaintReference(
        data=data,
        split=split,
        created=created,
        labels={label: _label(tally, label) for label in tally.labels()},
        complaints=tally.total,
        refused=tally.hits(REFUSED),
        plain=tally.hits(PLAIN),
        words=words,
        unknown=tally.histogram(UNKNOWN, UNKNOWN),
        probability=tally.histogram(PROBABILITY, PROBABILITY),
        abstained=tally.hits(ABSTAINED),
        urgency=dict(tally.counts[_LEVEL].most_common()),
    )


def compare_complaints(before: ComplaintReference, now: ComplaintReference | None) -> Movement:
    """How far the complaints of now, if any, and what was said of them, lie from others."""
    levels = sorted({*before.urgency, *(now.urgency if now else ())})
    names = [WORDS, PLAIN, UNKNOWN, REFUSED, PROBABILITY, ABSTAINED, *(URGENCY + level for level in levels)]
    comparisons = len(before.labels) + len(names)
    inputs, answers = names[:4], names[4:]
    return Movement(
        furthest(_label_moved(label, before, now, comparisons) for label in before.labels),
        tuple(_moved(name, before, now, comparisons) for name in inputs),
        tuple(_moved(name, before, now, comparisons) for name in answers),
    )


def _label(tally: Tally, label: str) -> LabelReference:
    scores = tally.histogram(_OF + label, PROBABILITY)
    assert scores is not None
    known = tally.counts[_KNOWN].total() if _KNOWN in tally.counts else None
    present = tally.hits(_KNOWN, label) if known is not None else None
    return LabelReference(
        scores=scores,
        positive=tally.hits(_FIRST, label),
        present=present,
        absent=known - present if known is not None and present is not None else None,
    )


def _label_moved(
    label: str, before: ComplaintReference, now: ComplaintReference | None, comparisons: int
) -> LabelMoved:
    then, later = before.labels[label], now.labels.get(label) if now else None
    return LabelMoved(
        label,
        shift(then.scores, later.scores, comparisons) if later else None,
        (then.positive, then.scores.total),
        (later.positive, later.scores.total) if later else (0, 0),
        then.prevalence,
    )


def _moved(
    name: str, before: ComplaintReference, now: ComplaintReference | None, comparisons: int
) -> InputMoved:
    if name in EDGES:
        then, later = getattr(before, name), getattr(now, name, None)
        return InputMoved("", name, shift(then, later, comparisons) if then and later else None)
    had, has = _share(name, before), _share(name, now) if now else (0, 0)
    return InputMoved("", name, share_shift(had, has, comparisons), had, has)


def _share(name: str, of: ComplaintReference) -> tuple[int, int]:
    """Hits and all of a share; one that says something of answers is of the complaints that were read."""
    if name == REFUSED:
        return of.refused, of.complaints
    if name == PLAIN:
        return of.plain, of.complaints
    if name == ABSTAINED:
        return of.abstained, of.complaints - of.refused
    return of.urgency.get(name.removeprefix(URGENCY), 0), of.complaints


def _middle(kind: str, place: int) -> float:
    """What stands for a value of a bin in a mean."""
    edges = EDGES[kind]
    if kind == WORDS:  # whole numbers: a bin ends one before its edge
        low = edges[place - 1] if place else 0.0
        return (low + edges[place] - 1) / 2 if place < len(edges) else low
    low, high = edges[place - 1] if place else 0.0, edges[place] if place < len(edges) else 1.0
    return (low + high) / 2
