"""The page, pictures and predictions of an evaluation of triage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tetkik.lab.engine import charts as engine
from tetkik.lab.engine.charts import (
    ACCENT,
    GREY,
    MAIN,
    PALE,
    Bar,
    Curve,
    Picture,
    Plot,
    axes,
    bar_chart,
    check_target,
    confusion_chart,
    curve_chart,
    drawn,
    plot_reliability,
)
from tetkik.lab.triage.summaries import Evaluation, accuracy_by_coverage, rank_of_truth
from tetkik.language import Language, translate
from tetkik.statistics import Floats, reliability, roc_curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DIMENSIONS = {"length": "Length", "age": "Age given", "sex": "Sex in words"}
"""The title of each dimension of the subgroups."""


def write_evaluation(evaluation: Evaluation, folder: Path, language: Language) -> tuple[Path, ...]:
    """Write all about `evaluation` into `folder`, but for the words of the complaints: the files."""
    check_target(folder)
    present = [figures for figures in evaluation.per_label.values() if figures]
    return engine.write_evaluation(
        evaluation,
        folder,
        language,
        template="triage/triage.html.jinja",
        pictures=pictures(evaluation, language),
        table=("predictions.csv", predictions_csv(evaluation)),
        labels=sorted(present, key=lambda figures: -figures.support),
        dimensions=DIMENSIONS,
    )


def predictions_csv(evaluation: Evaluation) -> str:
    """Row by row, in the order of the data's rows that are in the figures: label, answer, probabilities.

    Enough to compute every figure of the clean texts again; the complaints themselves are not in it.
    """
    judged = evaluation.judged
    ranks = rank_of_truth(judged.probabilities, judged.truth)
    header = ["row", "group", "label", "predicted", "rank_of_label", *judged.labels]
    rows = []
    for row, (true, chosen) in enumerate(zip(judged.truth.tolist(), judged.predicted.tolist(), strict=True)):
        place: list[object] = [row + 1, int(judged.groups[row]), judged.labels[true]]
        if chosen >= 0:
            scores = map(engine.decimals, judged.probabilities[row].tolist())
            rows.append([*place, judged.labels[chosen], int(ranks[row]), *scores])
        else:
            rows.append([*place, *[""] * (2 + len(judged.labels))])
    return engine.csv_text(header, rows)


def pictures(evaluation: Evaluation, language: Language) -> tuple[Picture, ...]:
    """Every picture that the evaluation allows; ROC and calibration need readable texts. Needs matplotlib."""
    wanted: list[Plot[Evaluation]] = [
        ("confusion.png", "Confusion matrix, complaints", _confusion_counts),
        ("confusion_normalised.png", "Confusion matrix, share of each department (%)", _confusion_shares),
        ("per_label.png", "F1 of each department", _per_label),
    ]
    if evaluation.judged.answered.any():
        wanted.append(("calibration.png", "Calibration", _calibration))
    wanted.append(("coverage.png", "Accuracy against coverage", _coverage))
    if any(figures and figures.auroc is not None for figures in evaluation.per_label.values()):
        wanted.append(("roc.png", "ROC curves, one department against the rest", _roc))
    return drawn(evaluation, wanted, language)


def _confusion_counts(evaluation: Evaluation, language: Language) -> Figure:
    counts = evaluation.judged.confusion.astype(np.float64)
    return _confusion(evaluation, language, "Confusion matrix, complaints", counts, max(counts.max(), 1.0))


def _confusion_shares(evaluation: Evaluation, language: Language) -> Figure:
    counts = evaluation.judged.confusion.astype(np.float64)
    # Of all complaints of the department, answered or not: the diagonal is its recall.
    shares = 100 * counts / np.maximum(evaluation.judged.support[:, None], 1)
    title = "Confusion matrix, share of each department (%)"
    return _confusion(evaluation, language, title, shares, 100)


def _confusion(evaluation: Evaluation, language: Language, title: str, values: Floats, most: float) -> Figure:
    return confusion_chart(
        values,
        evaluation.judged.support.tolist(),
        evaluation.judged.labels,
        title=translate(title, language),
        x=translate("department named by the model", language),
        y=translate("true department (complaints)", language),
        most=most,
    )


def _per_label(evaluation: Evaluation, language: Language) -> Figure:
    present = [figures for figures in evaluation.per_label.values() if figures]
    present.sort(key=lambda figures: figures.f1)
    return bar_chart(
        [Bar(f"{item.label} ({item.support})", item.f1, item.ci["f1"]) for item in present],
        title=translate("F1 of each department", language),
        axis=translate("F1, with its 95% interval (in brackets: complaints)", language),
        mean=(
            evaluation.macro_f1,
            translate("macro-F1 {value:.2f}", language, value=evaluation.macro_f1),
        ),
    )


def _calibration(evaluation: Evaluation, language: Language) -> Figure:
    from matplotlib.figure import Figure

    answered = evaluation.judged.answered
    confidence = evaluation.judged.confidence[answered]
    correct = evaluation.judged.correct[answered]
    figure = Figure(figsize=(6, 7.6))
    # The upper axes are a square of 5 inches: the diagonal is at 45 degrees and both have one scale.
    above = figure.add_axes((0.12, 0.3, 5 / 6, 5 / 7.6))
    below = figure.add_axes((0.12, 0.08, 5 / 6, 0.17), sharex=above)
    above.tick_params(labelbottom=False)
    plot_reliability(above, reliability(confidence, correct), to_end=True)
    above.text(0.04, 0.95, translate("too cautious", language), color=GREY, fontsize=9, va="top")
    above.text(0.96, 0.05, translate("too sure", language), color=GREY, fontsize=9, ha="right")
    above.set_ylabel(translate("share that is right", language))
    ece = "" if evaluation.ece is None else f" · ECE {evaluation.ece:.3f}"
    above.set_title(translate("Calibration", language) + ece)
    below.hist(confidence, bins=np.linspace(0, 1, 21).tolist(), color=PALE, edgecolor="white")
    below.set_xlabel(translate("probability of the first department", language))
    below.set_ylabel(translate("complaints", language))
    return figure


def _coverage(evaluation: Evaluation, language: Language) -> Figure:
    judged = evaluation.judged
    curve = accuracy_by_coverage(judged.confidence, judged.correct)
    share = np.arange(1, len(curve) + 1) / len(curve)
    # The first few complaints alone say nothing and would set the scale.
    shown = share >= min(0.05, share[-1])
    figure, plot = axes(7, 4.6)
    plot.plot(share[shown], curve[shown], color=MAIN, linewidth=2)
    for point in evaluation.coverage.points:
        if point.coverage in {1.0, 0.8, 0.5}:
            plot.plot([point.coverage], [point.accuracy], "o", color=MAIN, markersize=6)
            plot.annotate(
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
        plot.plot(*place, "D", color=ACCENT, markersize=7, label=own)
        plot.legend(loc="lower left")
    low = min(float(curve[shown].min()), evaluation.accuracy)
    plot.set(xlim=(0, 1.02), ylim=(max(0.0, low - 0.08), 1.01))
    plot.grid(axis="y", color=PALE, linewidth=0.7)
    plot.set_axisbelow(True)
    plot.set_title(translate("Accuracy against coverage", language))
    plot.set_xlabel(translate("share of complaints answered, the surest first", language))
    plot.set_ylabel(translate("accuracy", language))
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
    curves = []
    for index, figures in known:
        rates = roc_curve(judged.probabilities[answered, index], judged.truth[answered] == index)
        curves.append(Curve(f"{figures.auroc:.3f}  {figures.label}", *rates))
    return curve_chart(
        curves,
        title=translate("ROC curves, one department against the rest", language),
        x=translate("share of other complaints wrongly taken in", language),
        y=translate("share of its complaints found", language),
        legend="AUROC",
        diagonal=True,
    )
