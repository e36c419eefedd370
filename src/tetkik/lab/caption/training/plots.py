"""The curves of a training as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tetkik.lab.caption.training.epoch import Epoch
from tetkik.lab.engine.style import ACCENT, GREY, INK, MAIN, png, styled
from tetkik.language import Language, translate

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def training_curves(epochs: Sequence[Epoch], best_epoch: int, language: Language) -> bytes:
    """Losses by epoch, and CIDEr and ROUGE-L on validation where they were measured, as PNG.

    A line marks `best_epoch`, whose weights were kept; 0 for the last, without a mark.
    """
    from matplotlib.figure import Figure

    def say(template: str) -> str:
        return translate(template, language)

    ciders = [(row.epoch, row.cider) for row in epochs if row.cider is not None]
    rouges = [(row.epoch, row.rouge_l) for row in epochs if row.rouge_l is not None]
    losses = [(row.epoch, row.validation_loss) for row in epochs if row.validation_loss is not None]
    with styled():
        figure = Figure(figsize=(13, 4) if ciders else (6, 4))
        plots = figure.subplots(1, 3 if ciders else 1, squeeze=False)[0]
        _line(plots[0], [(row.epoch, row.training_loss) for row in epochs], MAIN, say("training"))
        _line(plots[0], losses, ACCENT, say("validation"))
        plots[0].set(title=say("Loss a token (nats)"))
        plots[0].legend()
        if ciders:
            _line(plots[1], ciders, ACCENT, None)
            plots[1].set(title=say("CIDEr on validation"))
            _line(plots[2], rouges, ACCENT, None)
            plots[2].set(title=say("ROUGE-L on validation"))
        for plot in plots:
            plot.set_xlabel(say("epoch"))
            plot.xaxis.get_major_locator().set_params(integer=True)
            if best_epoch:
                plot.axvline(best_epoch, color=GREY, linestyle=":", linewidth=1, zorder=0)
        for plot, points in zip(plots[1:], (ciders, rouges), strict=False):
            plot.set_ylim(bottom=0)
            top = max(points, key=lambda point: point[1])
            plot.annotate(f"{top[1]:.3f}", top, (0, 6), textcoords="offset points", ha="center", color=INK)
        figure.tight_layout()
        return png(figure)


def _line(plot: Axes, points: Sequence[tuple[int, float]], colour: str, name: str | None) -> None:
    if points:
        x, y = zip(*points, strict=True)
        plot.plot(x, y, color=colour, marker="o", markersize=3, label=name)
