"""How the processes of one training wait for one another, and share out what is no step of it.

One process decodes, exports, judges or writes while the others wait, for hours where a network runs on the
CPU. A collective of the training's own process group ends such a wait: its timeout is there for a process
that hangs, and NCCL's watchdog kills whoever waits longer. So everything but the steps goes over a gloo group
beside it, which waits as long as the others live.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import TrainingError
from tetkik.statistics import Ints

_LONGEST = timedelta(days=20)
"""Without end in effect; in milliseconds it fits 31 bits."""

ItemT = TypeVar("ItemT")
ALONE = SimpleNamespace(process_index=0, num_processes=1, is_main_process=True)
"""In the place of an accelerator where there is one process."""


def wait_for_all(accelerator: Any) -> None:
    """Return when every process has come here, however long one of them takes.

    Raises:
        TrainingError: another process has ended.
    """
    if accelerator.num_processes > 1:
        import torch.distributed as dist

        with _others_live():
            dist.barrier(group=_patient_group())


@contextmanager
def main_first(accelerator: Any) -> Iterator[None]:
    """The main process goes through the block first, then all others."""
    if not accelerator.is_main_process:
        wait_for_all(accelerator)
    yield
    if accelerator.is_main_process:
        wait_for_all(accelerator)


def gathered(accelerator: Any, items: Sequence[ItemT]) -> list[ItemT]:
    """The items of all processes in the order of their ranks, the same in each; items are pickled."""
    if accelerator.num_processes == 1:
        return list(items)
    import torch.distributed as dist

    found: list[Any] = [None] * accelerator.num_processes
    with _others_live():
        dist.all_gather_object(found, list(items), group=_patient_group())
    return [item for part in found for item in part]


def in_shares(
    accelerator: Any, rows: Ints, compute: Callable[[Ints], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """What `compute` makes of some rows, (rows, columns), each process its share; the same in each."""
    rank, world = accelerator.process_index, accelerator.num_processes
    mine = rows[rank::world]
    parts = gathered(accelerator, [compute(mine) if len(mine) else np.zeros((0, 0), np.float32)])
    found = np.zeros((len(rows), parts[0].shape[1]), np.float32)
    for place, part in enumerate(parts):
        if len(part):
            found[place::world] = part
    return found


@contextmanager
def _others_live() -> Iterator[None]:
    """Turn a connection that another process closed by ending into one sentence."""
    try:
        yield
    except RuntimeError:
        raise TrainingError(
            "Another process of this training has ended, and this one cannot go on without it; the message "
            "of the other says why."
        ) from None


@cache
def _patient_group() -> Any:
    """It lives as long as the process group of the training: until the process ends.

    Both are taken down before the interpreter is: threads of theirs that are left to it can abort the
    process, and torchrun would report a training that was through as failed.
    """
    import torch.distributed as dist

    group = dist.new_group(backend="gloo", timeout=_LONGEST)
    atexit.register(dist.destroy_process_group)
    return group
