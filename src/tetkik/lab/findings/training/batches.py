"""The rows of each step, and the squares of the next step fetched while this one is computed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray

from tetkik.lab.findings.training.squares import Squares

Rows = NDArray[np.int64]

_AHEAD = 3


def rows_of_epoch(weight: NDArray[np.float32], seed: int, epoch: int) -> Rows:
    """The rows of one epoch, in an order that follows from seed and epoch alone.

    A row of weight 1 comes once. Another comes as often as its weight says, on the average over epochs,
    spread evenly (systematic sampling): a large source of low weight does not drown the rest, and none of its
    rows is left out for good.

    Args:
        weight: (rows,), above 0.
        seed: of the training.
        epoch: from 1.

    Returns:
        (rows of the epoch,), int64; their number is the same in every epoch.
    """
    random = np.random.default_rng((seed, epoch))
    order = random.permutation(len(weight))
    if (weight == 1).all():
        return order.astype(np.int64)
    ends = np.cumsum(weight[order].astype(np.float64))
    count = max(1, round(float(ends[-1])))
    points = (np.arange(count) + random.random()) * (ends[-1] / count)
    drawn = order[np.minimum(np.searchsorted(ends, points, "right"), len(order) - 1)]
    # Rows that come several times must not stand together.
    return random.permutation(drawn).astype(np.int64)


def steps_of_epoch(weight: NDArray[np.float32], batch_size: int) -> int:
    """How many steps an epoch has."""
    return math.ceil(len(rows_of_epoch(weight, 0, 1)) / batch_size)


def in_steps(rows: Rows, batch_size: int) -> list[Rows]:
    """`rows` cut into steps; the last may have fewer."""
    return [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]


def fetched(
    squares: Squares, parts: Sequence[Rows], device: torch.device
) -> Iterator[tuple[Rows, torch.Tensor]]:
    """Each part with its squares on `device`, (rows, size, size), uint8; the next ones are fetched meanwhile.

    Args:
        squares: where they come from.
        parts: rows of each batch.
        device: where they go.
    """
    on_gpu = device.type == "cuda"

    def fetch(part: Rows) -> torch.Tensor:
        batch = torch.from_numpy(squares.batch(part))
        return batch.pin_memory() if on_gpu else batch

    pool = ThreadPoolExecutor(1)
    waiting: list[tuple[Rows, Future[torch.Tensor]]] = []
    try:
        for part in parts:
            waiting.append((part, pool.submit(fetch, part)))
            if len(waiting) > _AHEAD:
                rows, batch = waiting.pop(0)
                yield rows, batch.result().to(device, non_blocking=True)
        while waiting:
            rows, batch = waiting.pop(0)
            yield rows, batch.result().to(device, non_blocking=True)
    finally:
        for _, batch in waiting:
            batch.cancel()
        with suppress(RuntimeError):
            pool.shutdown(wait=True)
