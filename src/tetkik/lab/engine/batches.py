"""The rows of each step, and batches loaded in a thread while the step before is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

import numpy as np

from tetkik.statistics import Ints

Rows = Ints

_PREFETCHED = 3

BatchT = TypeVar("BatchT")


def in_steps(rows: Rows, batch_size: int) -> list[Rows]:
    """`rows` cut into steps; the last may have fewer."""
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]


def bucketed_steps(keys: Ints, batch_size: int, seed: int, epoch: int, *, window: int) -> list[Rows]:
    """The rows of each step of one epoch, from 1: rows of like `keys`, (rows,), together to save padding.

    Every row comes once, in an order that follows from seed and epoch alone: rows are shuffled, sorted within
    `window` steps (more would save padding and mix rows less), cut into steps, and the steps are shuffled. A
    key is a row's length, or its negative for the longest first.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(keys)).astype(np.int64)
    steps: list[Rows] = []
    for part in in_steps(order, batch_size * window):
        steps += in_steps(part[np.argsort(keys[part], kind="stable")], batch_size)
    return [steps[place] for place in random.permutation(len(steps))]


def prefetched(fetch: Callable[[Rows], BatchT], parts: Sequence[Rows]) -> Iterator[tuple[Rows, BatchT]]:
    """Each part with what `fetch` returns for it; the next few are fetched meanwhile in a thread."""
    pool = ThreadPoolExecutor(1)
    waiting: list[tuple[Rows, Future[BatchT]]] = []
    try:
        for part in parts:
            waiting.append((part, pool.submit(fetch, part)))
            if len(waiting) > _PREFETCHED:
                rows, item = waiting.pop(0)
                yield rows, item.result()
        while waiting:
            rows, item = waiting.pop(0)
            yield rows, item.result()
    finally:
        # At the end of the interpreter a thread can no longer be joined.
        with suppress(RuntimeError):
            pool.shutdown(wait=True, cancel_futures=True)
