"""An evaluation in words: what a person should take from the figures."""

from __future__ import annotations

import logging
import tomllib
from collections.abc import Iterator
from importlib import resources

import numpy as np

from tetkik.lab.engine.results import around, bracket
from tetkik.lab.triage.summaries import Evaluation, Judged
from tetkik.language import Sentence
from tetkik.settings import settings

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
    values = {
        "n": len(evaluation.judged),
        "accuracy": 100 * evaluation.accuracy,
        "top3": 100 * evaluation.top3_accuracy,
        "f1": evaluation.macro_f1,
    }
    interval = evaluation.ci["accuracy"]
    if interval is None:
        return Sentence(
            "Of {n} complaints {accuracy:.1f}% get the right department first and {top3:.1f}% among the "
            "first three; macro-F1 is {f1:.3f}. These are too few to say how far chance reaches.",
            values,
        )
    return Sentence(
        "Of {n} complaints {accuracy:.1f}% get the right department first (95% interval {low:.1f} to "
        "{high:.1f}) and {top3:.1f}% among the first three; macro-F1 is {f1:.3f}.",
        {**values, "low": 100 * interval.low, "high": 100 * interval.high},
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
    if fall < 1:
        yield Sentence("How a text is spelled matters little: no perturbation costs one point of accuracy.")
    else:
        yield Sentence(
            "Of the changes in spelling this one costs most: {perturbation} ({fall:.1f} points of accuracy).",
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
