"""The pictures of an evaluation, as PNG: calm, with Turkish letters, readable at a glance."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tetkik.language import Language, translate
from tetkik.triage.figures import Evaluation
from tetkik.triage.metrics import Floats, accuracy_by_coverage, roc_curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _GREY, _PALE = "#22303c", "#8a949e", "#d9dee3"
_MAIN, _SECOND = "#1f6f8b", "#d1603d"
_STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib and has ğ, ş, ı, İ
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _GREY,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}
_DPI = 144
_WRAP = 18
"""Characters of a label on one line."""
_BINS = 15
_SHADE = 0.6
"""A power under 1 keeps a few errors visible beside hundreds of hits."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture: its file name, its title (an English template) and its bytes (PNG)."""

    name: str
    title: str
    png: bytes


def pictures(evaluation: Evaluation, language: Language) -> tuple[Picture, ...]:
    """Every picture that the evaluation allows; ROC and calibration need readable texts. Needs matplotlib.

    Args:
        evaluation: what was found.
        language: of titles and axes.
    """
    wanted: list[tuple[str, str, Callable[[Evaluation, Language], Figure]]] = [
        ("confusion.png", "Confusion matrix, complaints", _confusion_counts),
        ("confusion_normalised.png", "Confusion matrix, share of each department (%)", _confusion_shares),
        ("per_label.png", "F1 of each department", _per_label),
    ]
    if evaluation.judged.answered.any():
        wanted.append(("calibration.png", "Calibration", _calibration))
    wanted.append(("coverage.png", "Accuracy against coverage", _coverage))
    if any(figures and figures.auroc is not None for figures in evaluation.per_label.values()):
        wanted.append(("roc.png", "ROC curves, one department against the rest", _roc))
    with _drawing():
        return tuple(Picture(name, title, _png(draw(evaluation, language))) for name, title, draw in wanted)


@contextmanager
def _drawing() -> Iterator[None]:
    import matplotlib as mpl

    with mpl.rc_context():
        # A user's matplotlibrc must not change the pictures.
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def _png(figure: Figure) -> bytes:
    buffer = io.BytesIO()
    # No software version in the file: the same evaluation gives the same bytes with the same matplotlib.
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def _axes(width: float, height: float) -> tuple[Figure, Axes]:
    # Not pyplot: it keeps figures alive and chooses a backend of its own.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height))
    return figure, figure.add_subplot()


def _wrapped(label: str) -> str:
    return "\n".join(textwrap.wrap(label, _WRAP, break_long_words=False))


def _confusion_counts(evaluation: Evaluation, language: Language) -> Figure:
    counts = evaluation.judged.confusion.astype(np.float64)
    shade = (counts / max(counts.max(), 1.0)) ** _SHADE
    return _matrix(evaluation, language, "Confusion matrix, complaints", counts, shade)


def _confusion_shares(evaluation: Evaluation, language: Language) -> Figure:
    counts = evaluation.judged.confusion.astype(np.float64)
    # Of all complaints of the department, answered or not: the diagonal is its recall.
    shares = 100 * counts / np.maximum(evaluation.judged.support[:, None], 1)
    title = "Confusion matrix, share of each department (%)"
    return _matrix(evaluation, language, title, shares, (shares / 100) ** _SHADE)


def _matrix(evaluation: Evaluation, language: Language, title: str, values: Floats, shade: Floats) -> Figure:
    labels = evaluation.judged.labels
    size = 3.2 + 0.52 * len(labels)
    figure, axes = _axes(size, size * 0.92)
    axes.imshow(shade, cmap=_shades(), vmin=0, vmax=1)
    for row, column in np.argwhere(values >= 0.5).tolist():
        colour = "white" if shade[row, column] > 0.6 else _INK
        weight = "bold" if row == column else "normal"
        text = f"{values[row, column]:.0f}"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=9, fontweight=weight)
    support = evaluation.judged.support
    axes.set_xticks(range(len(labels)), [_wrapped(label) for label in labels], rotation=60, ha="right")
    axes.tick_params(axis="x", labelrotation=60)
    for tick in axes.get_xticklabels():
        tick.set_rotation_mode("anchor")
    rows = [f"{_wrapped(label)} ({n})" for label, n in zip(labels, support.tolist(), strict=True)]
    axes.set_yticks(range(len(labels)), rows)
    axes.set_xticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(len(labels) - 1) + 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_title(translate(title, language))
    axes.set_xlabel(translate("department named by the model", language), labelpad=10)
    axes.set_ylabel(translate("true department (complaints)", language), labelpad=10)
    return figure


def _shades() -> Any:
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("tetkik", ["#f4f6f8", "#9cc5d3", _MAIN, "#0d3b4c"])


def _per_label(evaluation: Evaluation, language: Language) -> Figure:
    present = [figures for figures in evaluation.per_label.values() if figures]
    present.sort(key=lambda figures: figures.f1)
    figure, axes = _axes(8, 1.4 + 0.38 * len(present))
    places = np.arange(len(present))
    axes.barh(places, [figures.f1 for figures in present], color=_MAIN, height=0.62)
    for place, figures in zip(places.tolist(), present, strict=True):
        if interval := figures.ci["f1"]:
            axes.plot([interval.low, interval.high], [place, place], "|-", color=_INK, linewidth=1.4)
        inside = figures.f1 > 0.1
        axes.text(
            0.012 if inside else figures.f1 + 0.012,
            place,
            f"{figures.f1:.2f}",
            va="center",
            fontsize=9,
            color="white" if inside else _INK,
        )
    top = len(present) - 0.4
    axes.plot([evaluation.macro_f1] * 2, [-0.6, top], color=_SECOND, linewidth=1.2, linestyle="--", zorder=0)
    mean = translate("macro-F1 {value:.2f}", language, value=evaluation.macro_f1)
    axes.text(evaluation.macro_f1, top, mean, color=_SECOND, ha="center", va="bottom", fontsize=9)
    axes.set_yticks(places, [f"{figures.label} ({figures.support})" for figures in present])
    axes.set_xlim(0, 1.01)
    axes.set_ylim(-0.6, len(present) + 0.2)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_title(translate("F1 of each department", language), pad=16)
    axes.set_xlabel(translate("F1, with its 95% interval (in brackets: complaints)", language))
    return figure


def _calibration(evaluation: Evaluation, language: Language) -> Figure:
    from matplotlib.figure import Figure

    answered = evaluation.judged.answered
    confidence = evaluation.judged.confidence[answered]
    correct = evaluation.judged.correct[answered]
    order = np.argsort(confidence, kind="stable")
    bins = [part for part in np.array_split(order, _BINS) if len(part)]
    claimed = np.array([confidence[part].mean() for part in bins])
    right = np.array([correct[part].mean() for part in bins])
    figure = Figure(figsize=(6, 7.6))
    # The upper axes are a square of 5 inches: the diagonal is at 45 degrees and both have one scale.
    above = figure.add_axes((0.12, 0.3, 5 / 6, 5 / 7.6))
    below = figure.add_axes((0.12, 0.08, 5 / 6, 0.17), sharex=above)
    above.tick_params(labelbottom=False)
    above.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
    above.vlines(claimed, np.minimum(claimed, right), np.maximum(claimed, right), color=_PALE, linewidth=5)
    above.plot(claimed, right, "o-", color=_MAIN, linewidth=1.6, markersize=6, clip_on=False)
    above.text(0.04, 0.95, translate("too cautious", language), color=_GREY, fontsize=9, va="top")
    above.text(0.96, 0.05, translate("too sure", language), color=_GREY, fontsize=9, ha="right")
    above.set(xlim=(0, 1), ylim=(0, 1))
    above.set_ylabel(translate("share that is right", language))
    ece = "" if evaluation.ece is None else f" · ECE {evaluation.ece:.3f}"
    above.set_title(translate("Calibration", language) + ece)
    below.hist(confidence, bins=np.linspace(0, 1, 21).tolist(), color=_PALE, edgecolor="white")
    below.set_xlabel(translate("probability of the first department", language))
    below.set_ylabel(translate("complaints", language))
    return figure


def _coverage(evaluation: Evaluation, language: Language) -> Figure:
    judged = evaluation.judged
    curve = accuracy_by_coverage(judged.confidence, judged.correct)
    share = np.arange(1, len(curve) + 1) / len(curve)
    # The first few complaints alone say nothing and would set the scale.
    shown = share >= min(0.05, share[-1])
    figure, axes = _axes(7, 4.6)
    axes.plot(share[shown], curve[shown], color=_MAIN, linewidth=2)
    for point in evaluation.coverage.points:
        if point.coverage in {1.0, 0.8, 0.5}:
            axes.plot([point.coverage], [point.accuracy], "o", color=_MAIN, markersize=6)
            axes.annotate(
                f"{point.accuracy:.3f}",
                (point.coverage, point.accuracy),
                xytext=(7, 5) if point.coverage < 1 else (-8, -4),
                textcoords="offset points",
                ha="left" if point.coverage < 1 else "right",
                va="bottom" if point.coverage < 1 else "top",
                fontsize=9,
            )
    if evaluation.abstain and evaluation.abstain.accuracy is not None:
        own = translate(
            "the model's own threshold ({value:.2f})", language, value=evaluation.abstain.threshold
        )
        place = (evaluation.abstain.coverage, evaluation.abstain.accuracy)
        axes.plot(*place, "D", color=_SECOND, markersize=7, label=own)
        axes.legend(loc="lower left")
    low = min(float(curve[shown].min()), evaluation.accuracy)
    axes.set(xlim=(0, 1.02), ylim=(max(0.0, low - 0.08), 1.01))
    axes.grid(axis="y", color=_PALE, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.set_title(translate("Accuracy against coverage", language))
    axes.set_xlabel(translate("share of complaints answered, the surest first", language))
    axes.set_ylabel(translate("accuracy", language))
    return figure


def _roc(evaluation: Evaluation, language: Language) -> Figure:
    judged = evaluation.judged
    answered = judged.answered
    known = [
        (index, figures)
        for index, figures in enumerate(evaluation.per_label.values())
        if figures and figures.auroc is not None
    ]
    known.sort(key=lambda item: -(item[1].auroc or 0.0))
    figure, axes = _axes(9.4, 6)
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
    for place, (index, figures) in enumerate(known):
        false, true = roc_curve(judged.probabilities[answered, index], judged.truth[answered] == index)
        axes.plot(
            false, true, linewidth=1.5, color=_colour(place), linestyle=("-", "--", ":")[place // 10 % 3],
            label=f"{figures.auroc:.3f}  {figures.label}",
        )  # fmt: skip
    axes.set_aspect("equal")
    axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.set_title(translate("ROC curves, one department against the rest", language))
    axes.set_xlabel(translate("share of other complaints wrongly taken in", language))
    axes.set_ylabel(translate("share of its complaints found", language))
    axes.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), title="AUROC", fontsize=9, alignment="left")
    return figure


def _colour(place: int) -> str:
    from matplotlib import colormaps
    from matplotlib.colors import to_hex

    return to_hex(colormaps["tab10"](place % 10))
