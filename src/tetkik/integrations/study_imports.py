"""Which received studies are imported, and when: several at the same time, the most urgent case first."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait

from tetkik.records.database import Records
from tetkik.records.images import receiving
from tetkik.records.images.receiving import ReceivedView
from tetkik.values import ReceivedState

POLL_SECONDS = 2.0
_MOST = 4


def imports_for(cores: int) -> int:
    """Studies that are imported at the same time: half of the cores is left to receivers and workers."""
    return min(max(1, cores // 2), _MOST)


class StudyImports:
    """Imports the studies that are decided.

    Args:
        places: studies at the same time.
        step: imports one, in a thread of its own. A study that it leaves as it was is tried again after a
            pause, which keeps no other one.
    """

    def __init__(self, records: Records, places: int, step: Callable[[ReceivedView], object]) -> None:
        self._records, self._places, self._step = records, places, step
        self._pool = ThreadPoolExecutor(places, "importing")
        self._running: dict[Future[object], str] = {}
        self._tried: dict[str, float] = {}
        """Studies, and until when they are left alone."""

    def run(self, stopping: threading.Event) -> None:
        """Import until nothing is left that was not tried a moment ago, or until it is to stop."""
        self._tried.clear()
        while not stopping.is_set():
            self._begin()
            if not self._running:
                return
            ended, _ = wait(self._running, POLL_SECONDS, FIRST_COMPLETED)
            for one in ended:
                self._tried[self._running.pop(one)] = time.monotonic() + POLL_SECONDS
                one.result()  # what ends the program is raised here

    def close(self) -> None:
        """Wait for those that are under way, and end."""
        self._pool.shutdown(cancel_futures=True)

    def _begin(self) -> None:
        """Give each free place the study that is the most urgent now."""
        free = self._places - len(self._running)
        if not free:
            return
        now = time.monotonic()
        self._tried = {study: until for study, until in self._tried.items() if until > now}
        aside = {*self._running.values(), *self._tried}
        decided, most = (ReceivedState.COMPLETE,), free + len(aside)
        with self._records.read() as tx:
            waiting = receiving.list_received(tx, decided, most=most, urgent=True)
        for study in [one for one in waiting if one.id not in aside][:free]:
            self._running[self._pool.submit(self._step, study)] = study.id
