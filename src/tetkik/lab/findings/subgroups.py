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


def subgroup_figures(judged: Judged, draws: ClusterBootstrap) -> Iterator[SubgroupFigures]:
    """The mean AUROC of every part of the images, over the labels with enough rows of both kinds there."""
    for part in subgroups(judged):
        bare = SubgroupFigures(part.dimension, part.id, part.title, int(part.rows.sum()))
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
) -> Iterator[SubgroupFigures]:
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
                SubgroupFigures("prevalence", name, title, n, mean_of(areas.values()), interval, aurocs=areas)
            )
    if len(found) > 1:
        yield from found
