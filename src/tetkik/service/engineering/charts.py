"""Small charts as geometry for inline SVG, drawn on the server: no script, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of a line, from the left and from the top."""

    x: float
    y: float
    value: float


@dataclass(frozen=True, slots=True)
class Line:
    """A line of shares (0 to 1) over time; a run is a stretch without a gap, as a polyline's `points`."""

    width: int
    height: int
    runs: tuple[str, ...]
    dots: tuple[Dot, ...]


def line(shares: Sequence[float | None], width: int, height: int) -> Line:
    """Lay out shares evenly from left to right; what is unknown leaves a gap."""
    step = width / max(1, len(shares) - 1)
    known = [
        None if share is None else Dot(round(place * step, 1), round((1 - share) * height, 1), share)
        for place, share in enumerate(shares)
    ]
    runs: list[list[Dot]] = [[]]
    for dot in known:
        if dot is None:
            runs.append([])
        else:
            runs[-1].append(dot)
    return Line(
        width,
        height,
        tuple(" ".join(f"{dot.x},{dot.y}" for dot in run) for run in runs if len(run) > 1),
        tuple(dot for dot in known if dot is not None),
    )


@dataclass(frozen=True, slots=True)
class Bar:
    """The share of one bin, now as a bar and then as a mark across it."""

    x: float
    top: float
    height: float
    mark: float


_BAR_STEP, _BARS_HEIGHT = 10, 40
_FULL = 0.3
"""Share that fills the height; with ten bins a tenth is expected in each."""


def bars(shares: Sequence[tuple[float, float]]) -> tuple[Bar, ...]:
    """Lay out the shares then and now of neighbouring bins; what is larger than the chart fills it."""
    tops = [
        tuple(round((1 - min(share, _FULL) / _FULL) * _BARS_HEIGHT, 1) for share in pair) for pair in shares
    ]
    return tuple(
        Bar(place * _BAR_STEP, now, round(_BARS_HEIGHT - now, 1), then)
        for place, (then, now) in enumerate(tops)
    )
