"""An evaluation in words: what a person should take from the figures, and the warnings before all praise."""

from __future__ import annotations

from collections.abc import Iterator

from tetkik.lab.caption.figures import SYSTEM_NAMES, CaptionEvaluation, System
from tetkik.lab.caption.metrics.scores import METRIC_NAMES
from tetkik.lab.caption.prepared import Split
from tetkik.lab.engine.results import around, bracket
from tetkik.language import Sentence

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
    values = {
        "metric": METRIC_NAMES[name],
        "system": SYSTEM_NAMES[system.name],
        "over": figure.over or 0.0,
        "low": figure.over_ci.low if figure.over_ci else 0.0,
        "high": figure.over_ci.high if figure.over_ci else 0.0,
    }
    if figure.over_ci is None:
        return Sentence(
            "{metric}: {over:+.3f} against {system}; it has no interval.",
            {name: values[name] for name in ("metric", "over", "system")},
        )
    if figure.over_ci.low > 0:
        return Sentence("{metric}: better than {system} by {over:.3f} [{low:.3f}, {high:.3f}].", values)
    if figure.over_ci.high < 0:
        return Sentence(
            "Warning, {metric}: worse than {system} by {over:+.3f} [{low:.3f}, {high:.3f}].", values
        )
    return Sentence(
        "{metric}: not shown to be better than {system} ({over:+.3f} [{low:.3f}, {high:.3f}]).", values
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
