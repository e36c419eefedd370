"""An evaluation in words: what a person should take from the figures, and the warnings before all praise."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from types import MappingProxyType

import numpy as np

from tetkik.lab.engine.results import around, bracket, listed
from tetkik.lab.findings.summaries import LEAST_EXPECTED, Evaluation, ImageSubgroup, LabelFigures
from tetkik.language import Language, Sentence
from tetkik.values import Flaw, Route, label_name

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


@dataclass(frozen=True, slots=True)
class LabelName(Sentence):
    """A label, by its clinical name in the language asked for; the template is the label itself."""

    def in_language(self, language: Language) -> str:
        return label_name(self.template, language)


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
    values = {"n": len(evaluation.judged), "labels": len(evaluation.measured), "mean": evaluation.mean_auroc}
    interval = evaluation.mean_auroc_ci
    if evaluation.mean_auroc is None:
        yield Sentence("{n} images were scored, and no label has an AUROC.", {"n": values["n"]})
    elif interval is None:
        yield Sentence(
            "Over {labels} labels on {n} images the mean AUROC is {mean:.3f}; it has no interval.",
            values,
        )
    else:
        yield Sentence(
            "Over {labels} labels on {n} images the mean AUROC is {mean:.3f} (95% interval {low:.3f} to "
            "{high:.3f}); 0.5 is guessing.",
            {**values, "low": interval.low, "high": interval.high},
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
        values = {"label": LabelName(item.label), "known": item.source_shortcut, "auroc": item.auroc}
        if item.auroc_within_source is None:
            yield Sentence(
                "Warning: {label} comes with its source. Knowing the source alone scores AUROC {known:.2f}, "
                "so the {auroc:.2f} here may measure the source; no source has images with it and without "
                "it.",
                values,
            )
        else:
            yield Sentence(
                "Warning: {label} comes with its source. Knowing the source alone scores AUROC {known:.2f}, "
                "so the {auroc:.2f} here may measure the source; within sources it is {within:.2f}.",
                {**values, "within": item.auroc_within_source},
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
    values = {"ece": evaluation.mean_ece, "skill": evaluation.mean_brier_skill}
    if evaluation.mean_ece <= _GOOD_ECE and evaluation.mean_brier_skill > 0:
        yield Sentence(
            "Its probabilities can be taken at their word: mean ECE {ece:.3f}, Brier skill {skill:+.3f}.",
            values,
        )
    elif evaluation.mean_ece <= _GOOD_ECE:
        yield Sentence(
            "Its probabilities are right on average (mean ECE {ece:.3f}) but say no more than each label's "
            "frequency would (Brier skill {skill:+.3f}).",
            values,
        )
    else:
        yield Sentence(
            "Its probabilities should not be taken at their word here: mean ECE {ece:.3f}, Brier skill "
            "{skill:+.3f}; see the reliability curves.",
            values,
        )


def _task(evaluation: Evaluation) -> Iterator[Sentence]:
    task = evaluation.task
    if task is None or task.accuracy is None:
        return
    values = {
        "n": task.n,
        "labels": len(task.labels),
        "accuracy": 100 * task.accuracy,
        "balanced": 100 * (task.balanced_accuracy or 0.0),
    }
    if task.ci is None:
        yield Sentence(
            "Of {n} images with exactly one of the {labels} labels of the task {accuracy:.1f}% get the right "
            "one first ({balanced:.1f}% with each label weighing the same).",
            values,
        )
    else:
        yield Sentence(
            "Of {n} images with exactly one of the {labels} labels of the task {accuracy:.1f}% get the right "
            "one first (95% interval {low:.1f} to {high:.1f}; {balanced:.1f}% with each label weighing the "
            "same).",
            {**values, "low": 100 * task.ci.low, "high": 100 * task.ci.high},
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
