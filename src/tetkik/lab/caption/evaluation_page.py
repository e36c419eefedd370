"""The page, pictures and captions of an evaluation of a captioner."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tetkik.lab.caption.figures import MODEL, NEAREST, SYSTEM_NAMES, CaptionEvaluation, ExampleKind
from tetkik.lab.caption.metrics.scores import METRIC_NAMES, METRICS
from tetkik.lab.engine import charts as engine
from tetkik.lab.engine.charts import ACCENT, GREY, MAIN, axes, check_target
from tetkik.language import Language, Sentence, translate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tetkik.lab.caption.figures import Example

_QUALITY = 82
LENGTHS = "lengths.png"
_BINS = 30
_SHOWN = 97
"""Percentile of the lengths at which the picture ends."""
_WORDS = "Words in a caption"
_KINDS = {
    ExampleKind.BEST: Sentence("Best"),
    ExampleKind.WORST: Sentence("Worst"),
    ExampleKind.RANDOM: Sentence("Drawn at random"),
}


@dataclass(frozen=True, slots=True)
class Card:
    """What the page shows of one image: its JPEG in base64, its captions; `near` None without baselines."""

    id: str
    jpeg: str
    true: str
    made: str
    near: str | None
    figures: tuple[tuple[str, float], ...]


def write_evaluation(evaluation: CaptionEvaluation, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write everything about `evaluation` into `folder`; the files, sorted. Needs Pillow."""
    check_target(folder)
    return engine.write_evaluation(
        evaluation,
        folder,
        language,
        template="caption/caption.html.jinja",
        pictures=engine.drawn(evaluation, [(LENGTHS, _WORDS, _lengths)], language),
        table=("captions.csv", captions_csv(evaluation)),
        metrics=[
            (METRIC_NAMES[name], name)
            for name in METRICS
            if any(name in system.figures for system in evaluation.systems)
        ],
        systems=[(SYSTEM_NAMES[system.name], system) for system in evaluation.systems],
        sections=[
            (title, [_card(evaluation, example) for example in evaluation.examples if example.kind is kind])
            for kind, title in _KINDS.items()
        ],
    )


def captions_csv(evaluation: CaptionEvaluation) -> str:
    """Row by row: id, the true caption, the model's and its confidence, the neighbour's, each metric."""
    near = next((system.captions for system in evaluation.systems if system.name == NEAREST), None)
    measures = evaluation.judged.scores.measures.values()
    head = ["id", "true_caption", "caption", "confidence", *(["nearest_caption"] if near else [])]
    rows = [
        [
            name,
            evaluation.references[row],
            evaluation.judged.captions[row],
            engine.decimals(float(evaluation.confidence[row])),
            *([near[row]] if near else []),
            *(engine.decimals(float(measure.rows[row])) for measure in measures),
        ]
        for row, name in enumerate(evaluation.ids)
    ]
    return engine.csv_text([*head, *(measure.name for measure in measures)], rows)


def _card(evaluation: CaptionEvaluation, example: Example) -> Card:
    from PIL import Image

    near = next((system for system in evaluation.systems if system.name == NEAREST), None)
    measures = evaluation.judged.scores.measures
    buffer = io.BytesIO()
    Image.fromarray(example.square).save(buffer, format="JPEG", quality=_QUALITY)
    return Card(
        id=evaluation.ids[example.row],
        jpeg=base64.b64encode(buffer.getvalue()).decode("ascii"),
        true=evaluation.references[example.row],
        made=evaluation.judged.captions[example.row],
        near=near.captions[example.row] if near else None,
        figures=tuple(
            (METRIC_NAMES[name], float(measures[name].rows[example.row]))
            for name in ("cider", "rouge_l")
            if name in measures
        ),
    )


def _lengths(evaluation: CaptionEvaluation, language: Language) -> Figure:
    """How many words captions have: the model's as bars, true ones and the neighbours' as lines."""
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
    plot.set_title(translate(_WORDS, language))
    plot.set_xlabel(translate("words; the last step holds all longer captions", language))
    plot.set_ylabel(translate("% of the captions", language))
    plot.legend()
    return figure
