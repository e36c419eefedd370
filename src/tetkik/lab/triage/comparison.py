"""Two models on the same complaints: who is right where, and whether the difference is more than chance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tetkik.errors import BundleMismatch
from tetkik.lab.engine.duplicate_texts import duplicate_texts
from tetkik.lab.engine.learned_rows import LearnedRows
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.engine.results import (
    LearnedReport,
    around,
    distinct_names,
    divide,
    ends,
    fields_json,
    to_json,
)
from tetkik.lab.triage.data import Complaints
from tetkik.lab.triage.evaluate import (
    SCORING,
    Scorer,
    judge,
    known_rows,
    match_learned,
    stepped,
    with_own_figures,
)
from tetkik.lab.triage.summaries import DecisionFigures, decisions, interval_of, paired_interval
from tetkik.language import Language, Sentence
from tetkik.statistics import ClusterBootstrap, Interval
from tetkik.values import ProgressCallback

_LEVEL = 0.05


@dataclass(frozen=True, slots=True)
class McNemar:
    """McNemar's test: `b` complaints that only the first model has right, `c` that only the second has.

    The mid-p value (Fagerland, Lydersen and Laake, BMC Medical Research Methodology 13 (2013) 91) holds its
    level nearly as well and finds more.
    """

    b: int
    c: int
    p: float
    mid_p: float


def mcnemar(b: int, c: int) -> McNemar:
    """The test for `b` and `c` discordant pairs; without any, both p-values are 1."""
    count, least = b + c, min(b, c)
    tail = math.fsum(_binomial(count, k) for k in range(least + 1))
    return McNemar(b, c, min(1.0, 2 * tail), min(1.0, 2 * tail - _binomial(count, least)))


def _binomial(count: int, k: int) -> float:
    logarithm = math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
    return math.exp(logarithm - count * math.log(2))


@dataclass(frozen=True, slots=True)
class Side:
    model: str
    accuracy: float
    macro_f1: float
    unreadable: int
    ci: Mapping[str, Interval | None]


@dataclass(frozen=True, slots=True)
class TriageComparison:
    """Two models on the same rows."""

    n: int
    first: Side
    second: Side
    mcnemar: McNemar
    both_right: int
    both_wrong: int
    accuracy_difference: float
    macro_f1_difference: float
    ci: Mapping[str, Interval | None]  # 95% intervals of the differences, from paired draws of groups
    not_evaluated: Mapping[str, int]  # rows by label that one of the two lacks; they are in no figure
    left_out: Mapping[str, int]
    learned: tuple[LearnedReport, ...]  # of each of the two
    conclusion: tuple[Sentence, ...] = ()

    def as_json(self, language: Language = Language.EN) -> dict[str, Any]:
        return {
            "n": self.n,
            "a": to_json(self.first),
            "b": to_json(self.second),
            "only_a_right": self.mcnemar.b,
            "only_b_right": self.mcnemar.c,
            **fields_json(self, "first", "second", "learned", language=language),
            "learned_rows": {name: one.as_json() for name, one in zip("ab", self.learned, strict=True)},
            "mcnemar": fields_json(self.mcnemar, "b", "c"),
        }


def compare(
    first: Scorer,
    second: Scorer,
    complaints: Complaints,
    *,
    learned: tuple[LearnedRows | None, LearnedRows | None] = (None, None),
    treatment: LearnedTreatment = LearnedTreatment.SEPARATE,
    bootstrap: int = 1000,
    seed: int = 0,
    progress: ProgressCallback | None = None,
) -> TriageComparison:
    """Judge two models on the complaints whose label both know; without a bootstrap there are no intervals.

    McNemar's test takes each complaint as independent; the intervals of the differences draw whole duplicate
    groups, so where the two disagree the data has many duplicates and the intervals are to be believed.

    Raises:
        BundleMismatch: the models have no label in common.
        DataError: no row has a label that both models know; or there are learned rows and `treatment`
            refuses them, or no others.
    """
    common = [label for label in first.labels if label in second.labels]
    if not common:
        raise BundleMismatch(
            "{first} and {second} have no label in common; compare models of the same departments.",
            first=first.name,
            second=second.name,
        )
    rows, unknown = known_rows(complaints, common)
    given = complaints.only(rows)
    groups = duplicate_texts(given.texts)
    names = distinct_names(first.name, second.name)
    matches = [
        (name, match_learned(scorer, given, groups, of_one))
        for name, scorer, of_one in zip(names, (first, second), learned, strict=True)
    ]
    new, reports = divide(matches, len(given), treatment)
    counter = stepped(progress, SCORING, 2 * len(given))
    draws = ClusterBootstrap(groups[new], bootstrap, seed)
    every = [judge(scorer, given, groups, counter) for scorer in (first, second)]
    one, other = (judged.only(new) for judged in every)
    if not new.all():
        reports = tuple(
            with_own_figures(report, judged.only(match.either)) if match and report.count else report
            for report, judged, (_, match) in zip(reports, every, matches, strict=True)
        )
    (one_figures, one_replicates), (other_figures, other_replicates) = (
        decisions(judged, draws) for judged in (one, other)
    )
    comparison = TriageComparison(
        n=len(one),
        first=_side(names[0], one.unreadable, one_figures, one_replicates),
        second=_side(names[1], other.unreadable, other_figures, other_replicates),
        mcnemar=mcnemar(int((one.correct & ~other.correct).sum()), int((~one.correct & other.correct).sum())),
        both_right=int((one.correct & other.correct).sum()),
        both_wrong=int((~one.correct & ~other.correct).sum()),
        accuracy_difference=float(other_figures.accuracy - one_figures.accuracy),
        macro_f1_difference=float(other_figures.macro_f1 - one_figures.macro_f1),
        ci={
            f"{name}_difference": paired_interval(one_replicates, other_replicates, name)
            for name in ("accuracy", "macro_f1")
        },
        not_evaluated=unknown,
        left_out=complaints.left_out,
        learned=reports,
    )
    same = bool(np.array_equal(one.probabilities, other.probabilities, equal_nan=True))
    figures = (_conclusion(comparison, same), _macro_conclusion(comparison))
    return replace(comparison, conclusion=tuple(around(figures, reports, names)))


def _side(model: str, unreadable: int, figures: DecisionFigures, replicates: DecisionFigures | None) -> Side:
    ci = {name: interval_of(replicates, name) for name in ("accuracy", "macro_f1")}
    return Side(model, float(figures.accuracy), float(figures.macro_f1), unreadable, ci)


def _conclusion(comparison: TriageComparison, same: bool) -> Sentence:
    test = comparison.mcnemar
    if same:
        return Sentence("The two answer exactly alike on these complaints.")
    values = {
        "first": comparison.first.model,
        "second": comparison.second.model,
        "b": test.b,
        "c": test.c,
        "p": f"p = {test.p:.3f}" if test.p >= 0.001 else "p < 0.001",
    }
    if test.p >= _LEVEL:
        return Sentence(
            "No difference in accuracy is shown: only {first} is right on {b} complaints, only {second} on "
            "{c} (exact McNemar {p}).",
            values,
        )
    names = (comparison.first.model, comparison.second.model)
    (more, better), (fewer, worse) = sorted(zip((test.b, test.c), names, strict=True), reverse=True)
    return Sentence(
        "{better} is right more often than {worse}: alone right on {more} complaints against {fewer} "
        "(exact McNemar {p}).",
        {"better": better, "worse": worse, "more": more, "fewer": fewer, "p": values["p"]},
    )


def _macro_conclusion(comparison: TriageComparison) -> Sentence:
    interval = comparison.ci["macro_f1_difference"]
    return Sentence(
        "Macro-F1 differs by {difference:+.3f} (second minus first)."
        if interval is None
        else "Macro-F1 differs by {difference:+.3f} (second minus first; 95% interval {low:+.3f} to "
        "{high:+.3f}), which may be chance."
        if interval.low <= 0 <= interval.high
        else "Macro-F1 differs by {difference:+.3f} (second minus first; 95% interval {low:+.3f} to "
        "{high:+.3f}), which is more than chance.",
        {"difference": comparison.macro_f1_difference, **ends(interval)},
    )
