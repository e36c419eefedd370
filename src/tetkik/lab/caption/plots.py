"""The pictures of an evaluation of a captioner. Needs matplotlib."""

from __future__ import annotations

import numpy as np

from tetkik.lab.caption.figures import MODEL, NEAREST, CaptionEvaluation
from tetkik.lab.engine.style import ACCENT, GREY, MAIN, Picture, axes, png, styled
from tetkik.language import Language, translate

LENGTHS = "lengths.png"
_BINS = 30
_SHOWN = 97
"""Percentile of the lengths at which the picture ends."""


def pictures(evaluation: CaptionEvaluation, language: Language) -> tuple[Picture, ...]:
    """Every picture, drawn in `language`."""
    with styled():
        return (_lengths(evaluation, language),)


def _lengths(evaluation: CaptionEvaluation, language: Language) -> Picture:
    """How many words captions have: the model's as bars, true ones and the neighbours' as lines."""
    title = "Words in a caption"
    by_name = {system.name: system.scores.candidates.lengths for system in evaluation.systems}
    series = {
        "captions of the model": by_name[MODEL],
        "true captions": evaluation.judged.scores.references.lengths,
    }
    if NEAREST in by_name:
        series["captions of the nearest training images"] = by_name[NEAREST]
    longest = max(int(np.percentile(lengths, _SHOWN)) for lengths in series.values())
    width = max(1, -(-(longest + 1) // _BINS))
    # The last place holds all that is longer.
    edges = np.arange(0, longest + width + 1, width)
    figure, plot = axes(8, 4.2)
    for (name, lengths), colour in zip(series.items(), (MAIN, ACCENT, GREY), strict=False):
        shares = 100 * np.histogram(np.minimum(lengths, longest), edges)[0] / len(lengths)
        label = f"{translate(name, language)} (n = {len(lengths)})"
        if colour == MAIN:
            plot.bar(edges[:-1], shares, width=width * 0.92, align="edge", color=MAIN, label=label, zorder=1)
        else:
            plot.stairs(shares, edges, color=colour, linewidth=1.8, label=label, zorder=3)
    plot.set_title(translate(title, language))
    plot.set_xlabel(translate("words; the last step holds all longer captions", language))
    plot.set_ylabel(translate("% of the captions", language))
    plot.legend()
    return Picture(LENGTHS, title, png(figure))
