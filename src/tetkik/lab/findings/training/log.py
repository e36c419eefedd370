"""What a training leaves beside its bundle: the log, its curves, and every score that a figure came from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.card import rows_csv
from tetkik.lab.engine.evaluation_page import csv_text, decimals
from tetkik.lab.engine.style import ACCENT, GREY, INK, MAIN, png, styled
from tetkik.lab.findings.training.held_out import HeldOut
from tetkik.lab.findings.training.trainer import Epoch
from tetkik.language import Language, translate
from tetkik.settings import settings

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Fold = NDArray[np.int64] | None
"""(rows,), of all rows; None without folds."""


def write_log(
    folder: Path, epochs: Sequence[Epoch], held_out: HeldOut, names: Sequence[str], fold: _Fold
) -> None:
    """Write `epochs.csv`, `curves.png` and `scores.csv` into `folder`.

    They are not part of the bundle: the names of images may be those of a hospital.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "epochs.csv").write_text(rows_csv(epochs, Epoch), encoding="utf-8")
    (folder / "curves.png").write_bytes(training_curves(epochs, settings().language))
    (folder / "scores.csv").write_text(scores_csv(held_out, names, fold), encoding="utf-8")


def scores_csv(held_out: HeldOut, names: Sequence[str], fold: _Fold) -> str:
    """One row an image: what was known, the score, the calibrated probability and the call of each label.

    The columns are `file`, `source`, `group`, `fold` (empty without folds), then for each label `truth:L` (1,
    0, -1 unknown), `score:L`, `probability:L` and `called:L` (empty where not assessed). They are those of
    rows that the network had not learned, so every figure can be computed again from them.
    """
    kinds = ("truth", "score", "probability", "called")
    header = ["file", "source", "group", "fold"]
    lines = []
    for place, row in enumerate(held_out.rows.tolist()):
        group, part = int(held_out.groups[place]), "" if fold is None else int(fold[row])
        cells: list[object] = [names[row], held_out.source[place], group, part]
        for truth, score, probability, called in zip(
            held_out.truth[place].tolist(),
            held_out.scores[place].tolist(),
            held_out.probability[place].tolist(),
            held_out.called[place].tolist(),
            strict=True,
        ):
            cells += [truth, decimals(score), decimals(probability), "" if called < 0 else called]
        lines.append(cells)
    return csv_text([*header, *(f"{kind}:{label}" for label in held_out.labels for kind in kinds)], lines)


def training_curves(epochs: Sequence[Epoch], language: Language) -> bytes:
    """Losses by epoch, and beside them the mean AUROC on validation where it was measured, as PNG.

    Each network (a fold, a member) is one line.
    """
    from matplotlib.figure import Figure

    def say(template: str) -> str:
        return translate(template, language)

    areas = [(row.epoch, row.mean_auroc) for row in epochs if row.mean_auroc is not None]
    with styled():
        figure = Figure(figsize=(9.5 if areas else 6, 4))
        plots = figure.subplots(1, 2 if areas else 1, squeeze=False)[0]
        _lines(plots[0], epochs, "training_loss", MAIN, say("training"))
        _lines(plots[0], epochs, "validation_loss", ACCENT, say("validation"))
        plots[0].set(title=say("Loss"), xlabel=say("epoch"))
        plots[0].set_ylim(bottom=0)
        plots[0].legend()
        if areas:
            _lines(plots[1], epochs, "mean_auroc", ACCENT, say("validation"))
            plots[1].axhline(0.5, color=GREY, linestyle=":", linewidth=1)
            plots[1].set(title=say("Mean AUROC"), xlabel=say("epoch"))
            best = max(areas, key=lambda item: item[1])
            plots[1].annotate(
                f"{best[1]:.3f}", best, (0, 6), textcoords="offset points", ha="center", color=INK
            )
        for plot in plots:
            plot.xaxis.get_major_locator().set_params(integer=True)
        figure.tight_layout()
        return png(figure)


def _lines(plot: Axes, epochs: Sequence[Epoch], figure: str, colour: str, name: str) -> None:
    """One line a network, all of one colour; the name stands once in the legend."""
    known = [row for row in epochs if getattr(row, figure) is not None]
    runs = list(dict.fromkeys(row.run for row in known))
    for run in runs:
        own = [(row.epoch, getattr(row, figure)) for row in known if row.run == run]
        alpha, label = (1.0 if len(runs) == 1 else 0.6), (name if run == runs[0] else None)
        plot.plot(*zip(*own, strict=True), color=colour, alpha=alpha, marker="o", markersize=3, label=label)
