"""Small charts as geometry for inline SVG, drawn on the server: no script, nothing from elsewhere."""

from __future__ import annotations

import math
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


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a chart from its foot; without a value there is none."""

    x: float
    top: float
    height: float
    value: float | None


@dataclass(frozen=True, slots=True)
class Columns:
    width: int
    height: int
    step: float
    """From the left of a column to the left of the next."""
    columns: tuple[Column, ...]
    lines: tuple[tuple[float, float], ...]
    """Lines across: how far from the top, and the value that they stand for."""


def columns(values: Sequence[float | None], width: int, height: int, steps: Sequence[float]) -> Columns:
    """Lay out values side by side, with four lines across at most.

    Args:
        steps: distances between two lines, easily read, rising; the first that is wide enough is taken.
    """
    most = max((value for value in values if value is not None), default=0.0)
    step = next((one for one in steps if 4 * one >= most), most / 4 or 1.0)
    number = max(1, math.ceil(most / step))
    room, full = width / max(1, len(values)), number * step
    laid = [
        Column(round(place * room, 1), round(height - tall, 1), round(tall, 1), value)
        for place, value in enumerate(values)
        for tall in ((value or 0.0) / full * height,)
    ]
    lines = tuple((round(height - line * height / number, 1), line * step) for line in range(number + 1))
    return Columns(width, height, room, tuple(laid), lines)
