"""The page, pictures and predictions of an evaluation of triage."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from tetkik.lab.engine import charts as engine
from tetkik.lab.engine.charts import (
    ACCENT,
    GREY,
    MAIN,
    PALE,
    Bar,
    axes,
    bar_chart,
    confusion_chart,
    plot_reliability,
    roc_chart,
)
from tetkik.lab.engine.figure_tables import Cell, Columns, EvaluationView, FigureTable, Plot, bracket, signed
from tetkik.lab.engine.results import around, ends, listed
from tetkik.lab.triage.summaries import (
    ComplaintSubgroup,
    Evaluation,
    Judged,
    LabelFigures,
    PerturbedFigures,
    accuracy_by_coverage,
    rank_of_truth,
)
from tetkik.language import Language, Sentence, translate
from tetkik.settings import settings
from tetkik.statistics.calibration import reliability
from tetkik.statistics.intervals import Floats

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# An evaluation in words: what a person should take from the figures.


log = logging.getLogger("tetkik.lab.triage")

RELATED: list[tuple[str, str]] = tomllib.loads(
    resources.files(__package__).joinpath("related.toml").read_text("utf-8")
)["pairs"]

_RARELY_CONFUSED = 0.05
"""Two departments are rarely confused where at most this share of their complaints crosses over."""
_FOUND = 0.5
"""A department of which fewer are found is told apart from nothing."""
_ENOUGH = 20
"""Complaints of each of two related departments before anything is said of them."""
_PAIR_LEAST = 3
"""Crossings before a pair is called confused."""
_GOOD_ECE = 0.05
_COLLAPSED = 0.9
"""A model that names one label for this share of complaints of several has not learned to tell them apart."""


def interpret(evaluation: Evaluation) -> tuple[Sentence, ...]:
    """What the figures say, most important first."""
    return (
        *collapse(evaluation.judged),
        *around([_overall(evaluation)], [evaluation.learned], [evaluation.model]),
        *_weakest(evaluation),
        *_confused(evaluation),
        *_related(evaluation),
        *_calibration(evaluation),
        *_coverage(evaluation),
        *_robustness(evaluation),
        *_subgroups(evaluation),
        *_missing(evaluation),
    )


def warn_of_collapse(judged: Judged) -> None:
    """At the end of a training."""
    for sentence in collapse(judged):
        log.warning(sentence.in_language(settings().language))


def collapse(judged: Judged) -> Iterator[Sentence]:
    """A warning where nearly all complaints, though of several labels, get one answer."""
    chosen = np.bincount(judged.predicted[judged.answered], minlength=len(judged.labels))
    first = int(chosen.argmax())
    share = chosen[first] / max(chosen.sum(), 1)
    true = judged.support[first] / max(len(judged), 1)
    if share >= _COLLAPSED and true < _COLLAPSED:
        yield Sentence(
            "Warning: {share:.0f}% of the complaints get the answer {label}, and {true:.0f}% are of it: the "
            "model has hardly learned to tell departments apart.",
            {"label": judged.labels[first], "share": 100 * share, "true": 100 * true},
        )


def _overall(evaluation: Evaluation) -> Sentence:
    interval = evaluation.ci["accuracy"]
    return Sentence(
        "Of {n} complaints {accuracy:.1f}% get the right department first and {top3:.1f}% among the first "
        "three; macro-F1 is {f1:.3f}. These are too few to say how far chance reaches."
        if interval is None
        else "Of {n} complaints {accuracy:.1f}% get the right department first (95% interval {low:.1f} to "
        "{high:.1f}) and {top3:.1f}% among the first three; macro-F1 is {f1:.3f}.",
        {
            "n": len(evaluation.judged),
            "accuracy": 100 * evaluation.accuracy,
            "top3": 100 * evaluation.top3_accuracy,
            "f1": evaluation.macro_f1,
            **ends(interval, 100),
        },
    )


def _weakest(evaluation: Evaluation) -> Iterator[Sentence]:
    present = [figures for figures in evaluation.per_label.values() if figures]
    weakest = sorted(present, key=lambda figures: figures.f1)[: min(3, len(present) // 2)]
    items = [f"{one.label} (F1 {one.f1:.2f}{bracket(one.ci['f1'])}, n {one.support})" for one in weakest]
    if items:
        yield Sentence("Weakest departments: {items}.", {"items": "; ".join(items)})


def _confused(evaluation: Evaluation) -> Iterator[Sentence]:
    counts, support = evaluation.judged.confusion, evaluation.judged.support
    crossed = np.triu(counts + counts.T, 1)
    for flat in np.argsort(-crossed, axis=None, kind="stable")[:3].tolist():
        one, other = divmod(flat, len(crossed))
        if crossed[one, other] < _PAIR_LEAST:
            return
        yield Sentence(
            "Often confused: {first} → {second} {forth} of {first_n} ({forth_share:.0f}%), "
            "{second} → {first} {back} of {second_n} ({back_share:.0f}%).",
            {
                "first": evaluation.judged.labels[one],
                "second": evaluation.judged.labels[other],
                "forth": int(counts[one, other]),
                "back": int(counts[other, one]),
                "first_n": int(support[one]),
                "second_n": int(support[other]),
                "forth_share": 100 * counts[one, other] / max(support[one], 1),
                "back_share": 100 * counts[other, one] / max(support[other], 1),
            },
        )


def _related(evaluation: Evaluation) -> Iterator[Sentence]:
    counts, support = evaluation.judged.confusion, evaluation.judged.support
    place = {label: index for index, label in enumerate(evaluation.judged.labels)}
    items = []
    looked_at = False
    for first, second in RELATED:
        if first not in place or second not in place:
            continue
        one, other = place[first], place[second]
        if min(support[one], support[other]) < _ENOUGH:
            continue
        # Where neither is ever named, none crosses over.
        if min(counts[one, one] / support[one], counts[other, other] / support[other]) < _FOUND:
            continue
        looked_at = True
        crossed, both = int(counts[one, other] + counts[other, one]), int(support[one] + support[other])
        if crossed <= _RARELY_CONFUSED * both:
            items.append((crossed / both, f"{first} / {second} ({crossed}/{both})"))
    if items:
        yield Sentence(
            "Related departments that are rarely confused (confused / complaints of both): {items}.",
            {"items": "; ".join(item for _, item in sorted(items)[:5])},
        )
    elif looked_at:
        yield Sentence(
            "No two related departments are rarely confused: more than {share:.0f}% of the "
            "complaints in each pair are.",
            {"share": 100 * _RARELY_CONFUSED},
        )


def _calibration(evaluation: Evaluation) -> Iterator[Sentence]:
    if evaluation.ece is None:
        return
    answered = evaluation.judged.answered
    claimed = 100 * float(evaluation.judged.confidence[answered].mean())
    right = 100 * float(evaluation.judged.correct[answered].mean())
    values = {"claimed": claimed, "right": right, "ece": evaluation.ece}
    yield Sentence(
        "Its probabilities can be taken at their word: {claimed:.1f}% claimed on average, {right:.1f}% right "
        "(ECE {ece:.3f})."
        if evaluation.ece <= _GOOD_ECE
        else "It is too sure of itself: {claimed:.1f}% claimed on average, {right:.1f}% right "
        "(ECE {ece:.3f})."
        if claimed > right + 2
        else "It is less sure than it might be: {claimed:.1f}% claimed on average, {right:.1f}% right "
        "(ECE {ece:.3f})."
        if claimed < right - 2
        else "Its probabilities are right on average ({claimed:.1f}% claimed, {right:.1f}% right) but off in "
        "places (ECE {ece:.3f}); see the calibration curve.",
        values,
    )


def _coverage(evaluation: Evaluation) -> Iterator[Sentence]:
    four_fifths = next(point for point in evaluation.coverage.points if point.coverage == 0.8)
    if four_fifths.n < len(evaluation.judged):
        yield Sentence(
            "With the least certain fifth left to a person, {part:.1f}% of the rest are right instead of "
            "{whole:.1f}%.",
            {"part": 100 * four_fifths.accuracy, "whole": 100 * evaluation.accuracy},
        )
    abstain = evaluation.abstain
    if abstain and abstain.accuracy is not None:
        yield Sentence(
            "At its own threshold ({threshold:.2f}) it answers {coverage:.1f}% of complaints, {right:.1f}% "
            "of these rightly.",
            {
                "threshold": abstain.threshold,
                "coverage": 100 * abstain.coverage,
                "right": 100 * abstain.accuracy,
            },
        )


def _robustness(evaluation: Evaluation) -> Iterator[Sentence]:
    if not evaluation.robustness:
        return
    # Cutting a text takes away what it says; the other perturbations only change how it is spelled.
    spelled = [perturbed for perturbed in evaluation.robustness if not perturbed.id.startswith("first_")]
    worst = min(spelled, key=lambda perturbed: perturbed.accuracy_change)
    fall = -100 * worst.accuracy_change
    yield Sentence(
        "How a text is spelled matters little: no perturbation costs one point of accuracy."
        if fall < 1
        else "Of the changes in spelling this one costs most: {perturbation} ({fall:.1f} points of "
        "accuracy).",
        {"perturbation": worst.title, "fall": fall},
    )
    short = next(perturbed for perturbed in evaluation.robustness if perturbed.id == "first_sentence")
    yield Sentence(
        "With the first sentence only, {accuracy:.1f}% are right ({change:+.1f} points).",
        {"accuracy": 100 * short.accuracy, "change": 100 * short.accuracy_change},
    )


def _subgroups(evaluation: Evaluation) -> Iterator[Sentence]:
    clear = [
        part
        for part in evaluation.subgroups
        if part.accuracy is not None and part.ci is not None and part.ci.high < evaluation.accuracy
    ]
    for part in sorted(clear, key=lambda part: part.accuracy or 0.0)[:2]:
        yield Sentence(
            "Clearly below the whole: {part} (accuracy {accuracy:.2f}{interval}, n {n}).",
            {"part": part.title, "accuracy": part.accuracy, "interval": bracket(part.ci), "n": part.n},
        )


def _missing(evaluation: Evaluation) -> Iterator[Sentence]:
    if unreadable := evaluation.judged.unreadable:
        yield Sentence(
            "Texts that could not be read as complaints: {count}; they count as wrong, and are left out of "
            "ECE, Brier skill and AUROC.",
            {"count": unreadable},
        )
    if evaluation.not_evaluated:
        yield Sentence(
            "Rows in no figure, because the model does not have their label: {labels}.",
            {"labels": ", ".join(f"{label} ({n})" for label, n in evaluation.not_evaluated.items())},
        )
    absent = [label for label, figures in evaluation.per_label.items() if figures is None]
    if absent:
        yield Sentence(
            "The data has no complaint of: {labels}; the macro means are over the other departments.",
            {"labels": ", ".join(absent)},
        )


DIMENSIONS = {"length": Sentence("Length"), "age": Sentence("Age given"), "sex": Sentence("Sex in words")}
"""The title of each dimension of the subgroups."""
_NAMES = {
    "accuracy": Sentence("Accuracy"),
    "macro_f1": Sentence("Macro-F1"),
    "top3_accuracy": Sentence("Among the first three"),
    "macro_precision": Sentence("Macro precision"),
    "macro_recall": Sentence("Macro recall"),
}


_DEPARTMENTS: Columns[LabelFigures] = {
    "department": lambda one: one.label,
    "n": lambda one: one.support,
    "F1": lambda one: Cell(one.f1, one.ci["f1"]),
    "precision": lambda one: one.precision,
    "recall": lambda one: one.recall,
    "AUROC": lambda one: one.auroc,
    "95%": lambda one: one.ci["auroc"],
}
_PERTURBED: Columns[PerturbedFigures] = {
    "perturbation": lambda one: one.title,
    "accuracy": lambda one: one.accuracy,
    "change of accuracy": lambda one: signed(one.accuracy_change, one.ci["accuracy_change"]),
    "Macro-F1": lambda one: one.macro_f1,
    "change of Macro-F1": lambda one: signed(one.macro_f1_change, one.ci["macro_f1_change"]),
}
_PARTS: Columns[ComplaintSubgroup] = {
    "accuracy": lambda part: Cell(part.accuracy, part.ci),
    "Macro-F1": lambda part: part.macro_f1,
}


def view(evaluation: Evaluation) -> EvaluationView:
    """What page and console show of it."""
    present = [figures for figures in evaluation.per_label.values() if figures]
    perturbed = FigureTable.of(Sentence("Perturbed texts"), _PERTURBED, evaluation.robustness)
    return EvaluationView(
        evaluation=evaluation,
        counts=(Sentence("{n} complaints", {"n": len(evaluation.judged)}),),
        headline=(
            *(
                (title, Cell(getattr(evaluation, name), evaluation.ci[name]))
                for name, title in _NAMES.items()
            ),
            (Sentence("Calibration error (ECE)"), evaluation.ece),
            (Sentence("Brier skill"), evaluation.brier_skill),
        ),
        tables=(
            FigureTable.of(
                Sentence("Departments"),
                _DEPARTMENTS,
                sorted(present, key=lambda one: -one.support),
                console=[title for title in _DEPARTMENTS if title != "95%"],
            ),
        ),
        more_tables=(
            _answered(evaluation),
            perturbed,
            FigureTable.of_subgroups(
                Sentence("Parts of the complaints"), _PARTS, evaluation.subgroups, DIMENSIONS
            ),
        ),
        plots=pictures(evaluation),
        files={"predictions.csv": lambda _: predictions_csv(evaluation)},
        method=Sentence(
            "Every figure comes from the probabilities that `tetkik triage predict --json` prints; "
            "predictions.csv has them. Intervals are the middle 95% of {replicates} draws of whole duplicate "
            "groups (seed {seed}), those of AUROC follow Obuchowski (1997). ECE has 15 bins of equal mass; "
            "Brier skill is against always answering the frequencies of the labels in this data.",
            {"replicates": evaluation.replicates, "seed": evaluation.seed},
        ),
    )


def _answered(evaluation: Evaluation) -> FigureTable:
    own = evaluation.abstain
    rows: list[Sequence[object]] = [
        (f"{point.coverage:.2f}", point.n, point.accuracy, point.least_confidence)
        for point in evaluation.coverage.points
    ]
    if own is not None:
        title = Sentence("the model's own threshold ({value:.2f})", {"value": own.threshold})
        share = Sentence("{name}", {"name": f"{own.coverage:.2f}"})
        rows.append((listed((title, share), ": "), own.n, own.accuracy, own.threshold))
    titles = ("share answered", "n", "accuracy", "least probability")
    return FigureTable(Sentence("Accuracy against coverage"), titles, rows, console=())


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


def pictures(evaluation: Evaluation) -> list[Plot]:
    """Every picture that the evaluation allows; ROC and calibration need readable texts."""
    wanted: list[tuple[str, str, Callable[[Evaluation, Language], Figure]]] = [
        ("confusion.png", "Confusion matrix, complaints", _confusion_counts),
        ("confusion_normalised.png", "Confusion matrix, share of each department (%)", _confusion_shares),
        ("per_label.png", "F1 of each department", _per_label),
    ]
    if evaluation.judged.answered.any():
        wanted.append(("calibration.png", "Calibration", _calibration_of_evaluation_page))
    wanted.append(("coverage.png", "Accuracy against coverage", _coverage_of_evaluation_page))
    if any(figures and figures.auroc is not None for figures in evaluation.per_label.values()):
        wanted.append(("roc.png", "ROC curves, one department against the rest", _roc))
    return [(name, title, partial(draw, evaluation)) for name, title, draw in wanted]


def _confusion_counts(evaluation: Evaluation, language: Language) -> Figure:
    counts = evaluation.judged.confusion.astype(np.float64)
    return _confusion(evaluation, language, counts, max(counts.max(), 1.0))


def _confusion_shares(evaluation: Evaluation, language: Language) -> Figure:
    counts = evaluation.judged.confusion.astype(np.float64)
    # Of all complaints of the department, answered or not: the diagonal is its recall.
    shares = 100 * counts / np.maximum(evaluation.judged.support[:, None], 1)
    return _confusion(evaluation, language, shares, 100)


def _confusion(evaluation: Evaluation, language: Language, values: Floats, most: float) -> Figure:
    return confusion_chart(
        values,
        evaluation.judged.support.tolist(),
        evaluation.judged.labels,
        x=translate("department named by the model", language),
        y=translate("true department (complaints)", language),
        most=most,
    )


def _per_label(evaluation: Evaluation, language: Language) -> Figure:
    present = [figures for figures in evaluation.per_label.values() if figures]
    present.sort(key=lambda figures: figures.f1)
    return bar_chart(
        [Bar(f"{item.label} ({item.support})", item.f1, item.ci["f1"]) for item in present],
        axis=translate("F1, with its 95% interval (in brackets: complaints)", language),
        mean=(
            evaluation.macro_f1,
            translate("macro-F1 {value:.2f}", language, value=evaluation.macro_f1),
        ),
    )


def _calibration_of_evaluation_page(evaluation: Evaluation, language: Language) -> Figure:
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


def _coverage_of_evaluation_page(evaluation: Evaluation, language: Language) -> Figure:
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
    plot.set_xlabel(translate("share of complaints answered, the surest first", language))
    plot.set_ylabel(translate("accuracy", language))
    return figure


def _roc(evaluation: Evaluation, language: Language) -> Figure:
    judged = evaluation.judged
    answered = judged.answered
    found = enumerate(evaluation.per_label.values())
    known = [(index, one) for index, one in found if one and one.auroc is not None]
    known.sort(key=lambda item: -(item[1].auroc or 0.0))
    scores, truth = judged.probabilities[answered], judged.truth[answered]
    return roc_chart(
        ((one.auroc, one.label, scores[:, index], truth == index) for index, one in known),
        x=translate("share of other complaints wrongly taken in", language),
        y=translate("share of its complaints found", language),
    )
