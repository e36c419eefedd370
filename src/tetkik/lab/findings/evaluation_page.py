"""The page, pictures and predictions of an evaluation of findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tetkik.lab.engine import charts as engine
from tetkik.lab.engine.charts import (
    Bar,
    Curve,
    bar_chart,
    confusion_chart,
    curve_chart,
    diverging,
    matrix_chart,
    plot_reliability,
    roc_chart,
    wrapped,
)
from tetkik.lab.engine.figure_tables import (
    Cell,
    Columns,
    EvaluationView,
    FigureTable,
    LabelName,
    Plot,
    bracket,
    short,
    signed,
)
from tetkik.lab.engine.results import around, ends, listed
from tetkik.lab.findings.summaries import (
    DIMENSIONS,
    LEAST_EXPECTED,
    CoOccurrence,
    Evaluation,
    ImageSubgroup,
    LabelFigures,
)
from tetkik.language import Language, Sentence, translate
from tetkik.statistics.calibration import reliability
from tetkik.statistics.intervals import Bools, Floats
from tetkik.statistics.roc import precision_recall_curve
from tetkik.values.finding_labels import label_name
from tetkik.values.radiograph import Flaw, Route

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# An evaluation in words: what a person should take from the figures, and the warnings before all praise.


SHORTCUT = 0.70
"""From this AUROC on, knowing the source alone is said to give a label away."""
_GOOD_ECE = 0.04
_SAME_SCORE = 0.001
"""Scores of all images that lie within so little are called the same."""
_TOGETHER = 2.0
"""How many times more often than in truth two findings are called together before it is said."""
_LEAST_TOGETHER = 5

FLAWS: MappingProxyType[str, Sentence] = MappingProxyType(
    {
        Flaw.NOT_A_RADIOGRAPH: Sentence("not a radiograph"),
        Flaw.LATERAL: Sentence("lateral"),
        Flaw.INVERTED: Sentence("inverted"),
        Flaw.ROTATED: Sentence("rotated"),
        Flaw.CROPPED: Sentence("cropped"),
        Flaw.TOO_SMALL: Sentence("too small"),
        Flaw.EXPOSURE: Sentence("exposure"),
    }
)
"""The quality gate's grounds for refusal, in a word or two."""
ROUTES = MappingProxyType(
    {Route.CHEST: Sentence("chest radiographs"), Route.BRAIN_MRI: Sentence("brain MRI slices")}
)


def interpret(evaluation: Evaluation) -> tuple[Sentence, ...]:
    """What the figures say, most important first."""
    parts = (
        _collapse,
        _overall,
        _extremes,
        _shortcuts,
        _screening,
        _decisions,
        _calibration,
        _task,
        _subgroups,
    )
    return tuple(chain.from_iterable(part(evaluation) for part in (*parts, _together, _unscored, _without)))


def _collapse(evaluation: Evaluation) -> Iterator[Sentence]:
    """A warning where every image gets the same score."""
    judged, flat = evaluation.judged, []
    for item in evaluation.measured:
        column = judged.labels.index(item.label)
        if np.ptp(judged.scores[judged.usable[:, column], column]) < _SAME_SCORE:
            flat.append(item)
    if flat:
        yield Sentence(
            "Warning: all images get the same score, so the model tells nothing apart: {items}.",
            {"items": _labels(flat)},
        )


def _overall(evaluation: Evaluation) -> Iterator[Sentence]:
    yield from around(_headline(evaluation), [evaluation.learned], [evaluation.model])


def _headline(evaluation: Evaluation) -> Iterator[Sentence]:
    interval, mean = evaluation.mean_auroc_ci, evaluation.mean_auroc
    values = {"n": len(evaluation.judged), "labels": len(evaluation.measured), "mean": mean}
    yield Sentence(
        "{n} images were scored, and no label has an AUROC."
        if mean is None
        else "Over {labels} labels on {n} images the mean AUROC is {mean:.3f}; it has no interval."
        if interval is None
        else "Over {labels} labels on {n} images the mean AUROC is {mean:.3f} (95% interval {low:.3f} to "
        "{high:.3f}); 0.5 is guessing.",
        values | ends(interval),
    )


def _extremes(evaluation: Evaluation) -> Iterator[Sentence]:
    ranked = sorted(evaluation.measured, key=lambda figures: -(figures.auroc or 0))
    count = min(3, len(ranked) // 2)
    if count:
        yield Sentence("Highest AUROC: {items}.", {"items": listed(map(_named, ranked[:count]))})
        yield Sentence("Lowest AUROC: {items}.", {"items": listed(map(_named, ranked[::-1][:count]))})
    unsure = [item for item in ranked if item.ci is not None and item.ci.low <= 0.5]
    if unsure:
        yield Sentence(
            "Not shown to be better than guessing (the interval reaches 0.5): {items}.",
            {"items": _labels(unsure)},
        )


def _labels(items: Iterable[LabelFigures]) -> Sentence:
    return listed((LabelName(item.label) for item in items), ", ")


def _named(figures: LabelFigures) -> Sentence:
    return Sentence(
        "{label} ({auroc:.2f}{interval}, {positive} of {n})",
        {
            "label": LabelName(figures.label),
            "auroc": figures.auroc,
            "interval": bracket(figures.ci),
            "positive": figures.n_positive,
            "n": figures.n,
        },
    )


def _shortcuts(evaluation: Evaluation) -> Iterator[Sentence]:
    found = [item for item in evaluation.measured if (item.source_shortcut or 0) >= SHORTCUT]
    for item in sorted(found, key=lambda item: -(item.source_shortcut or 0)):
        yield Sentence(
            "Warning: {label} comes with its source. Knowing the source alone scores AUROC {known:.2f}, "
            "so the {auroc:.2f} here may measure the source; no source has images with it and without it."
            if item.auroc_within_source is None
            else "Warning: {label} comes with its source. Knowing the source alone scores AUROC {known:.2f}, "
            "so the {auroc:.2f} here may measure the source; within sources it is {within:.2f}.",
            {
                "label": LabelName(item.label),
                "known": item.source_shortcut,
                "auroc": item.auroc,
                "within": item.auroc_within_source,
            },
        )


def _screening(evaluation: Evaluation) -> Iterator[Sentence]:
    for part in evaluation.screening:
        if part.auroc is None:
            continue
        (specificity, sensitivity), *_ = part.sensitivity_at
        yield Sentence(
            "Anything abnormal, {route}: AUROC {auroc:.2f}{interval}; with {specificity:.0f}% of the normal "
            "ones left alone it finds {sensitivity:.0f}% of the {abnormal} abnormal ones.",
            {
                "route": ROUTES[Route(part.route)],
                "auroc": part.auroc,
                "interval": bracket(part.ci),
                "specificity": 100 * specificity,
                "sensitivity": 100 * (sensitivity or 0.0),
                "abnormal": part.n_abnormal,
            },
        )


def _decisions(evaluation: Evaluation) -> Iterator[Sentence]:
    both = [
        (item.sensitivity, item.specificity)
        for item in evaluation.measured
        if item.sensitivity is not None and item.specificity is not None
    ]
    if both:
        sensitivity, specificity = np.mean(both, axis=0)
        yield Sentence(
            "At the model's own thresholds a finding is called in {sensitivity:.0f}% of the images that have "
            "it and in {alarms:.0f}% of those that do not (mean over {labels} labels).",
            {"sensitivity": 100 * sensitivity, "alarms": 100 * (1 - specificity), "labels": len(both)},
        )
    mute = [item for item in evaluation.measured if item.sensitivity == 0]
    if mute:
        yield Sentence(
            "Present and never called: {items}.",
            {"items": _labels(mute)},
        )


def _calibration(evaluation: Evaluation) -> Iterator[Sentence]:
    if evaluation.mean_ece is None or evaluation.mean_brier_skill is None:
        return
    yield Sentence(
        "Its probabilities should not be taken at their word here: mean ECE {ece:.3f}, Brier skill "
        "{skill:+.3f}; see the reliability curves."
        if evaluation.mean_ece > _GOOD_ECE
        else "Its probabilities can be taken at their word: mean ECE {ece:.3f}, Brier skill {skill:+.3f}."
        if evaluation.mean_brier_skill > 0
        else "Its probabilities are right on average (mean ECE {ece:.3f}) but say no more than each label's "
        "frequency would (Brier skill {skill:+.3f}).",
        {"ece": evaluation.mean_ece, "skill": evaluation.mean_brier_skill},
    )


def _task(evaluation: Evaluation) -> Iterator[Sentence]:
    task = evaluation.task
    if task is None or task.accuracy is None:
        return
    yield Sentence(
        "Of {n} images with exactly one of the {labels} labels of the task {accuracy:.1f}% get the right "
        "one first ({balanced:.1f}% with each label weighing the same)."
        if task.ci is None
        else "Of {n} images with exactly one of the {labels} labels of the task {accuracy:.1f}% get the "
        "right one first (95% interval {low:.1f} to {high:.1f}; {balanced:.1f}% with each label weighing the "
        "same).",
        {
            "n": task.n,
            "labels": len(task.labels),
            "accuracy": 100 * task.accuracy,
            "balanced": 100 * (task.balanced_accuracy or 0.0),
            **ends(task.ci, 100),
        },
    )


def _subgroups(evaluation: Evaluation) -> Iterator[Sentence]:
    clear = [
        (part, whole)
        for part in evaluation.subgroups
        if part.ci is not None and (whole := _whole(evaluation, part)) is not None and part.ci.high < whole
    ]
    for part, whole in sorted(clear, key=lambda item: (item[0].mean_auroc or 0) - item[1])[:3]:
        yield Sentence(
            "Clearly below the whole: {part} (mean AUROC {mean:.2f}{interval}, where all images have "
            "{whole:.2f} on the same labels; n {n}).",
            {
                "part": part.title,
                "mean": part.mean_auroc,
                "interval": bracket(part.ci),
                "whole": whole,
                "n": part.n,
            },
        )


def _whole(evaluation: Evaluation, part: ImageSubgroup) -> float | None:
    """The mean AUROC on all images, over the labels of `part`; None for a part that is of labels."""
    if part.dimension == "prevalence" or not part.aurocs:
        return None
    return float(np.mean([evaluation.per_label[label].auroc or 0.0 for label in part.aurocs]))


def _together(evaluation: Evaluation) -> Iterator[Sentence]:
    true, called = evaluation.co_occurrence, evaluation.called_co_occurrence
    with np.errstate(invalid="ignore"):
        excess = np.triu(np.nan_to_num(called.ratio / np.maximum(true.ratio, 0.1)), 1)
    enough = (called.observed >= _LEAST_TOGETHER) & (true.expected >= LEAST_EXPECTED)
    worst = np.where(enough, excess, 0.0)
    if worst.size and worst.max() >= _TOGETHER:
        one, other = divmod(int(worst.argmax()), len(worst))
        yield Sentence(
            "Called together more often than they belong together: {first} and {second}, {called:.1f} times "
            "what chance would give, where the truth has {true:.1f} times.",
            {
                "first": LabelName(true.labels[one]),
                "second": LabelName(true.labels[other]),
                "called": called.ratio[one, other],
                "true": true.ratio[one, other],
            },
        )


def _unscored(evaluation: Evaluation) -> Iterator[Sentence]:
    unscored = evaluation.unscored
    if not unscored.gated:
        yield Sentence(
            "The quality gate was switched off: images that it would refuse are in these figures, and in use "
            "they would get no answer."
        )
    if unscored.refused:
        grounds = (
            Sentence("{name} {n}", {"name": FLAWS.get(name, Sentence("{name}", {"name": name})), "n": n})
            for name, n in unscored.refused.items()
        )
        yield Sentence(
            "In no figure, because the quality gate refused them: {n} images ({grounds}); `--no-gate` has "
            "them scored all the same.",
            {"n": sum(unscored.refused.values()), "grounds": listed(grounds, ", ")},
        )
    if unscored.failed:
        yield Sentence("In no figure, because they could not be read: {n} files.", {"n": unscored.failed})
    if unscored.not_predicted:
        yield Sentence(
            "In no figure, because there is no answer for them: {n} images of the table.",
            {"n": unscored.not_predicted},
        )


def _without(evaluation: Evaluation) -> Iterator[Sentence]:
    not_assessed = [
        figures
        for figures in evaluation.per_label.values()
        if figures.operated_at is None and figures.n_positive
    ]
    if not_assessed:
        yield Sentence(
            "In the data and not assessed by the model: {labels}.", {"labels": _labels(not_assessed)}
        )


_BINS = 10
_ACROSS = 4
_MOST = 3.0
"""Powers of two at which the colours of the co-occurrence end."""


_RANKING: Columns[LabelFigures] = {
    "finding": lambda one: LabelName(one.label),
    "with it / images": lambda one: f"{one.n_positive} / {one.n}",
    "AUROC": lambda one: Cell(one.auroc, one.ci),
    "within sources": lambda one: one.auroc_within_source,
    "source alone": lambda one: one.source_shortcut,
    "average precision": lambda one: one.average_precision,
    "sensitivity at 90% specificity": lambda one: one.sensitivity_at[0][1],
    "specificity at 90% sensitivity": lambda one: one.specificity_at[0][1],
}
_DECISIONS: Columns[LabelFigures] = {
    "finding": lambda one: LabelName(one.label),
    "threshold": lambda one: one.operated_at and one.operated_at.threshold,
    "sensitivity": lambda one: short(one.sensitivity, one.sensitivity_ci),
    "specificity": lambda one: short(one.specificity, one.specificity_ci),
    "F1 at it": lambda one: one.f1,
    "F1 at 0.5": lambda one: one.f1_at_half,
    "ECE": lambda one: one.ece,
    "Brier skill": lambda one: signed(one.brier_skill),
}
_PARTS: Columns[ImageSubgroup] = {
    "labels": lambda part: len(part.aurocs or {}),
    "mean AUROC": lambda part: Cell(part.mean_auroc, part.ci),
}


def view(evaluation: Evaluation) -> EvaluationView:
    """What page and console show of it."""
    ranked, task = _ranked(evaluation), evaluation.task
    return EvaluationView(
        evaluation=evaluation,
        counts=(
            Sentence("{n} images", {"n": len(evaluation.judged)}),
            Sentence("{n} patients or groups", {"n": evaluation.groups}),
        ),
        headline=(
            (Sentence("Mean AUROC"), Cell(evaluation.mean_auroc, evaluation.mean_auroc_ci)),
            (Sentence("Mean average precision"), evaluation.mean_average_precision),
            (Sentence("Calibration error (ECE)"), evaluation.mean_ece),
            (Sentence("Brier skill"), signed(evaluation.mean_brier_skill)),
            *(
                (
                    listed((Sentence("Anything abnormal"), ROUTES[Route(part.route)]), ", "),
                    Cell(part.auroc, part.ci),
                )
                for part in evaluation.screening
            ),
            *([(Sentence("Accuracy on the task"), Cell(task.accuracy, task.ci))] if task else []),
        ),
        tables=(
            FigureTable.of(
                Sentence("Ranking, finding by finding"),
                _RANKING,
                ranked,
                console=("finding", "with it / images", "AUROC", "source alone"),
            ),
            FigureTable.of(
                Sentence("Decisions and probabilities, finding by finding"),
                _DECISIONS,
                ranked,
                console=("finding", "threshold", "sensitivity", "specificity", "F1 at it"),
            ),
        ),
        more_tables=(
            FigureTable.of_subgroups(
                Sentence("Parts of the images"),
                _PARTS,
                evaluation.subgroups,
                DIMENSIONS,
                Sentence(
                    "Each source apart is what a model reaches where nothing but the disease tells the "
                    "images apart. The mean is over the labels with enough images of both kinds in the part, "
                    "so parts may differ in their labels."
                ),
            ),
        ),
        plots=pictures(evaluation),
        files={"predictions.csv": lambda _: predictions_csv(evaluation)},
        method=Sentence(
            "Every figure comes from the answers that `tetkik findings predict --json` prints; "
            "predictions.csv has them. What the table does not know of an image is left out, label by "
            "label. Intervals of AUROC follow DeLong, with Obuchowski's variance where patients or copies "
            "repeat; for every mean they are the middle 95% of {replicates} draws of whole groups (seed "
            "{seed}). Intervals of sensitivity and specificity are Wilson's, with the images of a patient "
            "counted as fewer. ECE has 15 bins of equal mass; Brier skill is against always giving the "
            "label's frequency in this data.",
            {"replicates": evaluation.replicates, "seed": evaluation.seed},
        ),
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


def pictures(evaluation: Evaluation) -> list[Plot]:
    """Every picture that the evaluation allows."""
    wanted: list[tuple[str, str, Callable[[Evaluation, Language], Figure]]] = []
    if evaluation.measured:
        wanted += [
            ("auroc.png", "AUROC of each finding", _bars),
            ("roc.png", "ROC curves", _roc),
            ("precision_recall.png", "Precision-recall curves", _precision_recall),
        ]
    if any(figures.ece is not None for figures in evaluation.measured):
        wanted.append(("reliability.png", "Reliability of the probabilities", _reliability))
    if len(evaluation.co_occurrence.labels) > 1:
        true, called = (
            partial(_pairs, pairs) for pairs in (evaluation.co_occurrence, evaluation.called_co_occurrence)
        )
        wanted += [
            ("co_occurrence.png", "Findings that stand together, truth", true),
            ("co_occurrence_called.png", "Findings that are called together, model", called),
        ]
    if evaluation.task is not None and evaluation.task.n:
        wanted.append(("task.png", "Confusion matrix of the task", _task_of_evaluation_page))
    return [(name, title, partial(draw, evaluation)) for name, title, draw in wanted]


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
        axis=translate("AUROC with its 95% interval (in brackets: images with the finding)", language),
        mean=(mean, translate("mean {value:.3f}", language, value=mean)),
        chance=0.5,
    )


def _roc(evaluation: Evaluation, language: Language) -> Figure:
    rows = {item.label: _rows(evaluation, item.label) for item in evaluation.measured}
    return roc_chart(
        (
            (item.auroc, label_name(item.label, language), rows[item.label][0], rows[item.label][2])
            for item in _ranked(evaluation)
        ),
        x=translate("share of images without the finding that are called (1 - specificity)", language),
        y=translate("share of images with the finding that are called (sensitivity)", language),
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


def _pairs(pairs: CoOccurrence, _: Evaluation, language: Language) -> Figure:
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
        rows=names,
        columns=names,
        x=axis,
        y="",
        colours=diverging(),
    )


def _task_of_evaluation_page(evaluation: Evaluation, language: Language) -> Figure:
    task = evaluation.task
    assert task is not None
    counts = task.confusion.astype(np.float64)
    return confusion_chart(
        counts,
        task.confusion.sum(axis=1).tolist(),
        [label_name(label, language) for label in task.labels],
        x=translate("label that the model puts first", language),
        y=translate("true label (images)", language),
        most=max(counts.max(), 1.0),
    )
