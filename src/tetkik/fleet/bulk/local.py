"""Parts scored by processes of this machine, each with the model and as many threads as it has cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from threading import Thread

from tetkik.errors import OutputError, TetkikError
from tetkik.fleet.bulk.job import Job
from tetkik.fleet.bulk.run import Entries
from tetkik.fleet.bulk.score import open_scorer, score_batch
from tetkik.settings import cores

_AHEAD = 2
"""Parts that wait for each process, so that none is idle."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TETKIK_THREADS")


class LocalRunner:
    """Scores parts in `processes`; together they use every core.

    A part that cannot be scored stops the run with the sentence that says why.
    """

    def __init__(self, processes: int | None = None) -> None:
        self.processes = processes or cores()
        self.threads = max(1, cores() // self.processes)

    def __call__(
        self, job: Job, entries: Callable[[int], Entries], parts: Sequence[int]
    ) -> Iterator[tuple[int, bytes]]:
        """As `Runner`.

        Raises:
            OutputError: a process was killed, or a part cannot be scored.
        """
        processes = min(self.processes, len(parts))
        remaining = iter(parts)
        waiting: dict[Future[bytes | str], int] = {}
        context = multiprocessing.get_context("spawn")
        pool = ProcessPoolExecutor(processes, context, _start)
        try:
            with _threads(self.threads):
                while True:
                    while len(waiting) < processes * _AHEAD and (part := next(remaining, None)) is not None:
                        waiting[pool.submit(scored, job, self.threads, entries(part))] = part
                    if not waiting:
                        return
                    for future in wait(waiting, return_when=FIRST_COMPLETED).done:
                        yield checked(waiting.pop(future), future.result())
        except BrokenProcessPool:
            raise OutputError(
                "A process that scored was killed, perhaps for want of memory; run the command again, with "
                "fewer --processes: what was written is kept."
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


def checked(part: int, answer: bytes | str) -> tuple[int, bytes]:
    """A part with its rows; where the answer is the sentence of a fault, an `OutputError`."""
    if isinstance(answer, str):
        raise OutputError("Part {part} could not be scored: {fault}", part=part, fault=answer)
    return part, answer


def scored(job: Job, threads: int, entries: Entries) -> bytes | str:
    """The rows of a part, or the sentence that says why there are none; in whatever process."""
    try:
        return score_batch(job, open_scorer(job, threads), entries)
    except TetkikError as fault:
        return fault.in_language(job.language)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Started processes take the number of threads from the environment, before they load a library."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, str(count)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start() -> None:
    """Ctrl-C is the parent's to answer; where that is killed, this process must not stay."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    assert parent is not None

    def follow() -> None:
        parent.join()
        os._exit(1)

    Thread(target=follow, daemon=True).start()
