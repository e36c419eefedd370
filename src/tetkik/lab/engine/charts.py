"""The charts of evaluations (bars with intervals, curves with a legend, a matrix) and curves of trainings.

Every text of an evaluation is given as it shall stand: its caller knows what it says, and in which language.
"""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tetkik.documents.write import write_files
from tetkik.errors import MissingExtra, OutputError
from tetkik.lab.engine.figure_tables import EvaluationView, Plot, cell_parts
from tetkik.language import Language, translate
from tetkik.statistics.calibration import ReliabilityBin
from tetkik.statistics.intervals import Bools, Floats, Interval
from tetkik.statistics.roc import roc_curve
from tetkik.values.common import DISCLAIMER

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from jinja2 import Environment
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# How every picture looks: calm, with Turkish letters, readable at a glance; and a picture as PNG.


INK, GREY, PALE = "#22303c", "#8a949e", "#d9dee3"
MAIN, ACCENT = "#1f6f8b", "#d1603d"
_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib and has ğ, ş, ı, İ
    "font.size": 10,
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_DPI = 144
_WRAP = 18
"""Characters of a label on one line."""


@dataclass(frozen=True, slots=True)
class ChartFile:
    """A picture: its file name, its title (an English template) and its bytes (PNG)."""

    name: str
    title: str
    png: bytes


@contextmanager
def styled(changes: Any = MappingProxyType({})) -> Iterator[None]:
    """One style for what is drawn within the block; `changes` of it by the names of matplotlib's rcParams."""
    import matplotlib as mpl

    with mpl.rc_context():
        # A user's matplotlibrc must not change the pictures.
        mpl.rcdefaults()
        mpl.rcParams.update({**_STYLE, **changes})
        yield


def png(figure: Figure) -> bytes:
    """`figure` as PNG; the same figure gives the same bytes with the same matplotlib."""
    buffer = io.BytesIO()
    # No software version in the file.
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def axes(width: float, height: float, layout: Literal["constrained"] | None = None) -> tuple[Figure, Axes]:
    """A figure of `width` by `height` inches with one pair of axes."""
    # Not pyplot: it keeps figures alive and chooses a backend of its own.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout)
    return figure, figure.add_subplot()


def wrapped(label: str) -> str:
    """`label` on lines short enough for the edge of a matrix."""
    return "\n".join(textwrap.wrap(label, _WRAP, break_long_words=False))


def shades() -> Any:
    """A colour map from nearly white to a dark blue."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("tetkik", ["#f4f6f8", "#9cc5d3", MAIN, "#0d3b4c"])


def diverging() -> Any:
    """A colour map from orange (less) over nearly white to blue (more)."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(
        "tetkik_diverging", [ACCENT, "#f6d9cd", "#f4f6f8", "#9cc5d3", MAIN]
    )


def series_colour(place: int) -> str:
    """The colour of the `place`th of several series (ten, then again)."""
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["tab10"](place % 10))


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
    bars: Sequence[Bar], *, axis: str, mean: tuple[float, str] | None = None, chance: float = 0.0
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
    return figure


def curve_chart(curves: Sequence[Curve], *, x: str, y: str, legend: str, diagonal: bool = False) -> Figure:
    """Lines in a unit square, with their names beside it; `diagonal` draws the line of chance."""
    figure, plot = axes(9.4, 6)
    if diagonal:
        plot.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    for place, curve in enumerate(curves):
        style = ("-", "--", ":")[place // 10 % 3]
        colour = series_colour(place)
        plot.plot(curve.x, curve.y, linewidth=1.5, color=colour, linestyle=style, label=curve.name)
    plot.set_aspect("equal")
    plot.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel=x, ylabel=y)
    plot.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), title=legend, fontsize=9, alignment="left")
    return figure


def roc_chart(labels: Iterable[tuple[float | None, str, Floats, Bools]], *, x: str, y: str) -> Figure:
    """The ROC curve of each label: its AUROC, its name, (rows,) scores and whether the label is true."""
    curves = [Curve(f"{area:.3f}  {name}", *roc_curve(score, true)) for area, name, score, true in labels]
    return curve_chart(curves, x=x, y=y, legend="AUROC", diagonal=True)


def confusion_chart(
    values: Floats, support: Sequence[int], names: Sequence[str], *, x: str, y: str, most: float
) -> Figure:
    """A matrix of counts or percents; a row is a true label, with its support, a column the label given."""
    return matrix_chart(
        (values / most) ** _SHADE,
        [[f"{value:.0f}" if value >= 0.5 else "" for value in row] for row in values.tolist()],
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


# An evaluation as files: `metrics.json`, the pictures, one table, and one page with all of it.


PAGE = "report.html"


def check_target(folder: Path) -> None:
    """Fail before the long work where writing would fail after it."""
    above = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    if not above.is_dir():
        raise OutputError("{folder} is a file; choose a folder as --out.", folder=above)
    if not os.access(above, os.W_OK):
        raise OutputError("{folder} cannot be written; choose another folder as --out.", folder=above)
    for package in ("matplotlib", "jinja2"):
        if find_spec(package) is None:
            raise MissingExtra(
                "Pictures and pages need {package}; `{extra}`.", extra="train", package=package
            )


def drawn(plots: Iterable[Plot], language: Language) -> Iterator[ChartFile]:
    """Every plot as PNG, with its title where it has none of its own. Needs matplotlib."""
    with styled():
        for name, title, draw in plots:
            figure = draw(language)
            first = figure.axes[0]
            if not first.get_title(loc="left"):
                first.set_title(translate(title, language), pad=16)
            yield ChartFile(name, title, png(figure))


def write_evaluation(view: EvaluationView, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write `report.html`, its pictures, `metrics.json` and its tables into `folder`: all of it, or nothing.

    The files, sorted. An earlier evaluation in the folder is replaced; other files there are left alone.
    """
    check_target(folder)
    pictures = tuple(drawn(view.plots, language))
    package, _, name = view.template.partition("/")
    environment = page_environment(f"tetkik.lab.{package}", language, pictures)
    page = environment.get_template(name).render(evaluation=view.evaluation, view=view)
    contents = {picture.name: picture.png for picture in pictures}
    figures = view.evaluation.as_json(language)
    texts = {name: text(language) for name, text in view.files.items()}
    texts["metrics.json"] = json.dumps(figures, ensure_ascii=False, indent=2, allow_nan=False) + "\n"
    texts[PAGE] = page
    return write_files(contents | {name: text.encode("utf-8") for name, text in texts.items()}, folder)


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return lines.getvalue()


def decimals(value: float) -> str:
    """Six decimals, as `predict --json` has them; empty for NaN."""
    return "" if math.isnan(value) else f"{value:.6f}"


def page_environment(package: str, language: Language, pictures: Sequence[ChartFile] = ()) -> Environment:
    """What renders the pages of `package`, which extend `page.html.jinja`, self-contained. Needs jinja2."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    # A label comes from a user's table and may hold anything: everything is escaped.
    environment = Environment(
        loader=FileSystemLoader([str(resources.files(name)) for name in (package, "tetkik.lab.engine")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["t"] = lambda template, **values: translate(template, language, **values)
    environment.globals["language"] = language
    environment.globals["disclaimer"] = DISCLAIMER[language.value]
    environment.globals["pictures"] = [
        (picture.name, translate(picture.title, language), base64.b64encode(picture.png).decode("ascii"))
        for picture in pictures
    ]
    environment.filters["parts"] = lambda value: cell_parts(value, language)
    environment.filters["say"] = lambda sentence: sentence.in_language(language)
    return environment
