"""Rows into training, validation and test: by label, and never through a group of duplicates."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import DataError

Ints = NDArray[np.int64]
PARTS = ("training", "validation", "test")


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of the three parts, each (rows of the part,), int64, rising; together every row once."""

    training: Ints
    validation: Ints
    test: Ints


def stratified_split(
    labels: Sequence[str],
    groups: Ints,
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> Split:
    """Split rows so that each label is parted by `fractions` and each group stays whole.

    A group counts under its commonest label. Every label gets at least one group in each part; beyond that
    the groups go, in random order, to the part that lacks most rows.

    Args:
        labels: (rows,), the label of each row.
        groups: (rows,), the duplicate group of each row.
        fractions: shares of training, validation and test; they sum to 1.

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
        for part, rows in zip(parts, _share_out(by_label[label], fractions, random), strict=True):
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


def _share_out(
    groups: list[list[int]], fractions: tuple[float, float, float], random: np.random.Generator
) -> list[list[int]]:
    """The rows of one label's groups in three parts."""
    total = sum(map(len, groups))
    wanted = np.array([fraction * total for fraction in fractions])
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
