"""The curves of a training as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tetkik.lab.engine.style import ACCENT, GREY, INK, MAIN, png, styled
from tetkik.lab.findings.training.trainer import Epoch
from tetkik.language import Language, translate

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def training_curves(epochs: Sequence[Epoch], language: Language) -> bytes:
    """Losses by epoch, and beside them the mean AUROC on validation where it was measured, as PNG.

    Each network (a fold, a member) is one line.

    Args:
        epochs: of all networks, in the order of their training.
    """
    from matplotlib.figure import Figure

    def say(template: str) -> str:
        return translate(template, language)

    held_out = any(row.mean_auroc is not None for row in epochs)
    with styled():
        figure = Figure(figsize=(9.5 if held_out else 6, 4))
        plots = figure.subplots(1, 2 if held_out else 1, squeeze=False)[0]
        training = [(row.run, row.epoch, row.training_loss) for row in epochs]
        _lines(plots[0], training, MAIN, say("training"))
        validation = [(r.run, r.epoch, r.validation_loss) for r in epochs if r.validation_loss is not None]
        _lines(plots[0], validation, ACCENT, say("validation"))
        plots[0].set(title=say("Loss"), xlabel=say("epoch"))
        plots[0].set_ylim(bottom=0)
        plots[0].legend()
        if held_out:
            areas = [(r.run, r.epoch, r.mean_auroc) for r in epochs if r.mean_auroc is not None]
            _lines(plots[1], areas, ACCENT, say("validation"))
            plots[1].axhline(0.5, color=GREY, linestyle=":", linewidth=1)
            plots[1].set(title=say("Mean AUROC"), xlabel=say("epoch"))
            best = max(areas, key=lambda item: item[2])
            plots[1].annotate(
                f"{best[2]:.3f}", best[1:], (0, 6), textcoords="offset points", ha="center", color=INK
            )
        for plot in plots:
            plot.xaxis.get_major_locator().set_params(integer=True)
        figure.tight_layout()
        return png(figure)


def _lines(plot: Axes, points: Sequence[tuple[str, int, float]], colour: str, name: str) -> None:
    """One line a network, all of one colour; the name stands once in the legend."""
    runs = list(dict.fromkeys(run for run, _, _ in points))
    for run in runs:
        own = [(epoch, value) for other, epoch, value in points if other == run]
        plot.plot(
            [epoch for epoch, _ in own],
            [value for _, value in own],
            color=colour,
            alpha=1.0 if len(runs) == 1 else 0.6,
            marker="o",
            markersize=3,
            label=name if run == runs[0] else None,
        )
