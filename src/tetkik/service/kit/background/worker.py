"""The thread that runs the models that images wait for."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog

from tetkik.errors import Conflict, InputError, TetkikError
from tetkik.records.images import jobs
from tetkik.records.images.jobs import LEASE, STARTS, Work
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.values import SYSTEM
from tetkik.workflow.image_processing import Stage, read_case_image, record_failure, warm_up

_POLL_SECONDS = 2.0
"""Seconds between two looks for work of other processes; this one sets `work_available`."""
_log = structlog.get_logger()


class Worker:
    """Takes jobs until it is stopped."""

    def __init__(self, context: AppContext, decoder: ImageDecoder) -> None:
        self._records = context.records
        self._settings = context.settings
        self._decoder = decoder
        self._name = f"{socket.gethostname()[:40]}:{os.getpid()}:{secrets.token_hex(4)}"
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="worker", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._decoder.work_available.set()
        self._thread.join()

    def _run(self) -> None:
        self._prepare()
        while not self._stopped.is_set():
            self._decoder.work_available.clear()
            try:
                busy = self._step()
            except Exception as fault:
                # The database may be away for a while; the worker outlives it.
                _log.error("worker", kind=type(fault).__name__)
                busy = False
            if not busy:
                self._decoder.work_available.wait(_POLL_SECONDS)

    def _prepare(self) -> None:
        """Free what a predecessor left, and load what the first image needs."""
        try:
            with self._records.write(SYSTEM) as tx:
                jobs.requeue_abandoned(tx, self._may_live)
            threading.Thread(target=self._decoder.start, name="decoder", daemon=True).start()
            warm_up(self._settings.findings_model)
        except Exception as fault:
            # A missing model is an error at each image; the service starts all the same.
            _log.error("worker not ready", kind=type(fault).__name__)

    def _may_live(self, name: str) -> bool:
        """Whether another worker may be alive: known for this host, else its lease decides."""
        host, _, rest = name.partition(":")
        if host != self._name.partition(":")[0]:
            return True
        pid = int(rest.partition(":")[0])
        if pid == os.getpid():
            return name == self._name
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def _step(self) -> bool:
        """Do one piece of work; gives whether there was one."""
        with self._records.read() as tx:
            if not jobs.has_waiting_jobs(tx):
                return False
        with self._records.write(SYSTEM) as tx:
            work = jobs.take_job(tx, self._name)
        if work is None:
            return False
        self._decoder.progress.begin(work.image_id)
        began = time.monotonic()
        try:
            with self._lease(work):
                self._do(work)
        finally:
            self._decoder.progress.publish(work.image_id, None)
        _log.info("job", job=work.id, image=work.image_id, seconds=round(time.monotonic() - began, 3))
        return True

    def _do(self, work: Work) -> None:
        def publish(stage: Stage, text: str) -> None:
            self._decoder.progress.publish(work.image_id, stage, text)

        try:
            if work.deadly:
                raise InputError(
                    "The program ended {count} times while it read this image; look at it in another viewer.",
                    count=STARTS,
                )
            read_case_image(self._records, self._settings, work, self._decoder.pixels, publish)
        except Conflict:
            _log.warning("job lost", job=work.id)
        except Exception as fault:
            _log.warning(
                "job failed",
                job=work.id,
                kind=type(fault).__name__,
                template=getattr(fault, "template", None),
            )
            with suppress(Conflict):
                record_failure(self._records, self._settings, work, fault)

    @contextmanager
    def _lease(self, work: Work) -> Iterator[None]:
        """Renew the lease of a job from a thread of its own while it is done."""
        over = threading.Event()

        def renew() -> None:
            while not over.wait(LEASE.total_seconds() / 3):
                with suppress(TetkikError), self._records.write(SYSTEM) as tx:
                    jobs.renew_lease(tx, work)

        thread = threading.Thread(target=renew, name="lease", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
