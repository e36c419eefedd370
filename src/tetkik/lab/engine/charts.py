"""The charts of evaluations (bars with intervals, curves with a legend, a matrix) and curves of trainings.

Every text of an evaluation is given as it shall stand: its caller knows what it says, and in which language.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tetkik.lab.engine.style import (
    ACCENT,
    GREY,
    INK,
    MAIN,
    PALE,
    axes,
    png,
    series_colour,
    shades,
    styled,
    wrapped,
)
from tetkik.language import Language, translate
from tetkik.statistics import Floats, Interval, ReliabilityBin

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SHADE = 0.6
"""A power under 1 keeps a few errors visible beside hundreds of hits."""


@dataclass(frozen=True, slots=True)
class Bar:
    name: str
    value: float
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A named line: (points,) each of `x` and `y`."""

    name: str
    x: Floats
    y: Floats


def bar_chart(
    bars: Sequence[Bar], *, title: str, axis: str, mean: tuple[float, str] | None = None, chance: float = 0.0
) -> Figure:
    """Horizontal bars from 0 to 1, the first at the bottom; a dotted line at `chance`, 0 for none."""
    figure, plot = axes(8, 1.4 + 0.38 * len(bars))
    places = np.arange(len(bars))
    plot.barh(places, [bar.value for bar in bars], color=MAIN, height=0.62)
    for place, bar in zip(places.tolist(), bars, strict=True):
        if bar.interval:
            plot.plot([bar.interval.low, bar.interval.high], [place, place], "|-", color=INK, linewidth=1.4)
        inside = bar.value > 0.1
        plot.text(
            0.012 if inside else bar.value + 0.012,
            place,
            f"{bar.value:.2f}",
            va="center",
            fontsize=9,
            color="white" if inside else INK,
        )
    top = len(bars) - 0.4
    if chance:
        plot.plot([chance, chance], [-0.6, top], color=GREY, linewidth=1, linestyle=":", zorder=2)
    if mean:
        plot.plot([mean[0]] * 2, [-0.6, top], color=ACCENT, linewidth=1.2, linestyle="--", zorder=0)
        plot.text(mean[0], top, mean[1], color=ACCENT, ha="center", va="bottom", fontsize=9)
    plot.set_yticks(places, [bar.name for bar in bars])
    plot.set(xlim=(0, 1.01), ylim=(-0.6, len(bars) + 0.2), xticks=np.linspace(0, 1, 6), xlabel=axis)
    plot.tick_params(axis="y", length=0)
    plot.spines["left"].set_visible(False)
    plot.set_title(title, pad=16)
    return figure


def curve_chart(
    curves: Sequence[Curve], *, title: str, x: str, y: str, legend: str, diagonal: bool = False
) -> Figure:
    """Lines in a unit square, with their names beside it; `diagonal` draws the line of chance."""
    figure, plot = axes(9.4, 6)
    if diagonal:
        plot.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    for place, curve in enumerate(curves):
        style = ("-", "--", ":")[place // 10 % 3]
        colour = series_colour(place)
        plot.plot(curve.x, curve.y, linewidth=1.5, color=colour, linestyle=style, label=curve.name)
    plot.set_aspect("equal")
    plot.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), title=title, xlabel=x, ylabel=y)
    plot.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), title=legend, fontsize=9, alignment="left")
    return figure


def confusion_chart(
    values: Floats, support: Sequence[int], names: Sequence[str], *, title: str, x: str, y: str, most: float
) -> Figure:
    """A matrix of counts or percents; a row is a true label, with its support, a column the label given."""
    return matrix_chart(
        (values / most) ** _SHADE,
        [[f"{value:.0f}" if value >= 0.5 else "" for value in row] for row in values.tolist()],
        title=title,
        rows=[f"{wrapped(name)} ({n})" for name, n in zip(names, support, strict=True)],
        columns=[wrapped(name) for name in names],
        x=x,
        y=y,
        colours=shades(),
    )


def plot_reliability(plot: Axes, bins: Sequence[ReliabilityBin], *, to_end: bool, width: float = 5) -> None:
    """The reliability curve with the diagonal; `to_end` scales both axes to 1, else to what there is."""
    claimed = np.array([part.claimed for part in bins])
    happened = np.array([part.happened for part in bins])
    # A rare label lives in one corner: the scale ends where it does, the same on both sides.
    end = 1.0 if to_end else min(1.0, 1.12 * max(float(claimed.max()), float(happened.max()), 0.02))
    plot.plot([0, end], [0, end], color=GREY, linewidth=1, linestyle="--")
    low, high = np.minimum(claimed, happened), np.maximum(claimed, happened)
    plot.vlines(claimed, low, high, color=PALE, linewidth=width)
    plot.plot(claimed, happened, "o-", color=MAIN, linewidth=1.5, markersize=width, clip_on=False)
    plot.set(xlim=(0, end), ylim=(0, end))


def matrix_chart(
    shade: Floats,
    texts: Sequence[Sequence[str]],
    *,
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    x: str,
    y: str,
    colours: Any,
) -> Figure:
    """A matrix of shaded cells with a text in each, empty for none; the diagonal's are bold.

    `shade`, (rows, columns), 0 to 1, is the place in the colour map; NaN leaves a cell white.
    """
    size = 3.2 + 0.52 * len(columns)
    figure, plot = axes(size, size * 0.92)
    plot.imshow(shade, cmap=colours, vmin=0, vmax=1)
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            if text:
                red, green, blue, _ = colours(shade[row, column])
                empty = np.isnan(shade[row, column])
                dark = not empty and 0.299 * red + 0.587 * green + 0.114 * blue < 0.55
                colour, weight = "white" if dark else INK, "bold" if row == column else "normal"
                plot.text(
                    column, row, text, ha="center", va="center", color=colour, fontsize=9, fontweight=weight
                )
    plot.set_xticks(range(len(columns)), list(columns), ha="right")
    plot.tick_params(axis="x", labelrotation=60)
    for tick in plot.get_xticklabels():
        tick.set_rotation_mode("anchor")
    plot.set_yticks(range(len(rows)), list(rows))
    plot.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    plot.set_yticks(np.arange(len(rows) - 1) + 0.5, minor=True)
    plot.grid(which="minor", color="white", linewidth=1.5)
    plot.tick_params(which="both", length=0)
    plot.spines[:].set_visible(False)
    plot.set_title(title)
    plot.set_xlabel(x, labelpad=10)
    plot.set_ylabel(y, labelpad=10)
    return figure


def training_curves(
    epochs: Sequence[DataclassInstance],
    language: Language,
    *,
    loss: str,
    measured: Mapping[str, str],
    best_epoch: int = 0,
    chance: float | None = None,
) -> bytes:
    """Losses by epoch, and beside them the figures `measured` on validation, where they were, as PNG.

    Args:
        epochs: the log; each network of several, by `run`, is one line.
        loss: what the picture of the losses is called, as those of `measured` are: English templates.
        best_epoch: marked by a line, for its weights were kept; 0 for the last, without a mark.
        chance: a value of `measured` that is marked by a line.
    """
    from matplotlib.figure import Figure

    def say(template: str) -> str:
        return translate(template, language)

    found = {name: title for name, title in measured.items() if _points(epochs, name)}
    with styled():
        figure = Figure(figsize=(6 + 3.5 * len(found), 4))
        losses, *plots = figure.subplots(1, 1 + len(found), squeeze=False)[0]
        _lines(losses, epochs, "training_loss", MAIN, say("training"))
        _lines(losses, epochs, "validation_loss", ACCENT, say("validation"))
        losses.set(title=say(loss))
        losses.legend()
        for plot, (name, title) in zip(plots, found.items(), strict=True):
            _lines(plot, epochs, name, ACCENT, None)
            plot.set(title=say(title))
            top = max(_points(epochs, name), key=lambda point: point[1])
            plot.annotate(f"{top[1]:.3f}", top, (0, 6), textcoords="offset points", ha="center", color=INK)
            if chance is None:
                plot.set_ylim(bottom=0)
            else:
                plot.axhline(chance, color=GREY, linestyle=":", linewidth=1)
        for plot in (losses, *plots):
            plot.set_xlabel(say("epoch"))
            plot.xaxis.get_major_locator().set_params(integer=True)
            if best_epoch:
                plot.axvline(best_epoch, color=GREY, linestyle=":", linewidth=1, zorder=0)
        figure.tight_layout()
        return png(figure)


def _points(epochs: Sequence[Any], name: str) -> list[tuple[int, float]]:
    return [(row.epoch, value) for row in epochs if (value := getattr(row, name)) is not None]


def _lines(plot: Axes, epochs: Sequence[Any], name: str, colour: str, legend: str | None) -> None:
    """One line a network, all of one colour; the name stands once in the legend."""
    runs = list(dict.fromkeys(getattr(row, "run", "") for row in epochs))
    for run in runs:
        points = _points([row for row in epochs if getattr(row, "run", "") == run], name)
        if points:
            alpha = 1.0 if len(runs) == 1 else 0.6
            plot.plot(
                *zip(*points, strict=True), color=colour, alpha=alpha, marker="o", markersize=3, label=legend
            )
            legend = None
