"""The page, pictures and predictions of an evaluation of findings."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tetkik.lab.engine import charts as engine
from tetkik.lab.engine.charts import (
    Bar,
    Curve,
    Picture,
    Plot,
    bar_chart,
    check_target,
    confusion_chart,
    curve_chart,
    diverging,
    drawn,
    matrix_chart,
    plot_reliability,
    wrapped,
)
from tetkik.lab.findings.interpretation import ROUTES
from tetkik.lab.findings.summaries import DIMENSIONS, LEAST_EXPECTED, CoOccurrence, Evaluation, LabelFigures
from tetkik.language import Language, translate
from tetkik.statistics import Bools, Floats, precision_recall_curve, reliability, roc_curve
from tetkik.values import Route, label_name

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 10
_ACROSS = 4
_TRUE = "Findings that stand together, truth"
_CALLED = "Findings that are called together, model"
_MOST = 3.0
"""Powers of two at which the colours of the co-occurrence end."""


def write_evaluation(evaluation: Evaluation, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write all but names of files and numbers of patients into `folder`; the files, sorted."""
    check_target(folder)
    return engine.write_evaluation(
        evaluation,
        folder,
        language,
        template="findings/findings.html.jinja",
        pictures=pictures(evaluation, language),
        table=("predictions.csv", predictions_csv(evaluation)),
        labels=_ranked(evaluation),
        name_of=lambda label: label_name(label, language),
        route_name=lambda route: ROUTES[Route(route)].in_language(language),
        dimensions=DIMENSIONS,
    )


def predictions_csv(evaluation: Evaluation) -> str:
    """Image by image: the file's hash, its group and source, and for each label truth, score, probability.

    Enough to compute every figure again. An empty cell is an unknown truth, or a label not assessed.
    """
    judged = evaluation.judged
    columns = [f"{label}:{what}" for label in judged.labels for what in ("truth", "score", "probability")]
    # Numbers of their own: those of the table may be derived from patients' numbers.
    groups = np.unique(judged.groups, return_inverse=True)[1].tolist()
    rows = []
    for row in range(len(judged)):
        cells: list[object] = [judged.sha256[row], groups[row], judged.source[row]]
        cells.append(engine.decimals(float(judged.screen[row])))
        for truth, score, probability in zip(
            judged.truth[row].tolist(),
            judged.scores[row].tolist(),
            judged.probabilities[row].tolist(),
            strict=True,
        ):
            known = "" if truth < 0 else truth
            cells += [known, engine.decimals(score), engine.decimals(probability)]
        rows.append(cells)
    return engine.csv_text(["sha256", "group", "source", "screen", *columns], rows)


def pictures(evaluation: Evaluation, language: Language) -> tuple[Picture, ...]:
    """Every picture that the evaluation allows. Needs matplotlib."""
    wanted: list[Plot[Evaluation]] = []
    if evaluation.measured:
        wanted += [
            ("auroc.png", "AUROC of each finding", _bars),
            ("roc.png", "ROC curves", _roc),
            ("precision_recall.png", "Precision-recall curves", _precision_recall),
        ]
    if any(figures.ece is not None for figures in evaluation.measured):
        wanted.append(("reliability.png", "Reliability of the probabilities", _reliability))
    if len(evaluation.co_occurrence.labels) > 1:
        wanted += [
            ("co_occurrence.png", _TRUE, partial(_pairs, evaluation.co_occurrence, _TRUE)),
            ("co_occurrence_called.png", _CALLED, partial(_pairs, evaluation.called_co_occurrence, _CALLED)),
        ]
    if evaluation.task is not None and evaluation.task.n:
        wanted.append(("task.png", "Confusion matrix of the task", _task))
    return drawn(evaluation, wanted, language)


def _ranked(evaluation: Evaluation) -> list[LabelFigures]:
    return sorted(evaluation.measured, key=lambda figures: -(figures.auroc or 0.0))


def _rows(evaluation: Evaluation, label: str) -> tuple[Floats, Floats, Bools]:
    """Scores, probabilities and truth of one label, where they are known."""
    judged = evaluation.judged
    column = judged.labels.index(label)
    use = judged.usable[:, column]
    return judged.scores[use, column], judged.probabilities[use, column], judged.truth[use, column] == 1


def _bars(evaluation: Evaluation, language: Language) -> Figure:
    mean = evaluation.mean_auroc or 0.0
    return bar_chart(
        [
            Bar(f"{label_name(item.label, language)} ({item.n_positive})", item.auroc or 0.0, item.ci)
            for item in reversed(_ranked(evaluation))
        ],
        title=translate("AUROC of each finding", language),
        axis=translate("AUROC with its 95% interval (in brackets: images with the finding)", language),
        mean=(mean, translate("mean {value:.3f}", language, value=mean)),
        chance=0.5,
    )


def _roc(evaluation: Evaluation, language: Language) -> Figure:
    curves = []
    for item in _ranked(evaluation):
        scores, _, positive = _rows(evaluation, item.label)
        curves.append(
            Curve(f"{item.auroc:.3f}  {label_name(item.label, language)}", *roc_curve(scores, positive))
        )
    return curve_chart(
        curves,
        title=translate("ROC curves", language),
        x=translate("share of images without the finding that are called (1 - specificity)", language),
        y=translate("share of images with the finding that are called (sensitivity)", language),
        legend="AUROC",
        diagonal=True,
    )


def _precision_recall(evaluation: Evaluation, language: Language) -> Figure:
    curves = []
    for item in sorted(evaluation.measured, key=lambda item: -(item.average_precision or 0.0)):
        scores, _, positive = _rows(evaluation, item.label)
        recall, precision = precision_recall_curve(scores, positive)
        name = f"{item.average_precision:.3f} / {item.prevalence:.3f}  {label_name(item.label, language)}"
        curves.append(Curve(name, np.append(0.0, recall), np.append(precision[:1], precision)))
    return curve_chart(
        curves,
        title=translate("Precision-recall curves", language),
        x=translate("share of images with the finding that are called (sensitivity)", language),
        y=translate("share of called images that have it (precision)", language),
        legend=translate("average precision / prevalence", language),
    )


def _reliability(evaluation: Evaluation, language: Language) -> Figure:
    from matplotlib.figure import Figure

    shown = [item for item in _ranked(evaluation) if item.ece is not None]
    across = min(_ACROSS, len(shown))
    down = -(-len(shown) // across)
    figure = Figure(figsize=(2.5 * across + 0.6, 2.75 * down + 0.8), layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for place, plot in enumerate(grid.ravel()):
        if place >= len(shown):
            plot.set_axis_off()
            continue
        item = shown[place]
        _, probabilities, positive = _rows(evaluation, item.label)
        there = ~np.isnan(probabilities)
        bins = reliability(probabilities[there], positive[there], _BINS)
        plot_reliability(plot, bins, to_end=False, width=4)
        plot.set_box_aspect(1)
        plot.tick_params(labelsize=8)
        plot.locator_params(nbins=4)
        title = f"{label_name(item.label, language)}\nECE {item.ece:.3f}"
        plot.set_title(title, fontsize=9.5, pad=6)
    figure.supxlabel(translate("probability that the model gives", language), fontsize=10)
    figure.supylabel(translate("share that has the finding", language), fontsize=10)
    return figure


def _pairs(pairs: CoOccurrence, title: str, _: Evaluation, language: Language) -> Figure:
    names = [wrapped(label_name(label, language)) for label in pairs.labels]
    # With fewer expected, finding none says nothing.
    ratio = np.where(pairs.expected >= LEAST_EXPECTED, pairs.ratio, np.nan)
    axis = translate(
        "times as often as chance would have it (empty: fewer than three expected); diagonal: images",
        language,
    )
    texts = [["" if np.isnan(value) else f"{value:.1f}" for value in row] for row in ratio.tolist()]
    for place, count in enumerate(np.diag(pairs.observed).tolist()):
        texts[place][place] = str(count)
    with np.errstate(divide="ignore"):
        shade = np.clip(np.log2(ratio) / (2 * _MOST) + 0.5, 0, 1)
    return matrix_chart(
        shade,
        texts,
        title=translate(title, language),
        rows=names,
        columns=names,
        x=axis,
        y="",
        colours=diverging(),
    )


def _task(evaluation: Evaluation, language: Language) -> Figure:
    task = evaluation.task
    assert task is not None
    counts = task.confusion.astype(np.float64)
    return confusion_chart(
        counts,
        task.confusion.sum(axis=1).tolist(),
        [label_name(label, language) for label in task.labels],
        title=translate("Confusion matrix of the task", language),
        x=translate("label that the model puts first", language),
        y=translate("true label (images)", language),
        most=max(counts.max(), 1.0),
    )
