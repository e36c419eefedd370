"""Which rows learn and which rows judge: by the connected component of patient and duplicate group.

Two rows of one patient, two copies of one image, and everything that such pairs join, must fall on the same
side, or a figure measures memory. A component is known by a number that does not depend on the order of the
rows or the machine (`groups.component_ids`), and its side is a hash of that number and a seed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tetkik.statistics import Floats, Ints


def key_hash(key: str) -> int:
    """63 bits of a key, the same on every machine (BLAKE2b)."""
    return int(key_hashes([key])[0])


def key_hashes(keys: Iterable[str | None]) -> Ints:
    """`key_hash` of each, -1 for None; equal keys are hashed once."""
    kinds: dict[str | None, int] = {}
    of_row = [kinds.setdefault(key, len(kinds)) for key in keys]
    digests = b"".join(blake2b((key or "").encode("utf-8"), digest_size=8).digest() for key in kinds)
    hashed = (np.frombuffer(digests, ">u8") >> np.uint64(1)).astype(np.int64)
    if None in kinds:
        hashed[kinds[None]] = -1
    return hashed[of_row] if of_row else hashed


def component_ids(keys: Ints) -> Ints:
    """The connected component of each row, by the smallest number in it: the order of rows does not change
    it.

    Rows of `keys`, (rows, kinds of key), int64, with a number in common, in whatever column, belong together;
    -1 belongs to nobody. Each row has at least one.
    """
    row, column = np.nonzero(keys >= 0)
    numbers, place = np.unique(keys[row, column], return_inverse=True)
    found = connected(len(numbers) + len(keys), place, len(numbers) + row)
    return numbers[found[len(numbers) :]]


def connected(count: int, left: Ints, right: Ints) -> Ints:
    """The smallest of the numbers 0 to count - 1 that the pairs (left, right) connect each number with."""
    ids = np.arange(count, dtype=np.int64)
    while True:
        one, other = ids[left], ids[right]
        smaller = np.minimum(one, other)
        lower = ids.copy()
        np.minimum.at(lower, one, smaller)
        np.minimum.at(lower, other, smaller)
        lower = lower[lower]
        if np.array_equal(lower, ids):
            return ids
        ids = lower


def mixed_bits(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Every bit spread over all 64 (the finaliser of SplitMix64, Steele et al. 2014)."""
    values = (values ^ values >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ values >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return values ^ values >> np.uint64(31)


class Split(StrEnum):
    TRAIN = "train"
    VALIDATION = "validation"
    CALIBRATION = "calibration"
    TEST = "test"


SHARES: Mapping[Split, float] = {
    Split.TRAIN: 0.70,
    Split.VALIDATION: 0.10,
    Split.CALIBRATION: 0.10,
    Split.TEST: 0.10,
}
"""The shares of components when nothing else is asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """Row numbers of each part, rising, int64; together every row once."""

    train: Ints
    validation: Ints
    calibration: Ints
    test: Ints
    moved: int = 0  # rows that an official split had in an earlier part than the rest of their component

    def __getitem__(self, part: Split) -> Ints:
        rows: Ints = getattr(self, part.value)
        return rows


def folds(groups: Ints, count: int = 5, seed: int = 0) -> Ints:
    """The fold of each row, (rows,), from its component: the same on any machine and in any order."""
    if count < 2:
        raise ValueError(f"at least two folds, not {count}")
    return (_mixed(groups, seed) % np.uint64(count)).astype(np.int64)


def split(
    groups: Ints,
    shares: Mapping[Split, float] = SHARES,
    seed: int = 0,
    official: Sequence[Split | None] | None = None,
) -> Parts:
    """Divide rows into parts by the hash of their component, `groups`, (rows,), int64.

    Where there is an official split it is kept: its test rows are test, its validation rows validation, and
    its training rows are divided over the other parts in the proportion of their shares. A component with
    rows in several official parts goes to the latest of them, so that nothing of the test is learned.

    Args:
        shares: the share of components in each part, above 0 for training; they add up to 1.
        official: the official part of each row, None where there is none.
    """
    given = np.array([float(shares.get(part, 0.0)) for part in Split])
    if given[0] <= 0 or (given < 0).any() or abs(given.sum() - 1) > 1e-6:
        raise ValueError(f"shares must be 0 or more, add up to 1 and leave something to train on: {shares}")
    draw = _mixed(groups, seed).astype(np.float64) / 2.0**64
    part = _drawn(draw, given)
    moved = 0
    if official is not None:
        order = {name: place for place, name in enumerate(Split)}
        official_side = np.array([-1 if name is None else order[name] for name in official], np.int64)
        _, component = np.unique(groups, return_inverse=True)
        latest = np.full(int(component.max(initial=-1)) + 1, -1)
        np.maximum.at(latest, component, official_side)
        pinned = latest[component]
        without_test = given * [1, 1, 1, 0]
        part = np.where(pinned == 0, _drawn(draw, without_test / without_test.sum()), part)
        part = np.where(pinned > 0, pinned, part)
        moved = int(((official_side >= 0) & (official_side < pinned)).sum())
    train, validation, calibration, test = (np.flatnonzero(part == place) for place in range(len(Split)))
    return Parts(train, validation, calibration, test, moved)


def _drawn(draw: Floats, shares: Floats) -> Ints:
    """The part on which each draw (0 to 1) falls."""
    ends = np.cumsum(shares)
    ends[np.flatnonzero(shares)[-1] :] = np.inf  # rounding must not leave a crumb to a part without a share
    return np.searchsorted(ends, draw, side="right").astype(np.int64)


def _mixed(groups: Ints, seed: int) -> NDArray[np.uint64]:
    return mixed_bits(groups.astype(np.uint64) ^ np.uint64(key_hash(f"seed {seed}")))
