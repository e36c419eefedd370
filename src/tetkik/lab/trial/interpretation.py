"""A trial in words: the decision first, then what it rests on, then what weakens it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, groupby
from types import MappingProxyType

from tetkik.lab.engine.figure_tables import LabelName, bracket
from tetkik.lab.engine.results import listed
from tetkik.lab.trial.results import Check, TrialDecision, TrialPart, TrialResult
from tetkik.language import Sentence

FIGURES = MappingProxyType(
    {
        "answered": Sentence("share of studies answered"),
        "sensitivity": Sentence("sensitivity"),
        "specificity": Sentence("specificity"),
        "auroc": Sentence("AUROC"),
    }
)
DECISIONS = MappingProxyType(
    {
        TrialDecision.GO: Sentence("go"),
        TrialDecision.NO_GO: Sentence("no go"),
        TrialDecision.OPEN: Sentence("not decided"),
    }
)
DIMENSION_NAMES = MappingProxyType(
    {
        "site": Sentence("site"),
        "device": Sentence("device"),
        "sex": Sentence("sex"),
        "age": Sentence("age"),
        "quarter": Sentence("quarter"),
        "language": Sentence("language of the report"),
        "reader": Sentence("reader"),
    }
)
_MANY_UNMATCHED = 0.05


def check_name(check: Check) -> Sentence:
    name = FIGURES[check.figure]
    if check.title is not None:
        return Sentence("{label}, {figure}", {"label": check.title, "figure": name})
    return (
        Sentence("{label}, {figure}", {"label": LabelName(check.label), "figure": name})
        if check.label
        else name
    )


def interpret(result: TrialResult) -> tuple[Sentence, ...]:
    """What the figures say, most important first."""
    parts = (
        *(_decision, _open_parts, _learned, _studies, _unplaced, _unfinished, _evaluations, _weak, _parts),
        *(_readers, _unmatched, _reference),
    )
    return tuple(chain.from_iterable(part(result) for part in parts))


def _decision(result: TrialResult) -> Iterator[Sentence]:
    missed = [check_name(check) for check in result.checks if check.decision is TrialDecision.NO_GO]
    undecided = [
        check_name(check)
        for check in result.checks
        if check.decision is TrialDecision.OPEN and not check.part
    ]
    if missed:
        yield Sentence(
            "No go: the whole interval lies below the limit of {items}.", {"items": listed(missed)}
        )
    elif undecided:
        yield Sentence(
            "Not decided: the interval holds the limit, or studies are missing, for {items}.",
            {"items": listed(undecided)},
        )
    elif result.decision is TrialDecision.GO:
        yield Sentence(
            "Go: every interval lies at or above the limit that was fixed beforehand, and that of no part "
            "below it."
        )


def _open_parts(result: TrialResult) -> Iterator[Sentence]:
    parts = [check for check in result.checks if check.part]
    if undecided := sum(check.decision is TrialDecision.OPEN for check in parts):
        yield Sentence(
            "{n} of {parts} parts are not decided, as the interval holds the limit or studies are missing; "
            "they keep no trial open.",
            {"n": undecided, "parts": len(parts)},
        )


def _learned(result: TrialResult) -> Iterator[Sentence]:
    counts = result.counts
    values = {"model": result.model, "studies": counts.learned, "images": counts.learned_images}
    if not result.tells_learned:
        yield Sentence(
            "Warning: {model} does not tell which images it learned, so studies that it learned may be in "
            "the figures, which are then better than on new ones.",
            values,
        )
    elif counts.learned:
        yield Sentence(
            "{studies} studies are left out: {images} images of their patients are among those that {model} "
            "learned.",
            values,
        )
    else:
        yield Sentence("None of the images is among those that {model} learned.", values)


def patients_sentence(result: TrialResult) -> Sentence:
    """How many patients there are, as far as known."""
    values = {"n": result.patients, "studies": result.without_patient}
    if result.without_patient:
        return Sentence("{n} known patients and {studies} studies of unknown patients", values)
    return Sentence("{n} patients", values)


def _studies(result: TrialResult) -> Iterator[Sentence]:
    counts = result.counts
    yield Sentence(
        "{answered} of {studies} studies with a report and an image were answered: {patients}.",
        {
            "answered": counts.answered,
            "studies": counts.studies - counts.learned,
            "patients": patients_sentence(result),
        },
    )


def _unplaced(result: TrialResult) -> Iterator[Sentence]:
    if result.counts.unplaced:
        yield Sentence(
            "{n} files could not be read and name no study: each counts as a study without an answer.",
            {"n": result.counts.unplaced},
        )


def _evaluations(result: TrialResult) -> Iterator[Sentence]:
    count = len(result.evaluations)
    if count > 1:
        yield Sentence(
            "This is evaluation {n} of the trial, and the first was on {date}: each further one makes a go "
            "by chance more likely.",
            {"n": count, "date": result.evaluations[0]["date"]},
        )


def _unfinished(result: TrialResult) -> Iterator[Sentence]:
    if not result.finished:
        yield Sentence("The run is not through; the same command goes on with it.")


def _weak(result: TrialResult) -> Iterator[Sentence]:
    for label, limit in result.limits.limits.items():
        found = result.per_label.get(label)
        positives = found.n_positive if found else 0
        if positives < limit.positives:
            yield Sentence(
                "{label}: {n} studies with the finding, and {needed} were planned.",
                {"label": LabelName(label), "n": positives, "needed": limit.positives},
            )


def _parts(result: TrialResult) -> Iterator[Sentence]:
    """Dimensions in which two parts have intervals that do not meet."""
    for dimension, found in groupby(result.parts, lambda part: part.dimension):
        known = [part for part in found if part.ci is not None]
        if len(known) < 2:
            continue
        low = min(known, key=lambda part: part.sensitivity or 0.0)
        high = max(known, key=lambda part: part.sensitivity or 0.0)
        if low.ci is not None and high.ci is not None and low.ci.high < high.ci.low:
            yield Sentence(
                "Sensitivity differs by {dimension}: {low} against {high}.",
                {"dimension": DIMENSION_NAMES[dimension], "low": _named(low), "high": _named(high)},
            )


def _named(part: TrialPart) -> Sentence:
    values = {
        "title": part.title,
        "value": part.sensitivity,
        "interval": bracket(part.ci),
        "n": part.positives,
    }
    return Sentence("{title} {value:.2f}{interval} (n = {n})", values)


def _readers(result: TrialResult) -> Iterator[Sentence]:
    assisted = next((part.n for part in result.parts if part.id == "assisted"), 0)
    if assisted:
        yield Sentence(
            "{n} reports were signed by readers who saw another model's findings: they may agree with models "
            "more than the images do.",
            {"n": assisted},
        )


def _unmatched(result: TrialResult) -> Iterator[Sentence]:
    counts = result.counts
    if counts.unmatched > _MANY_UNMATCHED * counts.images:
        yield Sentence(
            "{n} of {images} images have no report: see that the column study names them.",
            {"n": counts.unmatched, "images": counts.images},
        )


def _reference(result: TrialResult) -> Iterator[Sentence]:
    yield Sentence(
        "The reports were read by rules, which err as readers do: have a sample of the disagreements in "
        "cases.csv read by hand before a decision rests on them."
    )
