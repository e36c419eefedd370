"""Parts scored by the nodes of a Ray cluster, through Ray Data; what a lost node held is scored again."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from ipaddress import ip_address
from itertools import islice
from typing import Any

from tetkik.errors import InputError, OutputError, UsageError
from tetkik.fleet.bulk.local import checked, scored
from tetkik.fleet.bulk.run import BulkJob, Entries, as_bytes, from_bytes
from tetkik.fleet.ray_port import asks_for_token

_WAVE = 2000
"""Parts that are handed to the cluster at once: their entries lie in its memory."""


class RayRunner:
    """Scores parts on the cluster at `address`; an actor for each of its processors holds the model.

    The driver runs on a machine of the cluster, as Ray asks of every driver.
    """

    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def __call__(
        self, job: BulkJob, entries: Callable[[int], Entries], parts: Sequence[int]
    ) -> Iterator[tuple[int, bytes]]:
        """As `Runner`.

        Raises:
            OutputError: a part cannot be scored.
        """
        remaining = iter(parts)
        while wave := list(islice(remaining, _WAVE)):
            yield from self._wave(job, [{"part": part, "rows": as_bytes(entries(part))} for part in wave])

    def _wave(self, job: BulkJob, items: list[dict[str, object]]) -> Iterator[tuple[int, bytes]]:
        from ray import data

        context = data.DataContext.get_current()
        context.enable_progress_bars = False
        # A part that is lost with its node beyond what Ray mends is asked for again (`run_bulk`).
        context.max_errored_blocks = -1
        actors = max(1, min(len(items), int(self._ray.cluster_resources().get("CPU", 1))))
        answers = data.from_items(items, override_num_blocks=len(items)).map_batches(
            Actor,
            fn_constructor_args=(job,),
            batch_size=1,
            # The pool may shrink: the actor of a node that is gone then finds a place on another one.
            compute=data.ActorPoolStrategy(min_size=1, max_size=actors, initial_size=actors),
            num_cpus=1,
        )
        rows = iter(answers.iter_rows())
        while True:
            try:
                row = next(rows, None)
            except self._ray.exceptions.RayError as fault:
                raise OutputError(
                    "The Ray cluster gave up ({fault}); install the same Tetkik on every node and run the "
                    "command again: what was written is kept.",
                    fault=str(fault).strip().splitlines()[-1][:200],
                ) from None
            if row is None:
                return
            yield checked(int(row["part"]), row["content"] if row["fault"] is None else row["fault"])


class Actor:
    """A process of a node; the first part loads the model."""

    def __init__(self, job: BulkJob) -> None:
        self._job = job

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        answers = [scored(self._job, 1, from_bytes(content)) for content in batch["rows"]]
        return {
            "part": [int(part) for part in batch["part"]],
            "content": [answer if isinstance(answer, bytes) else None for answer in answers],
            "fault": [answer if isinstance(answer, str) else None for answer in answers],
        }


@contextmanager
def connected(address: str) -> Iterator[RayRunner]:
    """A runner on the cluster at `address`, `host:port` or `auto`.

    Raises:
        UsageError: the cluster obeys whoever reaches it, on an address that others can reach.
        InputError: no cluster is there, or it does not take our token.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray._private.services import canonicalize_bootstrap_address

    try:
        # Ray itself takes a loopback address for this machine's own; what it will talk to is judged.
        place = canonicalize_bootstrap_address(address)
    except (ValueError, OSError, ConnectionError):
        place = None
    if place is None:
        raise _unreachable(address)
    has_token = asks_for_token(place)
    if has_token is None:
        raise _unreachable(place)
    if not has_token and not _is_loopback(place):
        raise UsageError(
            "The Ray cluster at {address} runs code for everyone who reaches it, for it asks for no token; "
            "start it again with RAY_AUTH_MODE=token.",
            address=place,
        )
    try:
        ray.init(place, include_dashboard=False, log_to_driver=False, logging_level="error")
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, OSError):
        raise _unreachable(place) from None
    try:
        # What Ray prints about its nodes is not what the command was asked for.
        with redirect_stdout(sys.stderr):
            yield RayRunner(ray)
    finally:
        ray.shutdown()


def _unreachable(address: str) -> InputError:
    return InputError(
        "No Ray cluster answers at {address}, or it does not take this token; start Ray on this machine, and "
        "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH as its nodes have them.",
        address=address,
    )


def _is_loopback(place: str) -> bool:
    try:
        return ip_address(place.rpartition(":")[0].strip("[]")).is_loopback
    except ValueError:
        return False
