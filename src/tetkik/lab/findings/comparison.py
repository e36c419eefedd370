"""Two models on the same images, across several labelled sets: where they differ, and more than by chance."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tetkik.errors import DataError
from tetkik.lab.engine.figure_tables import LabelName
from tetkik.lab.engine.learned_rows import LearnedMatch
from tetkik.lab.engine.options import LearnedTreatment
from tetkik.lab.engine.results import LearnedReport, around, distinct_names, divide, ends, listed, to_json
from tetkik.lab.findings.evaluate import judge, own_mean_auroc
from tetkik.lab.findings.predictions import Predictions
from tetkik.lab.findings.summaries import LEAST_KIND, Judged, mean_over_labels
from tetkik.language import Language, Sentence
from tetkik.statistics import (
    ClusterBootstrap,
    Floats,
    Interval,
    PairedAreas,
    auroc,
    auroc_replicates,
    holm,
    paired_areas,
    percentile_interval,
)

if TYPE_CHECKING:
    from tetkik.lab.findings.data import LabelledImages

_LEVEL = 0.05
_Compared = tuple[str, int, int, PairedAreas]
"""A label, images that know it and that have it, both AUROCs."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelledSet:
    """The answers of two models to a labelled set."""

    name: str
    images: LabelledImages
    first: Predictions
    second: Predictions
    learned: tuple[LearnedMatch | None, LearnedMatch | None] = (None, None)
    """Which images each of the two learned; None where that is not known."""


@dataclass(frozen=True, slots=True)
class ComparedLabel:
    """One label in one set, or pooled.

    `n` are images that both scored and in which it is known; differences are second minus first.
    """

    label: str
    n: int
    n_positive: int
    areas: PairedAreas
    p_adjusted: float

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "n_positive": self.n_positive,
            "a": self.areas.first,
            "b": self.areas.second,
            "difference": self.areas.difference,
            "ci": to_json(self.areas.interval),
            "p": self.areas.p,
            "p_holm": self.p_adjusted,
        }


@dataclass(frozen=True, slots=True)
class ComparedSet:
    """Two models on one set, or pooled over all: the mean AUROC over `mean_labels`, second minus first.

    `n` are images that both scored; `ci` is of the difference, from paired draws of whole groups. `labels`
    have enough images for a test; `learned` is of each model, and empty where sets are pooled.
    """

    name: str
    n: int
    groups: int
    first: float
    second: float
    difference: float
    ci: Interval | None
    mean_labels: tuple[str, ...]
    labels: tuple[ComparedLabel, ...]
    learned: tuple[LearnedReport, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return {
            "n": self.n,
            "groups": self.groups,
            "a": self.first,
            "b": self.second,
            "difference": self.difference,
            "ci": to_json(self.ci),
            "mean_auroc_labels": list(self.mean_labels),
            "per_label": {label.label: label.as_json() for label in self.labels},
            "learned_rows": {name: one.as_json() for name, one in zip("ab", self.learned, strict=False)},
        }


@dataclass(frozen=True, slots=True)
class FindingsComparison:
    """Two models across sets."""

    first: str
    second: str
    sets: tuple[ComparedSet, ...]
    pooled: ComparedSet | None
    """Over all of them; None for a single set."""
    conclusion: tuple[Sentence, ...]

    def as_json(self, language: Language = Language.EN) -> dict[str, Any]:
        return {
            "a": self.first,
            "b": self.second,
            "sets": {part.name: part.as_json() for part in self.sets},
            "pooled": self.pooled.as_json() if self.pooled else None,
            "conclusion": to_json(self.conclusion, language),
        }


def compare(
    sets: Sequence[LabelledSet],
    *,
    treatment: LearnedTreatment = LearnedTreatment.SEPARATE,
    labels: Sequence[str] = (),
    bootstrap: int = 1000,
    seed: int = 0,
) -> FindingsComparison:
    """Compare two models on the images that both scored, label by label and in the mean, set by set.

    The test of a label is DeLong's for paired areas, with Obuchowski's variance where patients or copies
    repeat; a label needs five images of each kind in a set. The mean is over every label that has an AUROC,
    as in `evaluate`. Pooled, images are compared only within their
    set: a pooled difference is the mean of the sets' differences, a label's weighted by its pairs as Mantel
    and Haenszel do, the mean's by images.

    Args:
        treatment: what is done with images that one of the two learned.
        labels: compare these alone; empty for all.
        bootstrap: replicates for the intervals of the means; 0 for none.

    Raises:
        DataError: a set has no label that both models can be judged on; or there are learned images and
            `treatment` refuses them, or no others.
    """
    names = distinct_names(sets[0].first.model, sets[0].second.model)
    compared, replicates = [], []
    for number, part in enumerate(sets):
        found, differences = _compared(part, names, treatment, labels, bootstrap, seed + number)
        compared.append(found)
        replicates.append(differences)
    pooled = _pooled(compared, replicates) if len(compared) > 1 else None
    whole = pooled or compared[0]
    conclusion = (_of_the_mean(names, whole), *_of_the_labels(names, whole))
    for found in reversed(compared):
        of_set = [name if pooled is None else f"{name} ({found.name})" for name in names]
        conclusion = tuple(around(conclusion, found.learned, of_set))
    return FindingsComparison(*names, tuple(compared), pooled, conclusion)


def _compared(
    given: LabelledSet,
    names: tuple[str, str],
    treatment: LearnedTreatment,
    labels: Sequence[str],
    bootstrap: int,
    seed: int,
) -> tuple[ComparedSet, Floats | None]:
    """One set, and the replicates of its mean difference."""
    learned = [match and match.with_copies(given.images.group) for match in given.learned]
    new, reports = divide([*zip(names, learned, strict=True)], len(given.images), treatment)
    part = replace(given, images=given.images.only(new))
    if not new.all():
        reports = tuple(
            report.with_figures(mean_auroc=own_mean_auroc(answers, given.images.only(match.either), labels))
            if match and report.count
            else report
            for report, match, answers in zip(reports, learned, (given.first, given.second), strict=True)
        )
    one, other = _on_the_same_rows(part, labels)
    both = one.usable & other.usable
    known = np.where(both, one.truth, -1).astype(np.int64)
    columns = np.flatnonzero((known == 1).any(axis=0) & (known == 0).any(axis=0)).tolist()
    if not columns:
        raise DataError(
            "In {name} there is no label that both models can be judged on; give images with and without a "
            "label that both assess.",
            name=part.name,
        )
    areas: list[list[float]] = [[], []]
    found: list[_Compared] = []
    for column in columns:
        use = both[:, column]
        positive = one.truth[use, column] == 1
        scores = one.scores[use, column], other.scores[use, column]
        for side, values in zip(areas, scores, strict=True):
            side.append(auroc(values, positive) or 0.0)
        enough = min(positive.sum(), (~positive).sum()) >= LEAST_KIND
        if enough and (paired := paired_areas(*scores, positive, one.groups[use])) is not None:
            found.append((one.labels[column], len(positive), int(positive.sum()), paired))
    draws = ClusterBootstrap(one.groups, bootstrap, seed)
    differences = None
    if draws.possible:
        first_means, second_means = (
            mean_over_labels(auroc_replicates(judged.scores[:, columns], known[:, columns], draws))
            for judged in (one, other)
        )
        differences = second_means - first_means
    first, second = (float(np.mean(side)) for side in areas)
    return ComparedSet(
        name=part.name,
        n=len(one),
        groups=len(np.unique(one.groups)),
        first=first,
        second=second,
        difference=second - first,
        ci=None if differences is None else percentile_interval(differences),
        mean_labels=tuple(one.labels[column] for column in columns),
        labels=_adjusted(found),
        learned=reports,
    ), differences


def _adjusted(found: Sequence[_Compared]) -> tuple[ComparedLabel, ...]:
    """With the p of each label after Holm's adjustment for all of them."""
    adjusted = holm([areas.p for *_, areas in found])
    return tuple(ComparedLabel(*label, p) for label, p in zip(found, adjusted, strict=True))


def _on_the_same_rows(part: LabelledSet, labels: Sequence[str]) -> tuple[Judged, Judged]:
    """Both models' answers to the images that both scored, with the same columns."""
    images = part.images
    for answers in (part.first, part.second):
        row = answers.rows_of(images.files)
        images = images.only((row >= 0) & ~answers.refused[row] & ~answers.failed[row])
    if not len(images):
        raise DataError("In {name} there is no image that both models scored.", name=part.name)
    shared = [label for label in part.first.labels if label in part.second.labels]
    wanted = [label for label in shared if not labels or label in labels]
    if not wanted:
        raise DataError(
            "In {name} the two models assess no label in common; compare models of the same findings.",
            name=part.name,
        )
    return judge(part.first, images, wanted)[0], judge(part.second, images, wanted)[0]


def _pooled(sets: Sequence[ComparedSet], replicates: Sequence[Floats | None]) -> ComparedSet:
    weight = np.array([part.n for part in sets], dtype=np.float64)
    weight /= weight.sum()
    first, second, difference = (
        weight @ np.array([(part.first, part.second, part.difference) for part in sets])
    ).tolist()
    drawn = [item for item in replicates if item is not None]
    whole = np.stack(drawn, axis=1) @ weight if len(drawn) == len(sets) else None
    names = dict.fromkeys(label.label for part in sets for label in part.labels)
    pooled = [
        _pooled_label([label for part in sets for label in part.labels if label.label == name])
        for name in names
    ]
    return ComparedSet(
        name="pooled",
        n=sum(part.n for part in sets),
        groups=sum(part.groups for part in sets),
        first=first,
        second=second,
        difference=difference,
        ci=None if whole is None else percentile_interval(whole),
        mean_labels=tuple(dict.fromkeys(label for part in sets for label in part.mean_labels)),
        labels=_adjusted(pooled),
    )


def _pooled_label(parts: Sequence[ComparedLabel]) -> _Compared:
    pairs = np.array([part.n_positive * (part.n - part.n_positive) / part.n for part in parts])
    weight = pairs / pairs.sum()
    figures = np.array([(item.areas.first, item.areas.second, item.areas.difference) for item in parts])
    first, second, difference = (weight @ figures).tolist()
    error = math.sqrt(float(weight**2 @ [part.areas.error**2 for part in parts]))
    areas = PairedAreas(first, second, difference, error)
    return parts[0].label, sum(part.n for part in parts), sum(part.n_positive for part in parts), areas


def _of_the_mean(names: tuple[str, str], whole: ComparedSet) -> Sentence:
    interval = whole.ci
    return Sentence(
        "The mean AUROC over {labels} labels differs by {difference:+.3f} (B minus A) on {n} images; it has "
        "no interval."
        if interval is None
        else "No difference is shown: the mean AUROC over {labels} labels differs by {difference:+.3f} (B "
        "minus A; 95% interval {low:+.3f} to {high:+.3f}) on {n} images."
        if interval.low <= 0 <= interval.high
        else "{better} is better: the mean AUROC over {labels} labels differs by {difference:+.3f} (B minus "
        "A; 95% interval {low:+.3f} to {high:+.3f}) on {n} images.",
        {
            "difference": whole.difference,
            "n": whole.n,
            "labels": len(whole.mean_labels),
            "better": names[whole.difference > 0],
            **ends(interval),
        },
    )


def _of_the_labels(names: tuple[str, str], whole: ComparedSet) -> list[Sentence]:
    sentences = []
    for name, sign in ((names[1], 1), (names[0], -1)):
        clear = [
            label for label in whole.labels if label.p_adjusted < _LEVEL and label.areas.difference * sign > 0
        ]
        if clear:
            items = (
                Sentence(
                    "{label} ({difference:+.3f})",
                    {"label": LabelName(label.label), "difference": label.areas.difference},
                )
                for label in clear
            )
            sentences.append(
                Sentence(
                    "{better} is better at: {items} (p below 0.05 after Holm's adjustment).",
                    {"better": name, "items": listed(items, ", ")},
                )
            )
    return sentences or [
        Sentence("For no single label is the difference more than chance (Holm's adjustment).")
    ]
