"""Whether figures of now are spread as those of before: the stability index and the largest gap.

The earlier figures are a histogram, so that they can be kept with a model and compared years later.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from itertools import chain
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle.card import ComplaintReference, Histogram, ImageReference, InputReference, LabelReference
from tetkik.language import Sentence
from tetkik.statistics.intervals import Floats

FEWEST = 50
"""Values on each side, below which nothing is said."""
WATCHED, ANOTHER = 0.1, 0.25
"""Siddiqi, Credit Risk Scorecards (2006): below 0.1 steady, above 0.25 another population."""
_BINS = 10
_FINE = 100
_LEVEL = 0.05
_KS95 = 1.3581


class Stability(StrEnum):
    """What is said of a figure."""

    STABLE = "stable"
    WATCH = "watch"
    """Beyond 0.1, and not by chance."""
    SHIFTED = "shifted"
    """Beyond 0.25, and not by chance: another population."""


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one sample lies from another, beside how far two samples of one population do."""

    before: int
    now: int
    # population stability index over ten bins at the deciles of the earlier sample (Siddiqi 2006), or over
    # yes and no
    psi: float
    # what 95 of 100 sets of so many comparisons between samples of one population, of these sizes, stay below
    # in every one (Yurdakul 2018: chi square times the sum of the inverse sizes; Dunn 1961, after Bonferroni,
    # for the number of comparisons)
    psi_chance: float
    # largest gap between the two cumulative distributions at the edges of the bins, 0 to 1; None of a share
    ks: float | None
    ks_chance: float | None  # its limit by chance at 95% for one comparison (Smirnov 1948); None of a share
    mean_before: float
    mean_now: float
    # share of the earlier and of the later sample in each bin of the index
    bins: tuple[tuple[float, float], ...]

    @property
    def stability(self) -> Stability:
        """Said only beyond what chance reaches."""
        if self.psi > max(ANOTHER, self.psi_chance):
            return Stability.SHIFTED
        return Stability.WATCH if self.psi > max(WATCHED, self.psi_chance) else Stability.STABLE


def histogram(values: Floats) -> Histogram:
    """Values (n,), one at least, in about a hundred bins of equal mass; equal values stay in one bin.

    Below the least and above the greatest lies one empty bin each: there a later value is seen to be new,
    even where all the earlier ones were equal.
    """
    least, greatest = float(values.min()), float(values.max())
    quantiles = np.quantile(values, np.linspace(0, 1, _FINE + 1)[1:-1])
    inner = {edge for edge in (float(f"{edge:.6g}") for edge in quantiles) if least < edge <= greatest}
    edges = np.array(sorted({least, *inner, math.nextafter(greatest, math.inf)}))
    return Histogram(
        edges=tuple(edges.tolist()),
        counts=tuple(_counted(edges, values).tolist()),
        mean=float(f"{values.mean():.6g}"),
    )


def shift(before: Histogram, now: Floats | Histogram, comparisons: int = 1) -> Shift | None:
    """Compare later values (m,) with earlier ones; None where either has fewer than `FEWEST`.

    Of a later histogram the edges count that both have. Chance is allowed for once in all `comparisons`.
    """
    n = now.total if isinstance(now, Histogram) else len(now)
    if min(before.total, n) < FEWEST:
        return None
    if isinstance(now, Histogram):
        shared = set(before.edges) & set(now.edges)
        then, later = _within(shared, before), _within(shared, now)
    else:
        then, later = np.array(before.counts), _counted(np.array(before.edges), now)
    starts = _tenths(then)
    pooled = np.add.reduceat(then, starts), np.add.reduceat(later, starts)
    gap = np.abs(np.cumsum(then) / then.sum() - np.cumsum(later) / later.sum())
    inverse = 1 / before.total + 1 / n
    return Shift(
        before.total,
        n,
        _stability(*pooled),
        _chi_square(max(1, len(starts) - 1), comparisons) * inverse,
        float(gap.max()),
        _KS95 * inverse**0.5,
        before.mean,
        now.mean if isinstance(now, Histogram) else float(np.mean(now)),
        _shares(*pooled),
    )


def share_shift(before: tuple[int, int], now: tuple[int, int], comparisons: int = 1) -> Shift | None:
    """Compare a later share with an earlier one, each as (hits, total); None with fewer than `FEWEST`."""
    (had, n), (has, m) = before, now
    if min(n, m) < FEWEST:
        return None
    then, later = np.array([had, n - had]), np.array([has, m - has])
    chance = _chi_square(1, comparisons) * (1 / n + 1 / m)
    psi, shares = _stability(then, later), _shares(then, later)
    return Shift(n, m, psi, chance, None, None, had / n, has / m, shares)


def _counted(edges: Floats, values: Floats) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1)


def _within(shared: set[float], given: Histogram) -> NDArray[np.int64]:
    """The counts of a histogram between some of its edges."""
    starts = [0, *(place + 1 for place, edge in enumerate(given.edges) if edge in shared)]
    return np.add.reduceat(np.array(given.counts, np.int64), starts)


def _tenths(counts: NDArray[np.int64]) -> list[int]:
    """Where each of about ten groups of neighbouring bins begins, all with about as many values."""
    below = np.cumsum(counts)[:-1]
    wanted = counts.sum() * np.arange(1, _BINS) / _BINS
    nearest = {int(np.abs(below - mass).argmin()) + 1 for mass in wanted} if len(below) else set()
    return [0, *sorted(nearest)]


def _stability(before: NDArray[np.int64], now: NDArray[np.int64]) -> float:
    # Half a value in each bin: an empty bin is no infinite distance.
    then, later = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (before, now))
    return float(np.sum((later - then) * np.log(later / then)))


def _shares(before: NDArray[np.int64], now: NDArray[np.int64]) -> tuple[tuple[float, float], ...]:
    return tuple(zip((before / before.sum()).tolist(), (now / now.sum()).tolist(), strict=True))


@cache
def _chi_square(degrees: int, comparisons: int) -> float:
    """The quantile of chi square that one of `comparisons` reaches by chance in 5 of 100 sets."""
    tail = _LEVEL / comparisons
    low, high = 0.0, float(degrees)
    while _chi_square_tail(high, degrees) > tail:
        high *= 2
    while (middle := (low + high) / 2) not in (low, high):
        if _chi_square_tail(middle, degrees) > tail:
            low = middle
        else:
            high = middle
    return middle


def _chi_square_tail(value: float, degrees: int) -> float:
    """The chance of chi square beyond `value`, exact for whole degrees of freedom.

    Abramowitz and Stegun (1964), 26.4.4 (odd degrees) and 26.4.5 (even).
    """
    half = value / 2
    odd = degrees % 2
    terms = (
        math.pow(half, k - odd / 2) / math.gamma(k + 1 - odd / 2) for k in range(odd, (degrees + odd) // 2)
    )
    return odd * math.erfc(math.sqrt(half)) + math.exp(-half) * sum(terms)


# What a model saw and said, image by image, as distributions; and how far those of now lie from others.
#
# spread = describe(then) reference = ImageReference(..., labels=spread.labels, inputs=spread.inputs) moved
# = compare(reference, now)


BRIGHTNESS, CONTRAST, SIDE = "brightness", "contrast", "side"
REFUSED, WITHOUT_SPACING = "refused", "without_spacing"
MODALITY, FLAW = "modality:", "flaw:"
"""How the name of a share begins, before the modality or the flaw."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One image, and what a model said of it.

    `route` and `modality` are `""` where there is none; `brightness` and `contrast` are mean and standard
    deviation of the pixels as a share of white, None where not measured; `scores` are by label the network's
    sigmoid and whether it is called present.
    """

    route: str
    refused: bool
    spacing: bool
    modality: str
    flaws: tuple[str, ...]
    brightness: float | None
    contrast: float | None
    side: int
    scores: Mapping[str, tuple[float, bool]] = field(default_factory=dict)
    known: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Spread:
    """Observations as distributions: what an `ImageReference` holds of them."""

    labels: dict[str, LabelReference]
    inputs: dict[str, InputReference]


@dataclass(frozen=True, slots=True)
class LabelMoved:
    """The scores of one label, then and now; the pairs are of hits and all."""

    label: str
    shift: Shift | None  # None with too few
    positive_before: tuple[int, int]
    positive_now: tuple[int, int]
    prevalence: float | None  # among the earlier images; None where nothing is known


@dataclass(frozen=True, slots=True)
class InputMoved:
    """One figure of the images of a route, or of complaints, then and now."""

    route: str  # `""` for images without one, and for complaints
    name: str  # `brightness`, `contrast`, `side`, or a share: `refused`, `modality:DX`, `flaw:rotated`
    shift: Shift | None  # None with too few
    before: tuple[int, int] | None = None
    now: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """Everything that was compared; `answers` is what a model says beside its labels, empty for images."""

    labels: tuple[LabelMoved, ...]
    inputs: tuple[InputMoved, ...]
    answers: tuple[InputMoved, ...] = ()

    @property
    def scores(self) -> Stability | None:
        """The worst that is said of a score or of another answer; None with too few."""
        return _worst(chain((one.shift for one in self.labels), (one.shift for one in self.answers)))

    @property
    def seen(self) -> Stability | None:
        """The worst that is said of an input; None with too few."""
        return _worst(one.shift for one in self.inputs)


def describe(observations: Sequence[Observation]) -> Spread:
    labels = dict.fromkeys(chain.from_iterable(one.scores for one in observations))
    return Spread(
        {label: _label_of(label, observations) for label in labels},
        {route: _input_of(seen) for route, seen in _by_route(observations).items()},
    )


def compare(reference: ImageReference, now: Sequence[Observation]) -> Movement:
    """How far what is seen now lies from a reference; routes that nothing takes now are left out."""
    later = _by_route(now)
    both = [
        (route, reference.inputs.get(route), _input_of(seen), seen) for route, seen in sorted(later.items())
    ]
    names = [_names(then, counted) for _, then, counted, _ in both]
    comparisons = max(1, len(reference.labels) + sum(map(len, names)))
    labels = [_moved(label, then, now, comparisons) for label, then in reference.labels.items()]
    inputs = [
        _input_moved(*one, name, comparisons) for one, of in zip(both, names, strict=True) for name in of
    ]
    return Movement(furthest(labels), tuple(inputs))


def furthest(labels: Iterable[LabelMoved]) -> tuple[LabelMoved, ...]:
    """Labels in the order of a `Movement`: those that moved furthest first."""
    return tuple(sorted(labels, key=lambda one: (-(one.shift.psi if one.shift else -1.0), one.label)))


def _by_route(observations: Iterable[Observation]) -> dict[str, list[Observation]]:
    found: dict[str, list[Observation]] = {}
    for one in observations:
        found.setdefault(one.route, []).append(one)
    return found


def _label_of(label: str, observations: Iterable[Observation]) -> LabelReference:
    seen = [one for one in observations if label in one.scores]
    known = [one.known[label] for one in seen if label in one.known]
    return LabelReference(
        scores=histogram(_scores(label, seen)),
        positive=sum(one.scores[label][1] for one in seen),
        present=sum(known) if known else None,
        absent=len(known) - sum(known) if known else None,
    )


def _scores(label: str, observations: Iterable[Observation]) -> Floats:
    return np.array([one.scores[label][0] for one in observations if label in one.scores], np.float64)


def _input_of(seen: Sequence[Observation]) -> InputReference:
    numbers = {name: _numbers(name, seen) for name in (BRIGHTNESS, CONTRAST, SIDE)}
    return InputReference(
        images=len(seen),
        refused=sum(one.refused for one in seen),
        without_spacing=sum(not one.spacing for one in seen),
        modalities=dict(Counter(one.modality for one in seen).most_common()),
        flaws=dict(Counter(flaw for one in seen for flaw in one.flaws).most_common()),
        **{name: histogram(values) for name, values in numbers.items() if len(values)},
    )


def _numbers(name: str, seen: Iterable[Observation]) -> Floats:
    values = (getattr(one, name) for one in seen)
    return np.array([value for value in values if value is not None], np.float64)


def _names(then: InputReference | None, now: InputReference) -> list[str]:
    modalities = sorted({*now.modalities, *(then.modalities if then else ())})
    flaws = sorted({*now.flaws, *(then.flaws if then else ())})
    shares = [*(MODALITY + name for name in modalities), *(FLAW + name for name in flaws)]
    return [REFUSED, BRIGHTNESS, CONTRAST, SIDE, WITHOUT_SPACING, *shares]


def _moved(label: str, then: LabelReference, now: Sequence[Observation], comparisons: int) -> LabelMoved:
    seen = [one for one in now if label in one.scores]
    return LabelMoved(
        label,
        shift(then.scores, _scores(label, seen), comparisons),
        (then.positive, then.scores.total),
        (sum(one.scores[label][1] for one in seen), len(seen)),
        then.prevalence,
    )


def _input_moved(
    route: str,
    then: InputReference | None,
    now: InputReference,
    seen: Sequence[Observation],
    name: str,
    comparisons: int,
) -> InputMoved:
    if name in (BRIGHTNESS, CONTRAST, SIDE):
        before: Histogram | None = getattr(then, name) if then else None
        moved = shift(before, _numbers(name, seen), comparisons) if before else None
        return InputMoved(route, name, moved)
    had = (_hits(name, then), then.images) if then else (0, 0)
    has = (_hits(name, now), now.images)
    return InputMoved(route, name, share_shift(had, has, comparisons), had, has)


def _hits(name: str, then: InputReference) -> int:
    if name == REFUSED:
        return then.refused
    if name == WITHOUT_SPACING:
        return then.without_spacing
    if name.startswith(MODALITY):
        return then.modalities.get(name.removeprefix(MODALITY), 0)
    return then.flaws.get(name.removeprefix(FLAW), 0)


def _worst(shifts: Iterable[Shift | None]) -> Stability | None:
    levels = {one.stability for one in shifts if one is not None}
    return next((word for word in reversed(Stability) if word in levels), None)


# What a triage model saw and said, as counts in fixed bins; and how far those of now lie from others.
#
# tally = Tally() tally.add(seen) moved = compare_complaints(reference, described(tally, ...))
#
# A complaint's figures are never kept side by side: a tally knows how many complaints had so many words and
# how many were thought to be for so and so, and of none of them both. The bins are the same for every model
# and hospital, so that a hospital can count before it knows what it will be compared with.


WORDS, UNKNOWN, PLAIN = "words", "unknown", "plain"
PROBABILITY, ABSTAINED = "probability", "abstained"
URGENCY = "urgency:"
"""How the name of a share begins, before the level or `NOT_ASSESSED`."""
NOT_ASSESSED = "none"
_LEVEL_COMPLAINT_DRIFT, _FIRST, _KNOWN, _OF = "urgency", "first", "known", "of:"


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
        self._bin(_LEVEL_COMPLAINT_DRIFT, seen.urgency or NOT_ASSESSED)
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
        urgency=dict(tally.counts[_LEVEL_COMPLAINT_DRIFT].most_common()),
    )


def compare_complaints(before: ComplaintReference, now: ComplaintReference | None) -> Movement:
    """How far the complaints of now, if any, and what was said of them, lie from others."""
    levels = sorted({*before.urgency, *(now.urgency if now else ())})
    names = [WORDS, PLAIN, UNKNOWN, REFUSED, PROBABILITY, ABSTAINED, *(URGENCY + level for level in levels)]
    comparisons = len(before.labels) + len(names)
    inputs, answers = names[:4], names[4:]
    return Movement(
        furthest(_label_moved(label, before, now, comparisons) for label in before.labels),
        tuple(_moved_of_complaint_drift(name, before, now, comparisons) for name in inputs),
        tuple(_moved_of_complaint_drift(name, before, now, comparisons) for name in answers),
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


def _moved_of_complaint_drift(
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
