"""The page, pictures and captions of an evaluation of a captioner."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from tetkik.lab.caption.figures import (
    CONSTANT,
    MODEL,
    NEAREST,
    SYSTEM_NAMES,
    CaptionEvaluation,
    ExampleKind,
    System,
)
from tetkik.lab.caption.metrics.scores import METRIC_NAMES, METRICS, Wording
from tetkik.lab.caption.prepared import Split
from tetkik.lab.engine import charts as engine
from tetkik.lab.engine.charts import ACCENT, GREY, MAIN, axes
from tetkik.lab.engine.figure_tables import Cell, Columns, EvaluationView, FigureTable, bracket, signed
from tetkik.lab.engine.results import around, ends
from tetkik.language import Language, Sentence, translate
from tetkik.statistics import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tetkik.lab.caption.figures import Example


# An evaluation in words: what a person should take from the figures, and the warnings before all praise.


COLLAPSED = 0.2
"""Under this share of distinct captions a captioner is said to repeat itself, where true captions do not."""
REPEATED = (
    "Warning: only {made:.0f}% of the captions are distinct ({true:.0f}% of the true ones): the "
    "model says the same of many images, and word overlap still rewards it."
)
_EMPTY = 0.01
_LENGTHS = 1.5
"""How many times longer or shorter captions are than true ones before it is said."""
_PROOF = ("cider", "rouge_l")


def interpret(evaluation: CaptionEvaluation) -> tuple[Sentence, ...]:
    """What the figures say, warnings first."""
    learned = evaluation.provenance.learned
    return (
        *around(
            (*_rows(evaluation), *_collapse(evaluation), *_headline(evaluation)),
            [learned] if learned is not None else [],
            [evaluation.model],
        ),
        *(
            _against(system, name)
            for system in evaluation.systems[1:]
            for name in _PROOF
            if name in system.figures
        ),
        *_wording(evaluation),
        *_concepts(evaluation),
    )


def _rows(evaluation: CaptionEvaluation) -> Iterator[Sentence]:
    provenance = evaluation.provenance
    if provenance.split is Split.VALID:
        yield Sentence(
            "Warning: these are validation rows, on which the training chose its epoch and perhaps its "
            "settings; the figures are better than on new images."
        )
    elif provenance.split is Split.TRAIN:
        yield Sentence("Warning: these are training rows; the figures say nothing of new images.")
    if provenance.limit:
        yield Sentence(
            "{n} of {total} rows were drawn at random; CIDEr depends on the number of rows, so compare it "
            "only with figures on the same ones.",
            {"n": len(evaluation), "total": provenance.total - provenance.left_out},
        )


def _collapse(evaluation: CaptionEvaluation) -> Iterator[Sentence]:
    made, true = evaluation.judged.scores.candidates, evaluation.judged.scores.references
    if len(evaluation) > 1 and made.distinct < COLLAPSED and made.distinct < true.distinct:
        yield Sentence(
            REPEATED,
            {"made": 100 * made.distinct, "true": 100 * true.distinct},
        )
    if made.empty > _EMPTY:
        yield Sentence(
            "Warning: {empty:.0f}% of the captions are without a word.", {"empty": 100 * made.empty}
        )


def _headline(evaluation: CaptionEvaluation) -> Iterator[Sentence]:
    figures = evaluation.judged.figures
    if not set(_PROOF) <= set(figures):
        return
    yield Sentence(
        "On {n} images of {groups} cases or articles CIDEr is {cider:.3f}{cider_ci} and ROUGE-L {rouge:.3f}"
        "{rouge_ci}; brackets are 95% intervals.",
        {
            "n": len(evaluation),
            "groups": evaluation.groups,
            "cider": figures["cider"].value,
            "cider_ci": bracket(figures["cider"].ci, "{:.3f}"),
            "rouge": figures["rouge_l"].value,
            "rouge_ci": bracket(figures["rouge_l"].ci, "{:.3f}"),
        },
    )


def _against(system: System, name: str) -> Sentence:
    figure = system.figures[name]
    interval = figure.over_ci
    return Sentence(
        "{metric}: {over:+.3f} against {system}; it has no interval."
        if interval is None
        else "{metric}: better than {system} by {over:.3f} [{low:.3f}, {high:.3f}]."
        if interval.low > 0
        else "Warning, {metric}: worse than {system} by {over:+.3f} [{low:.3f}, {high:.3f}]."
        if interval.high < 0
        else "{metric}: not shown to be better than {system} ({over:+.3f} [{low:.3f}, {high:.3f}]).",
        {
            "metric": METRIC_NAMES[name],
            "system": SYSTEM_NAMES[system.name],
            "over": figure.over or 0.0,
            **ends(interval),
        },
    )


def _wording(evaluation: CaptionEvaluation) -> Iterator[Sentence]:
    made, true = evaluation.judged.scores.candidates, evaluation.judged.scores.references
    yield Sentence(
        "Captions have {made:.0f} words in the median, true ones {true:.0f}; {distinct:.0f}% are distinct.",
        {"made": made.median, "true": true.median, "distinct": 100 * made.distinct},
    )
    if made.median and true.median and not 1 / _LENGTHS < made.median / true.median < _LENGTHS:
        yield Sentence(
            "Their length is far from that of true captions, which alone lowers BLEU and CIDEr; see "
            "--length-penalty and --max-tokens."
        )


def _concepts(evaluation: CaptionEvaluation) -> Iterator[Sentence]:
    figure = evaluation.judged.figures.get("concept_f1")
    if figure is not None and evaluation.ceiling is not None:
        yield Sentence(
            "Concept F1 is {value:.3f}; names are looked up in the text, and the true captions themselves "
            "reach {ceiling:.3f} that way.",
            {"value": figure.value, "ceiling": evaluation.ceiling},
        )


_QUALITY = 82
LENGTHS = "lengths.png"
_BINS = 30
_SHOWN = 97
"""Percentile of the lengths at which the picture ends."""
_CARDS = ("cider", "rouge_l", "bleu1", "meteor", "bertscore", "concept_f1")
_KINDS = {
    ExampleKind.BEST: Sentence("Best"),
    ExampleKind.WORST: Sentence("Worst"),
    ExampleKind.RANDOM: Sentence("Drawn at random"),
}


@dataclass(frozen=True, slots=True)
class ImageCard:
    """What the page shows of one image: its JPEG in base64, its captions; `near` None without baselines."""

    id: str
    jpeg: str
    true: str
    made: str
    near: str | None
    figures: tuple[tuple[str, float], ...]


_WORDED: Columns[tuple[Sentence, Wording]] = {
    "captions": lambda one: one[0],
    "distinct": lambda one: Cell(one[1].distinct, form="{:.1%}"),
    "distinct-1": lambda one: one[1].distinct_1,
    "distinct-2": lambda one: one[1].distinct_2,
    "words, median": lambda one: Cell(one[1].median, form="{:.0f}"),
    "quartiles": lambda one: Cell(Interval(*one[1].quartiles), form="{:.0f}"),
    "longest": lambda one: one[1].longest,
    "empty": lambda one: Cell(one[1].empty, form="{:.1%}"),
}


def view(evaluation: CaptionEvaluation) -> EvaluationView:
    """What page and console show of it."""
    model, *baselines = evaluation.systems
    names = [name for name in METRICS if any(name in system.figures for system in evaluation.systems)]
    metric: Columns[str] = {"metric": lambda name: Sentence(METRIC_NAMES[name])}
    constant = [{"caption": one.captions[0]} for one in baselines if one.name == CONSTANT]
    text = "The one caption for all, chosen on the training rows: {caption}"
    one_for_all = Sentence(text, constant[0]) if constant else None
    return EvaluationView(
        evaluation=evaluation,
        counts=(
            evaluation.data,
            evaluation.provenance.split.value,
            Sentence("{n} images", {"n": len(evaluation)}),
            Sentence("{n} cases or articles", {"n": evaluation.groups}),
        ),
        headline=[
            (Sentence(METRIC_NAMES[name]), _value(model, name))
            for name in METRICS
            if name in _CARDS and name in model.figures
        ],
        tables=(
            FigureTable.of(
                Sentence("The model and what it must beat"),
                {**metric, **{_title(system): partial(_value, system) for system in evaluation.systems}},
                names,
                one_for_all,
            ),
            FigureTable.of(
                Sentence("The model less its baselines"),
                {**metric, **{_title(system): partial(_over, system) for system in baselines}},
                names if baselines else (),
            ),
            FigureTable.of(
                Sentence("How the captions are worded"),
                _WORDED,
                [
                    (Sentence("true captions"), model.scores.references),
                    *((SYSTEM_NAMES[one.name], one.scores.candidates) for one in evaluation.systems),
                ],
            ),
        ),
        plots=[(LENGTHS, "Words in a caption", partial(_lengths, evaluation))],
        files={"captions.csv": lambda _: captions_csv(evaluation)},
        template="caption/caption.html.jinja",
        more=lambda: _sections(evaluation),
        method=Sentence(
            "BLEU, ROUGE-L, METEOR and CIDEr are those of pycocoevalcap; ROUGE-1 (F) and ROUGE-L (F) those "
            "of rouge-score. CIDEr weighs words by how rare they are among the references of this very "
            "evaluation, so figures of other rows are not comparable. Best and worst are by CIDEr of the "
            "image, then by ROUGE-L. Intervals are the middle 95% of {replicates} draws of whole cases or "
            "articles (seed {seed}), for differences the same draws on both sides.",
            {"replicates": evaluation.replicates, "seed": evaluation.seed},
        ),
        kind=Sentence("Evaluation of captions"),
    )


def _title(system: System) -> str:
    return SYSTEM_NAMES[system.name].template


def _value(system: System, name: str) -> Cell | None:
    figure = system.figures.get(name)
    return Cell(figure.value, figure.ci) if figure else None


def _over(system: System, name: str) -> Cell | None:
    figure = system.figures.get(name)
    return signed(figure.over, figure.over_ci) if figure else None


def _sections(evaluation: CaptionEvaluation) -> list[tuple[Sentence, list[ImageCard]]]:
    """The examples of each kind. Needs Pillow."""
    return [
        (title, [_card(evaluation, example) for example in evaluation.examples if example.kind is kind])
        for kind, title in _KINDS.items()
    ]


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


def _card(evaluation: CaptionEvaluation, example: Example) -> ImageCard:
    from PIL import Image

    near = next((system for system in evaluation.systems if system.name == NEAREST), None)
    measures = evaluation.judged.scores.measures
    buffer = io.BytesIO()
    Image.fromarray(example.square).save(buffer, format="JPEG", quality=_QUALITY)
    return ImageCard(
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
    plot.set_xlabel(translate("words; the last step holds all longer captions", language))
    plot.set_ylabel(translate("% of the captions", language))
    plot.legend()
    return figure
