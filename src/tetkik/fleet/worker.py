"""Reads the images that wait for a model: several at once, each kept in a transaction of its own."""

from __future__ import annotations

import errno
import gc
import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import structlog
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnection

from tetkik.errors import NO_ROOM, Conflict, InputError, NotFound, Unavailable
from tetkik.imaging.subprocess_worker import WorkerClosed
from tetkik.records.database import Records
from tetkik.records.images import jobs
from tetkik.records.images.jobs import LEASE, STARTS, ImageJob
from tetkik.settings import Settings
from tetkik.values import SYSTEM, Priority
from tetkik.workflow.image_processing import ProcessingStage, read_case_image, record_failure, warm_up
from tetkik.workflow.pixel_reader import PixelReader

DRAIN_SECONDS = 20.0
"""What is not done so long after the worker was told to end goes back to the queue."""
POLL_SECONDS = 0.5
"""Seconds between two looks for work of other processes; whoever has some in this one sets `woken`."""
_SHORTEST_PAUSE = 2.0
_LONGEST_PAUSE = 15.0
"""Seconds between two tries while the database is away or the disk full: longer each time."""
STUCK_SECONDS = 1800.0
"""Of one image; a language model has `llm_seconds`, and everything else takes less."""
_SICK = 3
"""Images that fail one after the other are the fault of their worker, where others are at work."""
_AWAY = NO_ROOM | {
    getattr(errno, name)
    for name in ("EIO", "EMFILE", "ENFILE", "ENOTCONN", "ESTALE", "ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH")
    if hasattr(errno, name)
}
"""What the operating system says where the disk is full, a file server gone, or no handle left."""
_alive: set[str] = set()
"""Names of the workers of this process that have not ended."""
_log = structlog.get_logger()


class Progress(Protocol):
    """Hears how far the work on an image is."""

    def begin(self, image_id: str) -> None: ...
    def publish(self, image_id: str, stage: ProcessingStage | None, text: str = "") -> None:
        """The work came to a stage, or the attempt to its end."""


class Worker:
    """Takes jobs until it is stopped.

    Args:
        pixels: reads the images.
        woken: set by whoever has new work in this process.
        progress: hears how far each image is; None tells nobody.
        most: images at once. One more goes on beside them if it is of a critical case, which so never
            waits for others to end.
        ready: end at once where the model cannot be loaded; else each image says so.
    """

    def __init__(
        self,
        records: Records,
        settings: Settings,
        pixels: PixelReader,
        woken: threading.Event | None = None,
        progress: Progress | None = None,
        most: int = 1,
        *,
        ready: bool = False,
    ) -> None:
        self._records = records
        self._settings = settings
        self._pixels = pixels
        self._progress = progress
        self._woken = woken or threading.Event()
        self._most = most
        self._ready = ready
        self._name = f"{_place()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._running: dict[tuple[str, int], tuple[ImageJob, float]] = {}
        """By id and attempt, with when it began."""
        self._failed: set[str] = set()
        """Images that failed here, one after the other."""
        self._sick = threading.Event()
        self._returning: list[ImageJob] = []
        """What goes back to the queue once that can be reached."""
        self._pause = _SHORTEST_PAUSE
        self._stopped, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self.run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Take nothing more, and wait until what is under way is done or given back."""
        self.end()
        self._thread.join()

    def end(self) -> None:
        """Let `run` return soon."""
        self._stopped.set()
        self._woken.set()

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def longest_seconds(self) -> float:
        """For how long the work that began first is under way."""
        now = time.monotonic()
        return now - min((began for _, began in tuple(self._running.values())), default=now)

    def _in_hand(self) -> tuple[ImageJob, ...]:
        """What is under way, without that which is stuck: it is for others to try."""
        began = time.monotonic() - STUCK_SECONDS
        return tuple(work for work, since in tuple(self._running.values()) if since > began)

    def run(self) -> None:
        """Work until `end`."""
        _alive.add(self._name)
        try:
            self._run()
        finally:
            _alive.discard(self._name)

    def _run(self) -> None:
        if not self._prepare() and self._ready:
            return
        threading.Thread(target=self._keep_leases, name="leases", daemon=True).start()
        while not self._stopped.is_set():
            self._woken.clear()
            if self._returning or self._sick.is_set():
                self._sick.clear()
                self._rest()
            try:
                self._give_back()
                busy = self._take()
            except Exception as fault:
                # The database may be away for a while; the worker outlives it.
                _log.error("worker", kind=type(fault).__name__)
                self._rest()
                continue
            if not busy:
                self._woken.wait(POLL_SECONDS)
        self._drain()

    def _rest(self) -> None:
        self._stopped.wait(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def _prepare(self) -> bool:
        """Free what a predecessor left, and load what the first image needs; gives whether that is there."""
        try:
            with self._records.write(SYSTEM) as tx:
                jobs.requeue_abandoned(tx, self._may_live)
        except Exception as fault:  # the leases run out
            _log.error("work of a predecessor not freed", kind=type(fault).__name__)
        try:
            threading.Thread(target=self._pixels.start, name="decoder", daemon=True).start()
            warm_up(self._settings.findings_model)
            # Libraries and model stay: the collector need not walk through them with every image.
            gc.freeze()
        except Exception as fault:
            _log.error(
                "worker not ready", kind=type(fault).__name__, template=getattr(fault, "template", None)
            )
            return False
        return True

    def _may_live(self, name: str) -> bool:
        """Whether another worker may be alive: known where its processes are seen, else its lease decides."""
        host, _, rest = name.partition(":")
        if host != self._name.partition(":")[0]:
            return True
        pid = int(rest.partition(":")[0])
        if pid == os.getpid():
            return name in _alive
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _take(self) -> bool:
        """Begin as much as there is room for; gives whether there was any."""
        in_hand = self._in_hand()
        room = self._most - len(in_hand)
        within = None if room > 0 else Priority.CRITICAL
        if room < 0 or any(work.attempts > 1 for work in in_hand):
            return False
        with self._records.read() as tx:
            if not jobs.has_waiting_jobs(tx, within, self._name):
                return False
        with self._records.write(SYSTEM) as tx:
            works = jobs.take_jobs(tx, self._name, max(room, 1), idle=not in_hand, within=within)
        for place, work in enumerate(works):
            self._running[work.id, work.attempts] = work, time.monotonic()
            try:
                threading.Thread(target=self._work, args=(work,), name="job", daemon=True).start()
            except BaseException:  # no room for another thread
                del self._running[work.id, work.attempts]
                self._returning += works[place:]
                raise
        return bool(works)

    def _work(self, work: ImageJob) -> None:
        if self._progress is not None:
            self._progress.begin(work.image_id)
        began = time.monotonic()
        try:
            self._do(work)
        finally:
            if self._progress is not None:
                self._progress.publish(work.image_id, None)
            del self._running[work.id, work.attempts]
            _log.info("job", job=work.id, image=work.image_id, seconds=round(time.monotonic() - began, 3))
            self._woken.set()

    def _do(self, work: ImageJob) -> None:
        def publish(stage: ProcessingStage, text: str) -> None:
            if self._progress is not None:
                self._progress.publish(work.image_id, stage, text)

        try:
            if work.deadly:
                raise InputError(
                    "The program ended {count} times while it read this image; look at it in another viewer.",
                    count=STARTS,
                )
            read_case_image(self._records, self._settings, work, self._pixels.pixels, publish)
            self._pause = _SHORTEST_PAUSE
            self._failed.clear()
        except Conflict:
            _log.warning("job lost", job=work.id)
        except Exception as fault:
            template = getattr(fault, "template", None)
            _log.warning("job failed", job=work.id, kind=type(fault).__name__, template=template)
            try:
                if is_away(fault):
                    raise
                if self._is_to_blame(work, fault):
                    self._sick.set()
                    with self._records.write(SYSTEM) as tx:
                        jobs.release_job(tx, work, to_others=True)
                else:
                    record_failure(self._records, self._settings, work, fault)
            except Conflict:
                pass
            except Exception:
                self._returning.append(work)

    def _is_to_blame(self, work: ImageJob, fault: Exception) -> bool:
        """Whether the worker fails, and not the image: one after the other does here, while others work.

        What failed elsewhere, too, is the fault of the image.
        """
        if isinstance(fault, InputError | NotFound) or work.failed_by not in (None, self._name):
            return False
        self._failed.add(work.image_id)
        if len(self._failed) < _SICK:
            return False
        with self._records.read() as tx:
            return jobs.are_others_at_work(tx, self._name)

    def _give_back(self) -> None:
        while self._returning:
            with suppress(Conflict), self._records.write(SYSTEM) as tx:
                jobs.release_job(tx, self._returning[0])
            del self._returning[0]

    def _keep_leases(self) -> None:
        while not self._over.wait(LEASE.total_seconds() / 3):
            if works := [work.id for work in self._in_hand()]:
                try:
                    with self._records.write(SYSTEM) as tx:
                        jobs.renew_leases(tx, self._name, works)
                except Exception as fault:
                    _log.warning("leases not renewed", kind=type(fault).__name__)

    def _drain(self) -> None:
        until = time.monotonic() + DRAIN_SECONDS
        while self._running and (left := until - time.monotonic()) > 0:
            self._woken.wait(left)
            self._woken.clear()
        self._over.set()
        self._returning += self._in_hand()
        try:
            self._give_back()
        except Exception as fault:  # the leases run out
            _log.error("work not given back", kind=type(fault).__name__)


def is_away(fault: BaseException) -> bool:
    """Whether the database, the disk or the decoders failed, and not the image."""
    if isinstance(fault, OSError):
        return fault.errno in _AWAY
    if isinstance(fault, DBAPIError) and getattr(fault.orig, "sqlstate", None) == "25006":
        return True  # a server that became a copy: its connections are to end
    return isinstance(fault, Unavailable | OperationalError | InterfaceError | NoConnection | WorkerClosed)


def _place() -> str:
    """Names where processes see each other: this start of this machine, and within it this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii")
        seen = f"{boot}{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # not Linux
        seen = socket.gethostname()
    return f"{socket.gethostname()[:24]}-{sha256(seen.encode()).hexdigest()[:12]}".replace(":", "")
