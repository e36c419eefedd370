"""Parts of the images, by view, source, sex and age, and parts of the labels by how common they are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from tetkik.lab.engine.results import SMALLEST, Subgroup
from tetkik.lab.findings.figures import Judged, LabelFigures, SubgroupFigures
from tetkik.lab.findings.summaries import LEAST_KIND, mean_interval, mean_of
from tetkik.language import Sentence
from tetkik.statistics import Bools, ClusterBootstrap, Floats, auroc, auroc_replicates
from tetkik.values import Sex, View

DIMENSIONS = {"view": "View", "source": "Source", "sex": "Sex", "age": "Age", "prevalence": "Prevalence"}
"""The title of each dimension."""

_RARE, _COMMON = 0.02, 0.10


def subgroups(judged: Judged) -> Iterator[Subgroup]:
    """Every part; in a dimension each image is in exactly one. One that divides nothing is left out."""
    for found in (_by_view(judged), _by_source(judged), _by_sex(judged), _by_age(judged)):
        there = [part for part in found if part.rows.any()]
        if len(there) > 1:
            yield from there


def _by_view(judged: Judged) -> list[Subgroup]:
    view = np.array([item or "" for item in judged.view])
    return [
        Subgroup("view", "PA", Sentence("PA"), view == View.PA),
        Subgroup("view", "AP", Sentence("AP"), view == View.AP),
        Subgroup(
            "view", "other", Sentence("another view"), (view != "") & (view != View.PA) & (view != View.AP)
        ),
        Subgroup("view", "unknown", Sentence("view not known"), view == ""),
    ]


def _by_source(judged: Judged) -> list[Subgroup]:
    source = np.array(judged.source)
    names = sorted(set(judged.source))
    return [Subgroup("source", name, Sentence("{name}", {"name": name}), source == name) for name in names]


def _by_sex(judged: Judged) -> list[Subgroup]:
    sex = np.array([item or "" for item in judged.sex])
    return [
        Subgroup("sex", "F", Sentence("women and girls"), sex == Sex.FEMALE),
        Subgroup("sex", "M", Sentence("men and boys"), sex == Sex.MALE),
        Subgroup("sex", "O", Sentence("another sex"), sex == Sex.OTHER),
        Subgroup("sex", "unknown", Sentence("sex not known"), sex == ""),
    ]


def _by_age(judged: Judged) -> list[Subgroup]:
    age = np.array([np.nan if item is None else item for item in judged.age], dtype=np.float64)
    return [
        Subgroup("age", "under_18", Sentence("under 18 years"), age < 18),
        Subgroup("age", "18_to_39", Sentence("18 to 39 years"), (age >= 18) & (age < 40)),
        Subgroup("age", "40_to_64", Sentence("40 to 64 years"), (age >= 40) & (age < 65)),
        Subgroup("age", "65_or_more", Sentence("65 years or more"), age >= 65),
        Subgroup("age", "unknown", Sentence("age not known"), np.isnan(age)),
    ]


def subgroup_figures(judged: Judged, draws: ClusterBootstrap) -> Iterator[SubgroupFigures]:
    """The mean AUROC of every part of the images, over the labels with enough rows of both kinds there."""
    for part in subgroups(judged):
        bare = SubgroupFigures(part.dimension, part.id, part.title, int(part.rows.sum()))
        if bare.n < SMALLEST:
            yield replace(bare, reason=Sentence("Fewer than {least} images.", {"least": SMALLEST}))
            continue
        columns = _enough(judged, part.rows)
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


def _enough(judged: Judged, rows: Bools) -> list[int]:
    """The columns with `LEAST_KIND` usable images of each kind among `rows`."""
    usable = judged.usable & rows[:, None]
    positive = ((judged.truth == 1) & usable).sum(axis=0)
    negative = ((judged.truth == 0) & usable).sum(axis=0)
    return np.flatnonzero(np.minimum(positive, negative) >= LEAST_KIND).tolist()


def prevalence_figures(
    judged: Judged, figures: Mapping[str, LabelFigures], replicates: Floats | None
) -> Iterator[SubgroupFigures]:
    """The mean AUROC of rare, less rare and common labels, where the data has more than one of these."""
    titles = {
        "under_2": Sentence("present in under 2%"),
        "2_to_10": Sentence("present in 2% to 10%"),
        "10_or_more": Sentence("present in 10% or more"),
    }
    found = []
    for name, title in titles.items():
        inside = [item for item in figures.values() if item.auroc is not None and _band(item) == name]
        if inside:
            columns = [judged.labels.index(item.label) for item in inside]
            areas = {item.label: item.auroc for item in inside if item.auroc is not None}
            n = int(judged.usable[:, columns].any(axis=1).sum())
            interval = mean_interval(replicates, columns)
            found.append(
                SubgroupFigures("prevalence", name, title, n, mean_of(areas.values()), interval, aurocs=areas)
            )
    if len(found) > 1:
        yield from found


def _band(figures: LabelFigures) -> str:
    share = figures.prevalence or 0.0
    return "under_2" if share < _RARE else "2_to_10" if share < _COMMON else "10_or_more"
