"""The training data of an encoder: labels in order, duplicate groups, and a split by label and group."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tetkik.errors import DataError
from tetkik.lab.engine.duplicate_texts import duplicate_texts
from tetkik.lab.triage.data import Complaints, in_order, is_missing, numbered
from tetkik.lab.triage.transformer.options import TransformerOptions
from tetkik.statistics import Ints

PARTS = ("training", "validation", "test")
_SHARES = (0.8, 0.1, 0.1)


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of the three parts, each (rows of the part,), int64, rising; together every row once."""

    training: Ints
    validation: Ints
    test: Ints


def stratified_split(labels: Sequence[str], groups: Ints, seed: int = 0) -> Split:
    """Split rows 80 to 10 to 10 so that each label is parted alike and each group, (rows,), stays whole.

    A group counts under its commonest label. Every label gets at least one group in each part; beyond that
    the groups go, in random order, to the part that lacks most rows.

    Raises:
        DataError: rows of one label only, or a label with fewer than three distinct rows.
    """
    members: dict[int, list[int]] = defaultdict(list)
    for row, group in enumerate(groups.tolist()):
        members[group].append(row)
    by_label: dict[str, list[list[int]]] = defaultdict(list)
    for rows in members.values():
        counts = Counter(labels[row] for row in rows)
        by_label[max(sorted(counts), key=counts.__getitem__)].append(rows)
    _check(labels, by_label)
    random = np.random.default_rng(seed)
    parts: tuple[list[int], ...] = ([], [], [])
    for label in sorted(by_label):
        for part, rows in zip(parts, _share_out(by_label[label], random), strict=True):
            part.extend(rows)
    return Split(*(np.array(sorted(part), dtype=np.int64) for part in parts))


def _check(labels: Sequence[str], by_label: dict[str, list[list[int]]]) -> None:
    names = sorted(set(labels))
    if len(names) < 2:
        raise DataError(
            "All {count} rows have the label {label}; training needs complaints of at least two departments.",
            count=len(labels),
            label=names[0] if names else "?",
        )
    for name in names:
        if len(by_label.get(name, ())) < len(PARTS):
            raise DataError(
                "The label {label} has {count} distinct rows, and training, validation and test need one "
                "each; add rows of it or leave the label out.",
                label=name,
                count=len(by_label.get(name, ())),
            )


def _share_out(groups: list[list[int]], random: np.random.Generator) -> list[list[int]]:
    """The rows of one label's groups in three parts."""
    wanted = np.array(_SHARES) * sum(map(len, groups))
    parts: list[list[int]] = [[], [], []]
    order = [groups[index] for index in random.permutation(len(groups))]
    # The smallest groups are set aside first, so that a large one cannot fill validation or test alone.
    order.sort(key=len)
    for part, rows in zip((1, 2, 0), order[:3], strict=True):
        parts[part].extend(rows)
    for rows in (order[3 + index] for index in random.permutation(len(order) - 3)):
        lacking = wanted - np.array([len(part) for part in parts])
        parts[int(lacking.argmax())].extend(rows)
    return parts


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Complaints with their labels and their split."""

    complaints: Complaints
    labels: tuple[str, ...]  # the built-in departments in their order, then any others by name
    truth: Ints  # (rows,), index of each row's label
    groups: Ints  # (rows,), duplicate group of each row
    split: Split

    def counts(self) -> list[tuple[str, Ints]]:
        """For each part its name and its rows by label, (labels,)."""
        parts = (self.split.training, self.split.validation, self.split.test)
        return [
            (name, np.bincount(self.truth[rows], minlength=len(self.labels)).astype(np.int64))
            for name, rows in zip(PARTS, parts, strict=True)
        ]

    def texts(self, rows: Ints) -> list[str]:
        return [self.complaints.texts[row] for row in rows]


def prepare_data(complaints: Complaints, seed: int) -> TrainingData:
    """Number the labels, find duplicates, split."""
    if bad := sum(map(is_missing, complaints.labels)):
        raise DataError(
            "{count} rows have no label; give each a department or leave those rows out.", count=bad
        )
    groups = duplicate_texts(complaints.texts)
    split = stratified_split(complaints.labels, groups, seed=seed)
    labels = in_order(complaints.labels)
    return TrainingData(complaints, labels, numbered(complaints.labels, labels), groups, split)


def identity(data: TrainingData, options: TransformerOptions) -> dict[str, Any]:
    """What must be the same for a training to be resumed; of the data only a digest."""
    digest = hashlib.sha256()
    for text, label in zip(data.complaints.texts, data.complaints.labels, strict=True):
        digest.update(f"{len(text)}:{text}{len(label)}:{label}".encode())
    return {"options": options.as_json(), "rows": len(data.complaints), "data": digest.hexdigest()}
