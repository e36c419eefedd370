"""Rows that belong together: connected components of shared keys (a patient, a copied image)."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from tetkik.statistics import Ints


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
