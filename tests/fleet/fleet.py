"""`tetkik worker` as processes over one PostgreSQL, and what goes wrong with them."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.patience import PATIENCE
from tests.records.postgres import Cluster
from tests.service.chaos import KILL, STEPS, Fault

_TICKS = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
FULL_SECONDS = 1.0
"""For how long the disk of a worker is full."""


class Fleet:
    """A database server of its own, and workers that a supervisor starts again.

    Args:
        folder: of the hospital.
        workers: processes.
        settings: of their environment.
    """

    def __init__(self, folder: Path, workers: int, settings: Mapping[str, str] | None = None) -> None:
        # What was committed must survive a kill; the machine itself does not fall.
        self.cluster = Cluster(synchronous_commit="on")
        self.url = self.cluster.fresh()
        self.settings = {"TETKIK_DATABASE_URL": self.url, "TETKIK_WORKER": "false", **(settings or {})}
        self.processes: list[subprocess.Popen[bytes]] = []
        self._folder = folder
        self._many = workers
        self._changing, self._over = threading.Lock(), threading.Event()
        self._supervisor = threading.Thread(target=self._supervise, daemon=True)

    def start(self) -> None:
        """Start the workers; the records must be there."""
        self.processes = [self._started(number) for number in range(self._many)]
        self._supervisor.start()

    def _supervise(self) -> None:
        """Start again who ended, as systemd does: a worker that starts without a database ends with 2."""
        while not self._over.wait(0.2):
            with self._changing:
                for number, process in enumerate(self.processes):
                    if process.poll() is not None and not self._over.is_set():
                        self.processes[number] = self._started(number)

    def _started(self, number: int) -> subprocess.Popen[bytes]:
        health = self._folder / f"worker-{number}"
        health.unlink(missing_ok=True)
        given = {"TETKIK_DATA_DIR": str(self._folder), "TETKIK_ALLOW_ROOT": "true", "TETKIK_THREADS": "1"}
        return subprocess.Popen(
            [sys.executable, "-m", "tetkik", "worker", "--health-file", str(health)],
            env=os.environ | given | self.settings | {"PYTHONDONTWRITEBYTECODE": "1"},  # `_fill_disk`
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def end(self, number: int = 0, how: signal.Signals = signal.SIGTERM) -> int:
        """End a worker for good; gives its exit status."""
        self._over.set()
        with self._changing:
            process = self.processes[number]
        process.send_signal(how)
        return process.wait(PATIENCE)

    def faults(self) -> tuple[Fault, ...]:
        """What goes wrong, for `tests.service.chaos`."""
        return (
            ("worker", "inference", self._kill_worker),
            ("postgresql", "inference", self._kill_database),
            ("connections", "inference", self._cut_connections),
            ("disk", "inference", self._fill_disk),
            ("postgresql", "save", self._kill_database),
            ("connections", "upload", self._cut_connections),
            *((KILL, step, lambda: None) for step in STEPS),
        )

    def _kill_worker(self) -> None:
        number = int(time.monotonic()) % self._many
        self.processes[number].kill()

    def _kill_database(self) -> None:
        self.cluster.kill()
        self.cluster.start()

    def _cut_connections(self) -> None:
        self.cluster.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 't%'")

    def _fill_disk(self) -> None:
        """Let no worker write a byte into a file for a while (EFBIG, as ENOSPC would be)."""
        for most in (0, resource.RLIM_INFINITY):
            with self._changing:
                for process in self.processes:
                    if process.poll() is None:
                        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
            time.sleep(0 if most else FULL_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, places: TracebackType | None
    ) -> None:
        self._over.set()
        with self._changing:
            for process in self.processes:
                process.kill()
                process.wait()
        self.cluster.stop()


def cpu_seconds(pid: int) -> float:
    """Processor time of a process and of its children that live, and those of them that ended."""
    stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    own = sum(int(ticks) for ticks in stat[11:15]) / _TICKS
    return own + sum(map(cpu_seconds, children_of(pid)))


def children_of(pid: int) -> list[int]:
    """The processes that a process started and that live."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def resident_bytes(pid: int) -> int:
    """Memory of a process, without that of its children."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
