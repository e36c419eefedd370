"""What an evaluation is made of: figures from judged images, each with its interval or why it has none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.results import SMALLEST, Subgroup
from tetkik.lab.findings.figures import ImageSubgroup, Judged, LabelFigures, Method, Screening, TaskFigures
from tetkik.lab.findings.metrics import abnormal_truth, single_label_task, source_shortcut
from tetkik.lab.findings.thresholds import Decisions
from tetkik.language import Sentence
from tetkik.statistics import (
    Bools,
    ClusterBootstrap,
    Floats,
    Interval,
    auroc,
    auroc_replicates,
    average_precision,
    brier_skill,
    delong,
    expected_calibration_error,
    percentile_interval,
    ratio,
    sensitivity_at_specificity,
    share_interval,
    specificity_at_sensitivity,
    stratified_auroc,
)
from tetkik.values import NORMAL_LABELS, Route, Sex, View, route_of

FIXED = (0.90, 0.95)
"""The specificities and sensitivities at which the other of the two is reported."""
LEAST_KIND = 5
"""Images with a label, and without it, from which on an interval, or a part's AUROC, means anything."""

DIMENSIONS = {"view": "View", "source": "Source", "sex": "Sex", "age": "Age", "prevalence": "Prevalence"}

Without = dict[str, Sentence]
"""Why a figure is null, by its path in the JSON."""


def mean_interval(replicates: Floats | None, columns: Sequence[int]) -> Interval | None:
    """95% interval of the mean over labels."""
    if replicates is None or not columns:
        return None
    return percentile_interval(mean_over_labels(replicates[:, columns]))


def mean_over_labels(replicates: Floats) -> Floats:
    """(replicates,): the mean over the labels that a draw has, of (replicates, labels)."""
    there = (~np.isnan(replicates)).sum(axis=1).astype(np.float64)
    return ratio(np.nansum(replicates, axis=1), there)


def label_figures(judged: Judged, replicates: Floats | None) -> tuple[dict[str, LabelFigures], Without]:
    """The figures of each label, and why something is missing."""
    found: dict[str, LabelFigures] = {}
    without: Without = {}
    for column, label in enumerate(judged.labels):
        own = None if replicates is None else replicates[:, column]
        found[label], reasons = _label(judged, column, own)
        without |= {f"per_label.{label}{name}": reason for name, reason in reasons.items()}
    return found, without


def _label(judged: Judged, column: int, replicates: Floats | None) -> tuple[LabelFigures, Without]:
    label, known = judged.labels[column], judged.truth[:, column] >= 0
    use = judged.usable[:, column]
    positive, scores = judged.truth[use, column] == 1, judged.scores[use, column]
    n, n_positive = len(positive), int(positive.sum())
    if not known.any():
        reason = Sentence("The data says nothing about this label.")
        return LabelFigures(label, 0, 0), {"": reason}
    if label not in judged.operated_at:
        n, n_positive = int(known.sum()), int((judged.truth[:, column] == 1).sum())
        return LabelFigures(label, n, n_positive), {"": Sentence("The model does not assess this label.")}
    if not n:
        reason = Sentence("No image for which this label is known was assessed for it.")
        return LabelFigures(label, 0, 0), {"": reason}
    without: Without = {}
    groups, source = judged.groups[use], np.asarray(judged.source)[use]
    decisions = Decisions.of(judged.decided[use, column], positive)
    called = judged.decided[use, column]
    area = auroc(scores, positive)
    ci, method = _interval(scores, positive, groups, replicates) if area is not None else (None, None)
    if area is None:
        without[".auroc"] = Sentence(
            "It needs images with and without this label: of {n} it is present in {n_positive}.",
            {"n": n, "n_positive": n_positive},
        )
    elif ci is None:
        without[".ci"] = Sentence(
            "It needs {least} patients with it and {least} without, an area other than 0 and 1 and, where "
            "patients repeat, a bootstrap.",
            {"least": LEAST_KIND},
        )
    if decisions.f1 is None:
        without[".f1_at_threshold"] = Sentence("No image has this label.")
    ece, skill, reasons = _calibration(judged.probabilities[use, column], positive)
    without |= reasons
    several = len(np.unique(source)) > 1
    return LabelFigures(
        label=label,
        n=n,
        n_positive=n_positive,
        auroc=area,
        ci=ci,
        method=method,
        auroc_within_source=(
            stratified_auroc(scores, positive, np.unique(source, return_inverse=True)[1]) if several else None
        ),
        source_shortcut=source_shortcut(positive, source.tolist(), groups),
        average_precision=average_precision(scores, positive),
        f1_at_half=Decisions.of(scores >= 0.5, positive).f1,
        operated_at=judged.operated_at[label],
        f1=decisions.f1,
        sensitivity=decisions.sensitivity,
        sensitivity_ci=share_interval(called[positive], groups[positive]),
        specificity=decisions.specificity,
        specificity_ci=share_interval(~called[~positive], groups[~positive]),
        ece=ece,
        brier_skill=skill,
        **_at_fixed(scores, positive),
    ), without


def _interval(
    scores: Floats, positive: Bools, groups: NDArray[np.int64], replicates: Floats | None
) -> tuple[Interval | None, Method | None]:
    if min(len(np.unique(groups[positive])), len(np.unique(groups[~positive]))) < LEAST_KIND:
        return None, None
    if len(np.unique(groups)) < len(groups):
        interval = None if replicates is None else percentile_interval(replicates)
        # Where every pair is in order every draw says 1, which is no interval.
        if interval is not None and interval.low == interval.high:
            interval = None
        return interval, Method.BOOTSTRAP if interval else None
    areas = delong(scores[None, :], positive)
    interval = None if areas is None else areas.interval()
    return interval, Method.DELONG if interval else None


def _calibration(probabilities: Floats, positive: Bools) -> tuple[float | None, float | None, Without]:
    there = ~np.isnan(probabilities)
    claimed, happened = probabilities[there], positive[there]
    if not len(claimed):
        reason = Sentence("The model has no calibration for this label.")
        return None, None, {".ece": reason, ".brier_skill": reason}
    ece = expected_calibration_error(claimed, happened)
    if happened.all() or not happened.any():
        reason = Sentence("All images are alike in this label, so there is no reference to be better than.")
        return ece, None, {".brier_skill": reason}
    return ece, brier_skill(claimed, happened), {}


def _at_fixed(scores: Floats, positive: Bools) -> dict[str, Any]:
    return {
        "sensitivity_at": tuple((at, sensitivity_at_specificity(scores, positive, at)) for at in FIXED),
        "specificity_at": tuple((at, specificity_at_sensitivity(scores, positive, at)) for at in FIXED),
    }


def mean_of(values: Iterable[float | None]) -> float | None:
    """The mean of what is there; None of nothing."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def screening_figures(judged: Judged, draws: ClusterBootstrap) -> tuple[tuple[Screening, ...], Without]:
    """Whether anything is abnormal, on each route that the truth speaks of."""
    found, without = [], {}
    for route in Route:
        columns = [at for at, label in enumerate(judged.labels) if route_of(label) is route]
        labels = [judged.labels[at] for at in columns]
        truth = abnormal_truth(judged.truth[:, columns], labels)
        if not (truth >= 0).any():
            continue
        by, scores = "screen", np.where(truth >= 0, judged.screen, np.nan)
        if np.isnan(scores).all():
            ills = [at for at in columns if judged.labels[at] not in NORMAL_LABELS]
            highest = np.nan_to_num(judged.scores[:, ills], nan=-1.0).max(axis=1, initial=-1.0)
            by, scores = "highest_score", np.where(highest < 0, np.nan, highest)
        use = (truth >= 0) & ~np.isnan(scores)
        positive, scored, groups = truth[use] == 1, scores[use], judged.groups[use]
        area = auroc(scored, positive) if len(scored) else None
        screening = Screening(route.value, int(use.sum()), int(positive.sum()), by, area, None)
        if area is None:
            without[f"screening.{route.value}.auroc"] = Sentence(
                "It needs scored images that are normal and others that are not."
            )
        else:
            own = ClusterBootstrap(groups, draws.replicates, draws.seed)
            replicates = None
            if own.possible and own.grouped:
                replicates = auroc_replicates(scored[:, None], positive[:, None].astype(np.int64), own)[:, 0]
            interval, _ = _interval(scored, positive, groups, replicates)
            screening = replace(screening, ci=interval, **_at_fixed(scored, positive))
        found.append(screening)
    return tuple(found), without


def task_figures(judged: Judged, task: Sequence[str]) -> TaskFigures:
    """Accuracy where exactly one label of `task` is true; calibrated values decide where all have them."""
    columns = [judged.labels.index(label) for label in task]
    calibrated = not np.isnan(np.where(judged.usable, judged.probabilities, 0.0)[:, columns]).any()
    values = judged.probabilities if calibrated else judged.scores
    found = single_label_task(values, judged.truth, judged.labels, task)
    n = len(found.rows)
    support = np.bincount(found.truth, minlength=len(task))
    shares = [found.correct[found.truth == at].mean() for at in np.flatnonzero(support)]
    areas = [auroc(values[found.rows, column], found.truth == at) for at, column in enumerate(columns)]
    return TaskFigures(
        labels=tuple(task),
        n=n,
        accuracy=float(found.correct.mean()) if n else None,
        ci=share_interval(found.correct, judged.groups[found.rows]),
        balanced_accuracy=float(np.mean(shares)) if n else None,
        mean_auroc=mean_of(areas) if n else None,
        confusion=found.confusion,
    )


def subgroups(judged: Judged) -> Iterator[Subgroup]:
    """Every part; in a dimension each image is in exactly one. One that divides nothing is left out."""
    view, sex = (np.array([item or "" for item in column]) for column in (judged.view, judged.sex))
    source = np.array(judged.source)
    age = np.array([np.nan if item is None else item for item in judged.age], dtype=np.float64)
    dimensions: dict[str, list[tuple[str, Sentence, Bools]]] = {
        "view": [
            ("PA", Sentence("PA"), view == View.PA),
            ("AP", Sentence("AP"), view == View.AP),
            ("other", Sentence("another view"), ~np.isin(view, ("", View.PA, View.AP))),
            ("unknown", Sentence("view not known"), view == ""),
        ],
        "source": [
            (name, Sentence("{name}", {"name": name}), source == name) for name in sorted(set(judged.source))
        ],
        "sex": [
            ("F", Sentence("women and girls"), sex == Sex.FEMALE),
            ("M", Sentence("men and boys"), sex == Sex.MALE),
            ("O", Sentence("another sex"), sex == Sex.OTHER),
            ("unknown", Sentence("sex not known"), sex == ""),
        ],
        "age": [
            ("under_18", Sentence("under 18 years"), age < 18),
            ("18_to_39", Sentence("18 to 39 years"), (age >= 18) & (age < 40)),
            ("40_to_64", Sentence("40 to 64 years"), (age >= 40) & (age < 65)),
            ("65_or_more", Sentence("65 years or more"), age >= 65),
            ("unknown", Sentence("age not known"), np.isnan(age)),
        ],
    }
    for dimension, parts in dimensions.items():
        there = [Subgroup(dimension, *part) for part in parts if part[2].any()]
        if len(there) > 1:
            yield from there


def subgroup_figures(judged: Judged, draws: ClusterBootstrap) -> Iterator[ImageSubgroup]:
    """The mean AUROC of every part of the images, over the labels with enough rows of both kinds there."""
    for part in subgroups(judged):
        bare = ImageSubgroup(part.dimension, part.id, part.title, int(part.rows.sum()))
        if bare.n < SMALLEST:
            yield replace(bare, reason=Sentence("Fewer than {least} images.", {"least": SMALLEST}))
            continue
        usable = judged.usable & part.rows[:, None]
        kinds = [((judged.truth == kind) & usable).sum(axis=0) for kind in (0, 1)]
        columns = np.flatnonzero(np.minimum(*kinds) >= LEAST_KIND).tolist()
        if not columns:
            reason = Sentence(
                "No label has {least} images with and {least} without it here.", {"least": LEAST_KIND}
            )
            yield replace(bare, reason=reason)
            continue
        truth = np.where(judged.usable, judged.truth, -1)[part.rows][:, columns].astype(np.int64)
        scores = judged.scores[part.rows][:, columns]
        areas = {
            judged.labels[column]: area
            for at, column in enumerate(columns)
            if (area := auroc(scores[truth[:, at] >= 0, at], truth[truth[:, at] >= 0, at] == 1)) is not None
        }
        own = ClusterBootstrap(judged.groups[part.rows], draws.replicates, draws.seed)
        replicates = auroc_replicates(scores, truth, own) if own.possible else None
        interval = mean_interval(replicates, range(len(columns)))
        yield replace(bare, mean_auroc=mean_of(areas.values()), ci=interval, aurocs=areas)


def prevalence_figures(
    judged: Judged, figures: Mapping[str, LabelFigures], replicates: Floats | None
) -> Iterator[ImageSubgroup]:
    """The mean AUROC of rare, less rare and common labels, where the data has more than one of these."""
    bands = (
        ("under_2", Sentence("present in under 2%"), 0.0, 0.02),
        ("2_to_10", Sentence("present in 2% to 10%"), 0.02, 0.10),
        ("10_or_more", Sentence("present in 10% or more"), 0.10, np.inf),
    )
    found = []
    for name, title, low, high in bands:
        areas = {
            item.label: item.auroc
            for item in figures.values()
            if item.auroc is not None and low <= (item.prevalence or 0.0) < high
        }
        if areas:
            columns = [judged.labels.index(label) for label in areas]
            n = int(judged.usable[:, columns].any(axis=1).sum())
            interval = mean_interval(replicates, columns)
            found.append(
                ImageSubgroup("prevalence", name, title, n, interval, None, mean_of(areas.values()), areas)
            )
    if len(found) > 1:
        yield from found
