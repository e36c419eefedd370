"""What a model saw and said, image by image, as distributions; and how far those of now lie from others.

spread = describe(then)
reference = ImageReference(..., labels=spread.labels, inputs=spread.inputs)
moved = compare(reference, now)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

import numpy as np

from tetkik.bundle import Histogram, ImageReference, InputReference, LabelReference
from tetkik.statistics.drift import Shift, Stability, histogram, share_shift, shift
from tetkik.statistics.intervals import Floats

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
