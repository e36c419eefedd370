"""What an evaluation is made of: figures from judged rows, each with its interval or the reason for none."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence
from importlib import resources

import numpy as np

from tetkik import turkish
from tetkik.bundle import Metric
from tetkik.lab.engine.results import SMALLEST, Subgroup
from tetkik.lab.triage.figures import (
    Abstention,
    ComplaintSubgroup,
    Coverage,
    CoveragePoint,
    Judged,
    LabelFigures,
)
from tetkik.lab.triage.metrics import DECISIONS, DecisionFigures, accuracy_by_coverage, decision_figures
from tetkik.language import Sentence
from tetkik.statistics import ClusterBootstrap, Floats, Interval, auroc, auroc_interval, percentile_interval
from tetkik.triage.age_and_duration import read_age
from tetkik.triage.calibration import ece, multiclass_brier_skill

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.6, 0.5)
"""The shares of complaints at which accuracy is reported."""


def decisions(judged: Judged, draws: ClusterBootstrap) -> tuple[DecisionFigures, DecisionFigures | None]:
    columns = judged.columns
    replicates = decision_figures(draws.sums(columns)) if draws.possible else None
    return decision_figures(columns.sum(axis=0)), replicates


def interval_of(replicates: DecisionFigures | None, name: str, label: int | None = None) -> Interval | None:
    """The 95% interval of the figure `name` (of one label, for figures by label)."""
    if replicates is None:
        return None
    values: Floats = getattr(replicates, name)
    return percentile_interval(values if label is None else values[:, label])


def measured(judged: Judged, *, split: tuple[Sentence, ...], data: str) -> tuple[Metric, ...]:
    """The figures that every training states in its manifest, those of decisions with a 95% interval."""
    figures, replicates = decisions(judged, ClusterBootstrap(judged.groups))
    curve = accuracy_by_coverage(judged.confidence, judged.correct)
    values = {name: float(getattr(figures, name)) for name in DECISIONS} | {
        "accuracy_at_80_coverage": float(curve[round(0.8 * len(judged)) - 1]),
        "ece": ece(judged.probabilities, judged.truth),
        "brier_skill": multiclass_brier_skill(judged.probabilities, judged.truth),
    }
    found = []
    for name, value in values.items():
        interval = interval_of(replicates, name) if name in DECISIONS else None
        low, high = (interval.low, interval.high) if interval else (None, None)
        found.append(
            Metric(name=name, value=value, low=low, high=high, n=len(judged), data=data, split=split)
        )
    return tuple(found)


def label_figures(
    judged: Judged, figures: DecisionFigures, replicates: DecisionFigures | None
) -> tuple[dict[str, LabelFigures | None], dict[str, Sentence]]:
    """The figures of each label, None for one that the data lacks; and why something is missing."""
    found: dict[str, LabelFigures | None] = {}
    without: dict[str, Sentence] = {}
    answered = judged.answered
    truth, probabilities = judged.truth[answered], judged.probabilities[answered]
    for index, label in enumerate(judged.labels):
        support = int(judged.support[index])
        if not support:
            found[label] = None
            without[f"per_label.{label}"] = Sentence("The data has no complaint with this label.")
            continue
        positive, scores = truth == index, probabilities[:, index]
        area = auroc(scores, positive) if len(truth) else None
        area_interval = (
            auroc_interval(scores, positive, judged.groups[answered]) if area is not None else None
        )
        if np.isnan(figures.precision[index]):
            without[f"per_label.{label}.precision"] = Sentence(
                "The model never chose this label; in the macro mean its precision counts as 0."
            )
        if area is None:
            without[f"per_label.{label}.auroc"] = Sentence(
                "It needs readable complaints with this label and with another."
            )
        elif area_interval is None:
            without[f"per_label.{label}.ci.auroc"] = Sentence(
                "It needs two groups of each kind and an area other than 0 and 1."
            )
        ci = {name: interval_of(replicates, name, index) for name in ("precision", "recall", "f1")}
        for name in (name for name, interval in ci.items() if replicates is not None and interval is None):
            without[f"per_label.{label}.ci.{name}"] = Sentence(
                "There are too few complaints: more than one replicate in twenty gives no figure."
            )
        found[label] = LabelFigures(
            label=label,
            support=support,
            precision=None if np.isnan(figures.precision[index]) else float(figures.precision[index]),
            recall=float(figures.recall[index]),
            f1=float(figures.f1[index]),
            auroc=area,
            ci={**ci, "auroc": area_interval},
        )
    return found, without


def probability_figures(judged: Judged) -> tuple[float | None, float | None, dict[str, Sentence]]:
    """Calibration error and Brier skill over answered rows; and why one is missing."""
    answered = judged.answered
    if not answered.any():
        nothing = Sentence("No text could be read as a complaint.")
        return None, None, {"ece": nothing, "brier_skill": nothing}
    probabilities, truth = judged.probabilities[answered], judged.truth[answered]
    if len(np.unique(truth)) < 2:
        reason = Sentence("All complaints have one label, so there is no reference to be better than.")
        return ece(probabilities, truth), None, {"brier_skill": reason}
    return ece(probabilities, truth), multiclass_brier_skill(probabilities, truth), {}


def coverage_figures(judged: Judged) -> Coverage:
    """Accuracy where only the most confident share is answered; an unreadable text is the least confident."""
    confidence = np.sort(judged.confidence)[::-1]
    curve = accuracy_by_coverage(judged.confidence, judged.correct)
    points = []
    for coverage in COVERAGES:
        n = max(1, round(coverage * len(judged)))
        points.append(CoveragePoint(coverage, n, float(curve[n - 1]), float(confidence[n - 1])))
    return Coverage(tuple(points), float(curve.mean()))


def abstention(judged: Judged, threshold: float | None) -> Abstention | None:
    """What the model's own threshold does; None without one."""
    if threshold is None:
        return None
    kept = judged.answered & (judged.confidence >= threshold)
    n = int(kept.sum())
    return Abstention(threshold, n / len(judged), n, float(judged.correct[kept].mean()) if n else None)


def paired_interval(
    before: DecisionFigures | None, after: DecisionFigures | None, name: str
) -> Interval | None:
    """95% interval of the change in the figure `name`, from replicates of the same draws."""
    if before is None or after is None:
        return None
    return percentile_interval(getattr(after, name) - getattr(before, name))


def subgroup_figures(
    judged: Judged, texts: Sequence[str], draws: ClusterBootstrap
) -> Iterator[ComplaintSubgroup]:
    columns = judged.columns
    for part in subgroups(texts):
        n = int(part.rows.sum())
        if n < SMALLEST:
            reason = Sentence("Fewer than {least} complaints.", {"least": SMALLEST})
            yield ComplaintSubgroup(part.dimension, part.id, part.title, n, reason=reason)
            continue
        inside = columns[part.rows]
        figures = decision_figures(inside.sum(axis=0))
        own_draws = ClusterBootstrap(judged.groups[part.rows], draws.replicates, draws.seed)
        replicates = decision_figures(own_draws.sums(inside)) if own_draws.possible else None
        yield ComplaintSubgroup(
            part.dimension,
            part.id,
            part.title,
            n,
            accuracy=float(figures.accuracy),
            macro_f1=float(figures.macro_f1),
            ci=interval_of(replicates, "accuracy"),
        )


_WORDS = tomllib.loads(resources.files(__package__).joinpath("sex_words.toml").read_text("utf-8"))
_FEMALE, _MALE = (re.compile(rf"\b(?:{'|'.join(_WORDS[sex])})") for sex in ("female", "male"))


def subgroups(texts: Sequence[str]) -> tuple[Subgroup, ...]:
    """Every part of `texts`, by length, stated age and sex in words: of each dimension a row is in one."""
    folded = [" ".join(turkish.fold(text).split()) for text in texts]
    return (*_by_length(texts), *_by_age(folded), *_by_sex(folded))


def _by_length(texts: Sequence[str]) -> tuple[Subgroup, ...]:
    words = np.array([len(text.split()) for text in texts])
    return (
        Subgroup("length", "under_20", Sentence("under 20 words"), words < 20),
        Subgroup("length", "20_to_49", Sentence("20 to 49 words"), (words >= 20) & (words < 50)),
        Subgroup("length", "50_to_99", Sentence("50 to 99 words"), (words >= 50) & (words < 100)),
        Subgroup("length", "100_or_more", Sentence("100 words or more"), words >= 100),
    )


def _by_age(folded: Sequence[str]) -> tuple[Subgroup, ...]:
    ages = [read_age(text) for text in folded]
    years = np.array([np.nan if age is None else age.years for age in ages])
    return (
        Subgroup("age", "child", Sentence("age given, under 18"), years < 18),
        Subgroup("age", "adult", Sentence("age given, 18 to 64"), (years >= 18) & (years < 65)),
        Subgroup("age", "old", Sentence("age given, 65 or more"), years >= 65),
        Subgroup("age", "not_told", Sentence("no age given"), np.isnan(years)),
    )


def _by_sex(folded: Sequence[str]) -> tuple[Subgroup, ...]:
    female = np.array([bool(_FEMALE.search(text)) for text in folded])
    male = np.array([bool(_MALE.search(text)) for text in folded])
    return (
        Subgroup("sex", "female", Sentence("words of a woman or girl"), female & ~male),
        Subgroup("sex", "male", Sentence("words of a man or boy"), male & ~female),
        Subgroup("sex", "both", Sentence("words of both sexes"), female & male),
        Subgroup("sex", "neither", Sentence("no word of either sex"), ~female & ~male),
    )
