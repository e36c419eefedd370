"""The rows of each step: captions of like length together, in an order of seed and epoch alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

_STEPS_SORTED = 32
"""Steps whose rows are sorted by length together: more would waste less filling and mix rows less."""
_AHEAD = 3

ItemT = TypeVar("ItemT")


def steps_of_epoch(rows: int, batch_size: int) -> int:
    """How many steps an epoch has."""
    return math.ceil(rows / batch_size)


def epoch_steps(lengths: NDArray[np.int64], batch_size: int, seed: int, epoch: int) -> list[Rows]:
    """The rows of each step of one epoch; every row comes once.

    Rows are shuffled, sorted by length within stretches of some steps, cut into steps, and the steps are
    shuffled: captions of one step are of like length, so that little of it is filling.

    Args:
        lengths: (rows,), tokens of each caption.
        batch_size: rows of a step; one step may have fewer.
        seed: of the training.
        epoch: from 1.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(lengths)).astype(np.int64)
    stretch = batch_size * _STEPS_SORTED
    steps: list[Rows] = []
    for start in range(0, len(order), stretch):
        part = order[start : start + stretch]
        part = part[np.argsort(-lengths[part], kind="stable")]
        steps += [part[place : place + batch_size] for place in range(0, len(part), batch_size)]
    return [steps[place] for place in random.permutation(len(steps))]


def shared(step: Rows, rank: int, world: int, accumulation: int) -> list[Rows]:
    """What one process does of a step, in the parts in which it does it; none where others have all rows.

    Rows of a step are sorted by length, so every process gets short and long ones alike, and each part holds
    rows of like length.
    """
    mine = step[rank::world]
    return [part for part in np.array_split(mine, min(accumulation, len(mine)) or 1) if len(part)]


def by_length(lengths: NDArray[np.int64], size: int) -> list[Rows]:
    """All rows in batches of like length, the longest first, where the order does not matter."""
    order = np.argsort(-lengths, kind="stable").astype(np.int64)
    return [order[start : start + size] for start in range(0, len(order), size)]


def fetched(fetch: Callable[[Rows], ItemT], parts: Sequence[Rows]) -> Iterator[tuple[Rows, ItemT]]:
    """Each part with what `fetch` gives for it; the next few are fetched meanwhile in a thread.

    Args:
        fetch: reads from the disk.
        parts: rows of each batch.
    """
    pool = ThreadPoolExecutor(1)
    waiting: list[tuple[Rows, Future[ItemT]]] = []
    try:
        for part in parts:
            waiting.append((part, pool.submit(fetch, part)))
            if len(waiting) > _AHEAD:
                rows, item = waiting.pop(0)
                yield rows, item.result()
        while waiting:
            rows, item = waiting.pop(0)
            yield rows, item.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
