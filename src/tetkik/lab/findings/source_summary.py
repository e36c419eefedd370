"""What a set of labelled images holds: counts, prevalence by source, overlap, findings together."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

import numpy as np

from tetkik.lab.engine.charts import csv_text
from tetkik.lab.engine.results import to_json
from tetkik.lab.findings.agreement import Agreement
from tetkik.lab.findings.data import LabelledImages
from tetkik.lab.findings.sources.rows import ABSENT, PRESENT, UNKNOWN
from tetkik.lab.findings.summaries import CoOccurrence, co_occurrence
from tetkik.values import NORMAL_LABELS


@dataclass(frozen=True, slots=True)
class LabelCount:
    """What one source says of one label, in images."""

    label: str
    present: int
    absent: int
    unknown: int

    @property
    def prevalence(self) -> float | None:
        """Share present of those known; None where no absence is known, for then it says nothing."""
        return self.present / (self.present + self.absent) if self.absent else None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "prevalence": self.prevalence}


@dataclass(frozen=True, slots=True)
class SourceCount:
    """One source."""

    source: str
    images: int
    patients: int
    """People named; `unnamed` images name nobody."""
    unnamed: int
    groups: int
    weight: float
    views: Mapping[str, int]
    sexes: Mapping[str, int]
    age: tuple[float, float, float] | None
    """Years, (5th percentile, median, 95th); None where no age is known."""
    official: Mapping[str, int]
    labels: tuple[LabelCount, ...]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "labels": [count.as_json() for count in self.labels]}


@dataclass(frozen=True, slots=True)
class Overlap:
    """What two sources have in common."""

    first: str
    second: str
    groups: int
    """Connected components with images of both: the same people or pictures."""
    images: int
    first_rows: int
    second_rows: int


@dataclass(frozen=True, slots=True, eq=False)
class Summary:
    """A set of labelled images in figures."""

    images: int
    groups: int
    whole: SourceCount
    sources: tuple[SourceCount, ...]
    """In order of first appearance; `whole` is all of them as one."""
    overlaps: tuple[Overlap, ...]
    co_occurrence: CoOccurrence
    """Over the labels of something wrong that are present at all."""
    left_out: Mapping[str, int]
    other_labels: Mapping[str, int]
    """Labels that are not among the columns, and how often they were marked present."""

    def as_json(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "groups": self.groups,
            "left_out": dict(self.left_out),
            "other_labels": dict(self.other_labels),
            "whole": self.whole.as_json(),
            "sources": [source.as_json() for source in self.sources],
            "overlaps": [asdict(overlap) for overlap in self.overlaps],
            "co_occurrence": [asdict(pair) for pair in self.pairs()],
        }

    def pairs(self, least: float = 0.0) -> tuple[Pair, ...]:
        """Pairs of labels with rows that know both, most above chance first."""
        counts, ratio = self.co_occurrence, self.co_occurrence.ratio
        found = [
            Pair(
                counts.labels[i],
                counts.labels[j],
                int(counts.n[i, j]),
                int(counts.observed[i, j]),
                float(counts.expected[i, j]),
                None if np.isnan(ratio[i, j]) else float(ratio[i, j]),
            )
            for i, j in combinations(range(len(counts.labels)), 2)
            if counts.n[i, j] and counts.expected[i, j] >= least
        ]
        return tuple(sorted(found, key=lambda pair: (-(pair.ratio or 0.0), pair.first, pair.second)))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two labels."""

    first: str
    second: str
    n: int
    observed: int
    expected: float
    ratio: float | None
    """Observed over expected; None where one of the two is never present."""


def summarise(images: LabelledImages) -> Summary:
    rows_of: dict[str, list[int]] = {}
    for row, source in enumerate(images.source):
        rows_of.setdefault(source, []).append(row)
    whole = _counted(images, "", 1.0)
    total = float(images.weight.sum())
    sources = tuple(
        _counted(part, source, float(part.weight.sum()) / total)
        for source, part in ((source, images.only(rows)) for source, rows in rows_of.items())
    )
    # Normal stands beside no finding by its meaning.
    present = [
        place
        for place, label in enumerate(images.labels)
        if label not in NORMAL_LABELS and (images.truth[:, place] == PRESENT).any()
    ]
    return Summary(
        images=len(images),
        groups=whole.groups,
        whole=whole,
        sources=sources,
        overlaps=tuple(sorted(_overlaps(images, rows_of), key=lambda one: -one.groups)),
        co_occurrence=co_occurrence(images.truth[:, present], [images.labels[place] for place in present]),
        left_out=images.left_out,
        other_labels=images.other_labels,
    )


def _counted(part: LabelledImages, source: str, weight: float) -> SourceCount:
    counts = [
        LabelCount(
            label, *(int((part.truth[:, place] == value).sum()) for value in (PRESENT, ABSENT, UNKNOWN))
        )
        for place, label in enumerate(part.labels)
    ]
    ages = [age for age in part.age if age is not None]
    low, middle, high = np.percentile(ages, (5, 50, 95)).tolist() if ages else (0.0, 0.0, 0.0)
    return SourceCount(
        source=source,
        images=len(part),
        patients=len({patient for patient in part.patient if patient is not None}),
        unnamed=sum(patient is None for patient in part.patient),
        groups=len(np.unique(part.group)),
        weight=weight,
        views=dict(Counter(view.value for view in part.view if view)),
        sexes=dict(Counter(sex.value for sex in part.sex if sex)),
        age=(low, middle, high) if ages else None,
        official=dict(Counter(split.value for split in part.official if split)),
        labels=tuple(count for count in counts if count.present or count.absent),
    )


def _overlaps(images: LabelledImages, rows_of: Mapping[str, list[int]]) -> Iterator[Overlap]:
    groups = {source: images.group[rows] for source, rows in rows_of.items()}
    names = {
        source: {image for row in rows if (image := images.image[row]) is not None}
        for source, rows in rows_of.items()
    }
    for first, second in combinations(rows_of, 2):
        common = np.intersect1d(groups[first], groups[second])
        if common.size:
            yield Overlap(
                first,
                second,
                int(common.size),
                len(names[first] & names[second]),
                int(np.isin(groups[first], common).sum()),
                int(np.isin(groups[second], common).sum()),
            )


def summary_files(summary: Summary, agreements: Sequence[Agreement] = ()) -> dict[str, bytes]:
    """The figures as files: `sources.json`, `prevalence.csv`, `co_occurrence.csv`."""
    prevalence = [
        (source.source, count.label, count.present, count.absent, count.unknown, _plain(count.prevalence))
        for source in summary.sources
        for count in source.labels
    ]
    pairs = [
        (pair.first, pair.second, pair.n, pair.observed, f"{pair.expected:.1f}", _plain(pair.ratio))
        for pair in summary.pairs()
    ]
    figures = summary.as_json() | ({"agreement": to_json(agreements)} if agreements else {})
    header = ("source", "label", "present", "absent", "unknown", "prevalence")
    pair_header = ("first", "second", "n", "observed", "expected", "ratio")
    content = json.dumps(figures, ensure_ascii=False, allow_nan=False, indent=1)
    return {
        "sources.json": content.encode("utf-8"),
        "prevalence.csv": csv_text(header, prevalence).encode(),
        "co_occurrence.csv": csv_text(pair_header, pairs).encode(),
    }


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
