"""The cleaning as one HTML page: counts before and after, the label table, conflicts, suspects, pictures."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tetkik.errors import MissingExtra
from tetkik.lab.engine.evaluation_page import page_environment
from tetkik.lab.engine.style import axes, styled
from tetkik.lab.triage.clean.summary import Summary
from tetkik.language import Language, translate

if TYPE_CHECKING:
    from jinja2 import Environment
    from matplotlib.figure import Figure

_EXAMPLES = 15
_SHOWN_LABELS = 40
_LONGEST = 260
"""Letters of a complaint shown in an example."""


def check_report() -> None:
    """Fail before the long work where writing the page would fail after it."""
    for module, package in (("matplotlib", "matplotlib"), ("jinja2", "jinja2"), ("bs4", "beautifulsoup4")):
        if find_spec(module) is None:
            raise MissingExtra("Cleaning needs {package}; run `pip install 'tetkik[data]'`.", package=package)


def write_report(summary: Summary, path: Path, language: Language) -> None:
    """Write the page to `path`; it needs nothing beside it. Needs jinja2 and matplotlib."""
    path.write_text(render(summary, language), encoding="utf-8", errors="backslashreplace")


def render(summary: Summary, language: Language) -> str:
    return (
        _environment(language)
        .get_template("report.html.jinja")
        .render(
            s=summary,
            pictures=pictures(summary, language),
            spellings={
                label.name: [(spelled, count) for spelled, count in label.spellings if spelled != label.name]
                for label in summary.labels
            },
            empty=[label.name for label in summary.labels if not label.read],
            examples=_EXAMPLES,
            shown=_SHOWN_LABELS,
        )
    )


def _environment(language: Language) -> Environment:
    environment = page_environment("tetkik.lab.triage.clean", language)
    environment.filters["n"] = lambda value: number(value, language)
    environment.filters["share"] = lambda value, whole: f"{100 * value / whole:.1f}" if whole else "0"
    environment.filters["decimal"] = lambda text: text.replace(".", ",") if language is Language.TR else text
    environment.filters["percent"] = lambda value: (
        f"%{100 * value:.0f}" if language is Language.TR else f"{100 * value:.0f}%"
    )
    environment.filters["brief"] = lambda text: (
        text if len(text) <= _LONGEST else text[:_LONGEST].rstrip() + " …"
    )
    environment.filters["file"] = lambda source: Path(source).name
    return environment


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: its title (an English template), and a data URI for each kind of page."""

    title: str
    light: str
    dark: str


@dataclass(frozen=True, slots=True)
class _Palette:
    ink: str
    muted: str
    pale: str
    main: str
    page: str


_LIGHT = _Palette("#22303c", "#8a949e", "#d9dee3", "#1f6f8b", "#ffffff")
_DARK = _Palette("#dfe5ea", "#8a96a1", "#35424d", "#5fb3cf", "#151b20")


def pictures(summary: Summary, language: Language) -> tuple[Picture, ...]:
    """Every picture that the summary allows. Needs matplotlib."""
    wanted: list[tuple[str, Callable[[Summary, _Palette, Language], Figure]]] = [
        ("Rows by department, before and after", _labels),
        ("Length of the complaints kept", _lengths),
    ]
    if summary.suspects:
        wanted.append(("Suspected labels: given and suggested", _suspects))
    return tuple(
        Picture(title, *(_uri(draw, summary, palette, language) for palette in (_LIGHT, _DARK)))
        for title, draw in wanted
    )


def _uri(
    draw: Callable[[Summary, _Palette, Language], Figure],
    summary: Summary,
    palette: _Palette,
    language: Language,
) -> str:
    # Glyphs as paths and fixed identifiers: the same table gives the same page everywhere.
    changes = {
        **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color"), palette.ink),
        "axes.edgecolor": palette.muted,
        "axes.facecolor": "none",
        "svg.fonttype": "path",
        "svg.hashsalt": "tetkik",
    }
    with styled(changes):
        figure = draw(summary, palette, language)
        file = io.BytesIO()
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return "data:image/svg+xml;base64," + base64.b64encode(file.getvalue()).decode("ascii")


def _labels(summary: Summary, palette: _Palette, language: Language) -> Figure:
    shown = [label for label in summary.labels if label.read or label.kept][:40][::-1]
    figure, plot = axes(9, 0.9 + 0.34 * len(shown), "constrained")
    places = np.arange(len(shown))
    read, kept = translate("read", language), translate("kept", language)
    plot.barh(places, [label.read for label in shown], 0.66, color=palette.pale, label=read)
    plot.barh(places, [label.kept for label in shown], 0.66, color=palette.main, label=kept)
    most = max((label.read for label in shown), default=1)
    for place, label in enumerate(shown):
        counts = number(label.kept, language)
        if label.kept != label.read:
            counts += " / " + number(label.read, language)
        end = max(label.read, label.kept) + most * 0.01
        plot.text(end, place, counts, va="center", fontsize=9)
    plot.set_yticks(places, [label.name[:40] for label in shown])
    plot.set_xlim(0, most * 1.16)
    plot.set_ylim(-0.6, len(shown) - 0.4)
    plot.tick_params(axis="y", length=0)
    plot.set_xticks([])
    plot.spines[["left", "bottom"]].set_visible(False)
    plot.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    return figure


def _lengths(summary: Summary, palette: _Palette, language: Language) -> Figure:
    from matplotlib.ticker import MaxNLocator

    figure, plot = axes(9, 2.8, "constrained")
    last = max(20, int(np.percentile(summary.words, 99)))
    plot.hist(np.minimum(summary.words, last), bins=min(60, last), range=(0, last), color=palette.main)
    median = int(np.median(summary.words))
    plot.axvline(median, color=palette.ink, linewidth=1, linestyle=(0, (4, 3)))
    plot.annotate(
        translate("median {count} words", language, count=median),
        (median, 1),
        xycoords=("data", "axes fraction"),
        xytext=(6, 0),
        textcoords="offset points",
        va="top",
        fontsize=9,
    )
    plot.set_xlabel(translate("words (the last bar: {count} and more)", language, count=last))
    plot.xaxis.set_major_locator(MaxNLocator(integer=True))
    plot.set_yticks([])
    plot.margins(y=0.16)
    plot.spines["left"].set_visible(False)
    plot.set_xlim(0, last)
    return figure


def _suspects(summary: Summary, palette: _Palette, language: Language) -> Figure:
    from matplotlib.colors import LinearSegmentedColormap

    pairs = Counter((item.row.label, item.suggested) for item in summary.suspects)
    present = {name for pair in pairs for name in pair}
    names = [label.name for label in summary.labels if label.name in present][:25]
    counts = np.array([[pairs[given, suggested] for suggested in names] for given in names])
    figure, plot = axes(min(9, 3 + 0.6 * len(names)), 1.6 + 0.36 * len(names), "constrained")
    shades = LinearSegmentedColormap.from_list("shades", [palette.page, palette.main])
    plot.imshow(np.sqrt(counts), cmap=shades, aspect="auto")
    dark = counts > 0.4 * max(1, counts.max())
    for row, column in zip(*np.nonzero(counts), strict=True):
        colour = palette.page if dark[row, column] else palette.ink
        plot.text(column, row, str(counts[row, column]), ha="center", va="center", fontsize=8, color=colour)
    short = [name if len(name) <= 22 else name[:21] + "…" for name in names]
    plot.set_xticks(range(len(names)), short, rotation=40, ha="right", rotation_mode="anchor", fontsize=8.5)
    plot.set_yticks(range(len(names)), short, fontsize=8.5)
    plot.set_xlabel(translate("suggested", language))
    plot.set_ylabel(translate("given", language))
    plot.tick_params(length=0)
    plot.spines[:].set_visible(False)
    return figure


def number(value: int, language: Language) -> str:
    """An integer with its thousands set apart: `12.345` in Turkish, `12,345` in English."""
    grouped = f"{value:,}"
    return grouped.replace(",", ".") if language is Language.TR else grouped
