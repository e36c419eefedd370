"""Trainings in processes of their own, forked from one that has imported everything and begun no thread.

The imports take longer than the trainings.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence

from tests.ports import free_port


def two_ranks() -> list[dict[str, str]]:
    """What `accelerate launch --cpu --num_processes 2` sets in the environment of each."""
    shared = {
        "ACCELERATE_USE_CPU": "true",
        "WORLD_SIZE": "2",
        "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
    }
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(2)]


def run_forked(trainings: Sequence[tuple[dict[str, str], Callable[[], None]]]) -> None:
    """Run them side by side, each in its environment; writes how they ended: 0, or the signal as -9."""
    children = []
    for environment, train in trainings:
        child = os.fork()
        if not child:
            os.environ.update(environment)
            status = 1
            try:
                train()
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        children.append(child)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    sys.stdout.write(json.dumps(ends) + "\n")
