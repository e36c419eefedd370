"""What the scores of rows that were not learned are worth: calibration, thresholds, figures.

A probability means what it says: per label, a sigmoid over the logit of the network's score.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import Metric
from tetkik.findings.operating_points import DIGITS, logit, platt
from tetkik.lab.findings.sources.rows import Truth
from tetkik.lab.findings.summaries import mean_interval, mean_of
from tetkik.lab.findings.thresholds import Decisions, Rule, choose_precise, choose_threshold
from tetkik.language import Sentence
from tetkik.report.facts import certainty_of
from tetkik.statistics import (
    Bools,
    ClusterBootstrap,
    Floats,
    Interval,
    Ints,
    auroc,
    auroc_interval,
    auroc_replicates,
    average_precision,
    brier_skill,
    expected_calibration_error,
    share_interval,
    wilson_interval,
)
from tetkik.values import NIH_LABELS, NORMAL_LABELS, Certainty

Platt = tuple[float, float]
"""Slope and intercept: probability = sigmoid(slope * logit(score) + intercept)."""

PRECISION, NORMAL_PRECISION = 0.5, 0.9
"""Of what a draft states at least so much is to be true; of the images that it calls normal."""
LEAST = 5
"""Rows of each kind that a calibration needs; with fewer it would only repeat their accident."""
_PRIOR_DEVIATION = 1.0
"""Of the slope around 1: it bends a slope only where the data do not speak."""
_STEPS = 100


def fit_platt(scores: NDArray[np.floating], positive: Bools, weight: Floats | None = None) -> Platt | None:
    """Slope and intercept with the least penalised negative log-likelihood on rows not trained on.

    Platt, "Probabilistic outputs for support vector machines", 1999, on the logit of the score; Newton's
    method. A normal prior around the identity's slope (mean 1, deviation 1) keeps separable rows finite, and
    the slope is never below 0: calibration must not turn a ranking round. None with fewer than `LEAST` rows
    of either kind. `weight` is how much each row counts.
    """
    if min(int(positive.sum()), int((~positive).sum())) < LEAST:
        return None
    mass = np.ones(len(scores)) if weight is None else np.asarray(weight, np.float64)
    truth = positive.astype(np.float64)
    slope, intercept = _newton(np.stack([logit(scores), np.ones(len(scores))], axis=1), truth, mass)
    if slope < 0:
        share = float((mass * truth).sum() / mass.sum())
        slope, intercept = 0.0, float(np.log(share / (1 - share)))
    return slope, intercept


def _newton(columns: Floats, truth: Floats, mass: Floats) -> Platt:
    """Minimise the penalised loss; halved steps, so that it never rises."""
    prior = np.array([1.0, 0.0])
    precision = np.diag([1 / _PRIOR_DEVIATION**2, 1e-6])

    def loss(at: Floats) -> float:
        value = columns @ at
        off = at - prior
        return float((mass * (np.logaddexp(0, value) - truth * value)).sum() + off @ precision @ off / 2)

    place, least = prior.copy(), loss(prior)
    for _ in range(_STEPS):
        probability = 1 / (1 + np.exp(-np.clip(columns @ place, -500, 500)))
        gradient = columns.T @ (mass * (probability - truth)) + precision @ (place - prior)
        bend = (columns * (mass * probability * (1 - probability))[:, None]).T @ columns + precision
        step = np.linalg.solve(bend, gradient)
        size = 1.0
        while (now := loss(place - size * step)) > least and size > 1e-10:
            size /= 2
        if now > least:
            break
        place, gain, least = place - size * step, least - now, now
        if gain < 1e-12 * max(1.0, abs(least)):
            break
    return float(place[0]), float(place[1])


def fit_calibration(scores: Floats, truth: NDArray[np.int8], labels: Sequence[str]) -> dict[str, Platt]:
    """`fit_platt` for each label that has enough rows; unknown truth and missing scores (NaN) are left out.

    Slope and intercept by label, for a bundle's `calibration["labels"]`.
    """
    found = {}
    for column, label in enumerate(labels):
        known = (truth[:, column] >= 0) & ~np.isnan(scores[:, column])
        fitted = fit_platt(scores[known, column], truth[known, column] == 1)
        if fitted is not None:
            found[label] = fitted
    return found


def calibrated(scores: Floats, labels: Sequence[str], calibration: Mapping[str, Platt]) -> Floats:
    """Probabilities of scores, (rows, labels) both; NaN stays NaN, as does a label without a calibration."""
    probabilities = np.full(scores.shape, np.nan)
    for column, label in enumerate(labels):
        if label in calibration:
            probabilities[:, column] = platt(scores[:, column], *calibration[label])
    return probabilities


@dataclass(frozen=True, slots=True)
class OperatingPoints:
    """How scores are read, chosen on rows that are not reported."""

    calibration: dict[str, Platt]
    thresholds: dict[str, float]
    """On the probability; a label without one is not assessed."""
    asserts: dict[str, float] = field(default_factory=dict)
    """From which probability on a draft states it; a label without one is never stated."""

    @classmethod
    def fitted(
        cls,
        scores: Floats,
        truth: Truth,
        labels: Sequence[str],
        assessed: Sequence[str],
        rule: Rule,
        groups: NDArray[np.int64] | None = None,
        unselected: Bools | None = None,
    ) -> OperatingPoints:
        """Calibrate each assessed label and choose its threshold, and from where on a draft states it.

        A label whose scores tell nothing, or the reverse of what they should, gets no threshold.

        Args:
            groups: (rows,), patients and duplicates; None where each row is one.
            unselected: (rows,), those that nobody chose for what they show, among which the precision has to
                be reached as well; None where that is known of none.
        """
        groups = np.arange(len(scores)) if groups is None else groups
        fits = fit_calibration(scores, truth, labels)
        calibration = {label: fits[label] for label in assessed if label in fits and fits[label][0] > 0}
        probability = calibrated(scores, labels, calibration)
        thresholds = {}
        for label in calibration:
            column = labels.index(label)
            known = truth[:, column] >= 0
            found = choose_threshold(probability[known, column], truth[known, column] == 1, rule)
            if found is not None:
                thresholds[label] = found
        asserts = {}
        for label, threshold in thresholds.items():
            column = labels.index(label)
            use = truth[:, column] >= 0
            parts = () if unselected is None else (unselected[use],)
            bound = NORMAL_PRECISION if label in NORMAL_LABELS else PRECISION
            values, positive = probability[use, column], truth[use, column] == 1
            found = choose_precise(values, positive, groups[use], threshold, bound, parts)
            if found is not None:
                asserts[label] = found
        return cls({label: calibration[label] for label in thresholds}, thresholds, asserts)


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Rows with what an honest reading says of them."""

    labels: tuple[str, ...]
    rows: NDArray[np.int64]
    truth: Truth
    groups: NDArray[np.int64]
    """(rows,), component of each."""
    source: tuple[str, ...]
    scores: Floats
    """(rows, labels), sigmoids."""
    probability: Floats
    """(rows, labels), NaN where not assessed."""
    called: NDArray[np.int8]
    """(rows, labels): 1 at or above the threshold, 0 below, -1 where not assessed."""
    stated: Bools
    """(rows, labels): whether a draft states it."""

    def only(self, wanted: NDArray[np.int64]) -> HeldOut:
        source = tuple(self.source[place] for place in wanted)
        arrays = ("rows", "truth", "groups", "scores", "probability", "called", "stated")
        return replace(self, source=source, **{name: getattr(self, name)[wanted] for name in arrays})


def decide(
    scores: Floats, labels: Sequence[str], points: OperatingPoints
) -> tuple[Floats, NDArray[np.int8], Bools]:
    """Probabilities of scores, calls, and what a draft states: (rows, labels) each."""
    probability = calibrated(scores, labels, points.calibration)
    called = np.full(scores.shape, -1, np.int8)
    for label, threshold in points.thresholds.items():
        column = labels.index(label)
        called[:, column] = np.round(probability[:, column], DIGITS) >= threshold
    stated = np.zeros(scores.shape, np.bool_)
    for label, point in points.asserts.items():
        column = labels.index(label)
        stated[:, column] = np.round(probability[:, column], DIGITS) >= point
    # Nothing is normal beside something positive.
    ill = [labels.index(label) for label in points.thresholds if label not in NORMAL_LABELS]
    for column in (labels.index(label) for label in points.asserts if label in NORMAL_LABELS):
        stated[:, column] &= ~(called[:, ill] == 1).any(axis=1)
    return probability, called, stated


def cross_calibrated(
    scores: Floats,
    truth: Truth,
    fold: NDArray[np.int64],
    labels: Sequence[str],
    assessed: Sequence[str],
    rule: Rule,
    groups: NDArray[np.int64] | None = None,
    unselected: Bools | None = None,
) -> tuple[Floats, NDArray[np.int8], Bools]:
    """Each fold read as the other folds teach it, so that nothing is chosen on the rows that are reported."""
    probability, called = np.full(scores.shape, np.nan), np.full(scores.shape, -1, np.int8)
    stated = np.zeros(scores.shape, np.bool_)
    for number in np.unique(fold):
        mine = fold == number
        others = [None if part is None else part[~mine] for part in (groups, unselected)]
        points = OperatingPoints.fitted(scores[~mine], truth[~mine], labels, assessed, rule, *others)
        probability[mine], called[mine], stated[mine] = decide(scores[mine], labels, points)
    return probability, called, stated


_Figure = tuple[str, float, Interval | None, int]
"""Name, value, 95% interval, and rows that it was measured on."""


def metrics_of(held_out: HeldOut, data: str, split: tuple[Sentence, ...]) -> tuple[Metric, ...]:
    """All figures: means first, then label by label."""
    assessed = np.flatnonzero((held_out.called >= 0).any(axis=0)).tolist()
    names = [label for label in _ranked(held_out) if held_out.labels.index(label) in assessed]
    figures = [*_means(held_out, names), *_drafts(held_out)]
    figures += [item for name in names for item in _label_figures(held_out, name)]
    return tuple(
        Metric(
            name=name,
            value=value,
            low=interval.low if interval else None,
            high=interval.high if interval else None,
            n=n,
            data=data,
            split=split,
        )
        for name, value, interval, n in figures
    )


def source_metrics(
    held_out: HeldOut, source: str, data: str, split: tuple[Sentence, ...]
) -> tuple[Metric, ...]:
    """The rankings and what drafts state on one source's rows alone, each with `@source` behind its name."""
    part = held_out.only(np.flatnonzero([name == source for name in held_out.source]))
    return tuple(
        metric.model_copy(update={"name": f"{metric.name}@{source}"})
        for metric in metrics_of(part, data, split)
        if metric.name.startswith(("mean_auroc", "auroc:", "precision", "stated"))
    )


def _ranked(held_out: HeldOut) -> list[str]:
    """Labels known both ways in these rows."""
    both = (held_out.truth == 1).any(axis=0) & (held_out.truth == 0).any(axis=0)
    return [label for label, usable in zip(held_out.labels, both, strict=True) if usable]


def _means(held_out: HeldOut, names: Sequence[str]) -> Iterator[_Figure]:
    """Means over the assessed labels, and over the 14 of NIH where all of them could be ranked."""
    for name, members in (("mean_auroc", names), ("mean_auroc_nih", NIH_LABELS)):
        if members and set(members) <= set(_ranked(held_out)):
            yield _mean_auroc(held_out, name, members)
    columns = [held_out.labels.index(label) for label in names]
    rankings = [_known(held_out, column) for column in columns]
    precisions = [average_precision(scores, positive) for scores, positive, _ in rankings]
    calibration = [_calibration_figures(held_out, column) for column in columns]
    n = int((held_out.truth[:, columns] >= 0).any(axis=1).sum())
    values = {
        "mean_average_precision": [value for value in precisions if value is not None],
        "mean_ece": [ece for ece, _ in calibration],
        "mean_brier_skill": [skill for _, skill in calibration],
    }
    for name, items in values.items():
        if items:
            yield name, float(np.mean(items)), None, n


def _mean_auroc(held_out: HeldOut, name: str, members: Sequence[str]) -> _Figure:
    columns = [held_out.labels.index(label) for label in members]
    rows = (held_out.truth[:, columns] >= 0).any(axis=1)
    scores, truth = held_out.scores[rows][:, columns], held_out.truth[rows][:, columns]
    draws = ClusterBootstrap(held_out.groups[rows])
    interval = None
    if draws.possible:
        replicates = auroc_replicates(scores, truth.astype(np.int64), draws)
        # A draw without a rare label's positives has no area for it; the others still say how the mean moves.
        usable = ~np.isnan(replicates).all(axis=1)
        interval = mean_interval(replicates[usable], range(len(columns)))
        if interval is not None and interval.low == interval.high:
            interval = None  # every draw is perfect, which proves nothing
    mean = mean_auroc(scores, truth)
    assert mean is not None
    return name, mean, interval, int(rows.sum())


def _label_figures(held_out: HeldOut, label: str) -> Iterator[_Figure]:
    column = held_out.labels.index(label)
    scores, positive, groups = _known(held_out, column)
    area = auroc(scores, positive)
    assert area is not None
    yield f"auroc:{label}", area, auroc_interval(scores, positive, groups), len(scores)
    called, truth = held_out.called[:, column], held_out.truth[:, column]
    use = (called >= 0) & (truth >= 0)
    decisions = Decisions.of(called[use] == 1, truth[use] == 1)
    for name, kind, share in (
        ("sensitivity", 1, decisions.sensitivity),
        ("specificity", 0, decisions.specificity),
    ):
        if share is not None:
            of_kind = held_out.groups[use & (truth == kind)]
            yield f"{name}:{label}", share, _wilson(share, of_kind), len(of_kind)
    stated = held_out.stated[:, column] & (truth >= 0)
    if stated.any():
        yield _share(f"precision:{label}", truth[stated] == 1, held_out.groups[stated])


def _drafts(held_out: HeldOut) -> Iterator[_Figure]:
    """How much of what drafts state is true, in all and by the word of likelihood; how many state any."""
    place, column, right = _statements(held_out)
    if not len(place):
        return
    yield _share("precision", right, held_out.groups[place])
    words = _words(held_out, place, column)
    for word in Certainty:
        if (words == word).any():
            yield _share(f"precision_{word}", right[words == word], held_out.groups[place[words == word]])
    some = np.isin(np.arange(len(held_out.rows)), place)
    yield _share("stated_any", some, held_out.groups)


def _statements(held_out: HeldOut) -> tuple[Ints, Ints, Bools]:
    """Row, column and truth of every statement of a finding whose truth is known."""
    ill = np.array([label not in NORMAL_LABELS for label in held_out.labels])
    place, column = np.nonzero(held_out.stated & ill & (held_out.truth >= 0))
    return place, column, held_out.truth[place, column] == 1


def _words(held_out: HeldOut, place: Ints, column: Ints) -> NDArray[np.str_]:
    return np.array([certainty_of(float(value)) for value in held_out.probability[place, column]])


def words_separate(held_out: HeldOut) -> bool:
    """Whether the surer word is the more often right: the intervals of neighbouring words do not overlap."""
    place, column, right = _statements(held_out)
    words = _words(held_out, place, column)
    used = [word for word in Certainty if (words == word).any()]
    shares = [share_interval(right[words == word], held_out.groups[place[words == word]]) for word in used]
    between = list(pairwise(shares))
    return bool(between) and all(sure and less and sure.low > less.high for sure, less in between)


def _share(name: str, success: Bools, groups: Ints) -> _Figure:
    return name, float(success.mean()), share_interval(success, groups), len(success)


def _wilson(share: float, groups: NDArray[np.int64]) -> Interval | None:
    """Wilson's interval with patients (components), not images, as the independent trials."""
    trials = len(np.unique(groups))
    found = wilson_interval(int(share * trials + 1e-9), trials)
    # The trials' share was rounded down, so the interval may end below the images' own.
    return None if found is None else Interval(min(found.low, share), max(found.high, share))


def _calibration_figures(held_out: HeldOut, column: int) -> tuple[float, float]:
    """ECE and Brier skill of one label's probabilities."""
    use = (held_out.truth[:, column] >= 0) & ~np.isnan(held_out.probability[:, column])
    claimed, happened = held_out.probability[use, column], held_out.truth[use, column]
    skill = brier_skill(claimed, happened) if len(np.unique(happened)) == 2 else 0.0
    return expected_calibration_error(claimed, happened), skill


def _known(held_out: HeldOut, column: int) -> tuple[Floats, NDArray[np.bool_], NDArray[np.int64]]:
    known = held_out.truth[:, column] >= 0
    return held_out.scores[known, column], held_out.truth[known, column] == 1, held_out.groups[known]


def mean_auroc(scores: NDArray[np.floating], truth: Truth) -> float | None:
    """Mean AUROC of scores (rows, labels) over the labels known both ways; None where there is none."""
    known = (truth >= 0).T
    return mean_of(
        auroc(scores[use, at].astype(np.float64), truth[use, at] == 1)
        for at, use in enumerate(known)
        if use.any()
    )
