"""`tetkik listen`: a parent that binds the sockets and minds the processes that serve them.

The parent opens no connection that its children would share: each opens the records by itself. A process that
ends is started again; when the parent ends, however that happens, they end too.
"""

from __future__ import annotations

import asyncio
import fcntl
import gc
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import select

from tetkik.errors import SettingError, UsageError
from tetkik.integrations.calling import server_context
from tetkik.integrations.dicom.acceptor import Acceptor
from tetkik.integrations.dicom.spool import FOLDER, REFUSALS, Spool, instance_digest, remove_unfinished
from tetkik.integrations.dicom.worklist import answer_worklist
from tetkik.integrations.hl7.content import load_mapping
from tetkik.integrations.systems import Configuration, DicomListener, Hl7Listener
from tetkik.records.database import Records, open_records
from tetkik.records.schema import ReceivedFile
from tetkik.settings import Settings
from tetkik.values import ReceivedFileState

DRAIN_SECONDS = 20.0
_BACKLOG = 128
_RESTART_SECONDS = 1.0
"""Between two starts of a process that ends again and again."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Work:
    """What one kind of process does, and how many do it."""

    name: str
    processes: int
    run: Callable[[threading.Event], None]
    """Serves until the event is set."""
    after: Callable[[int], object] = lambda pid: None
    """Called with the id of a process that ended by itself, to tidy after it."""


def open_spool(settings: Settings, records: Records, listener: DicomListener | None = None) -> Spool:
    """The spool of an installation; with the bounds of a listener to receive into it."""
    folder = settings.data_dir.absolute() / FOLDER
    if listener is None:
        return Spool(folder, records.vault)
    return Spool(
        folder,
        records.vault,
        reserve_bytes=listener.reserve_bytes,
        object_bytes=min(listener.object_bytes, settings.max_image_bytes),  # more is not read later either
    )


@contextmanager
def bound(listener: DicomListener | Hl7Listener) -> Iterator[socket.socket]:
    """A socket that listens at the address of a listener."""
    try:
        made = socket.create_server(
            (listener.address, listener.port),
            family=socket.AF_INET6 if ":" in listener.address else socket.AF_INET,
            backlog=_BACKLOG,
        )
    except OSError as error:
        raise SettingError(
            "Nothing can listen at {host}, port {port} ({fault}); correct the file of the systems, or stop "
            "the program that is there.",
            host=listener.address,
            port=listener.port,
            fault=error.strerror or error,
        ) from None
    with made:
        yield made


def find_faults(configuration: Configuration, settings: Settings) -> Iterator[SettingError]:
    """Every file that the file of systems names and that cannot be used: certificates, mappings, secrets."""
    for section, listener in (("listen", configuration.listen), ("hl7", configuration.hl7)):
        keys = ("tls_cert", "tls_key", "tls_ca")
        files = {key: file for key in keys if (file := getattr(listener, key, None)) is not None}
        missing = [(key, file) for key, file in files.items() if not file.is_file()]
        for key, file in missing:
            yield SettingError(
                "The file {file} ({key} of [{section}]) is not there; correct the file of the systems.",
                file=file,
                key=key,
                section=section,
            )
        try:
            if listener is not None and not missing:
                server_context(listener)
        except (OSError, ssl.SSLError) as error:
            yield SettingError(
                "The certificate of [{section}] cannot be used ({fault}); correct tls_cert, tls_key "
                "and tls_ca.",
                section=section,
                fault=error.strerror or type(error).__name__,
            )
    for peer in configuration.peers:
        for load in (partial(load_mapping, peer.mapping), partial(peer.authorization, settings)):
            try:
                load()
            except SettingError as fault:
                yield fault


def load_files(configuration: Configuration, settings: Settings) -> None:
    """Read what the file of systems names.

    Raises:
        SettingError: the first that cannot be used.
    """
    for fault in find_faults(configuration, settings):
        raise fault


def dicom_work(settings: Settings, configuration: Configuration, listening: socket.socket) -> Work:
    """The processes that take associations."""
    listener = configuration.listen
    assert listener is not None
    load_files(configuration, settings)

    def run(stopping: threading.Event) -> None:
        records = open_records(settings)
        try:
            spool = open_spool(settings, records, listener)
            worklist = partial(answer_worklist, records, ZoneInfo(settings.hospital_time_zone))
            acceptor = Acceptor(
                configuration, listening, spool, lambda uids: imported(records, uids), worklist
            )
            serving = threading.Thread(target=acceptor.serve, daemon=True)
            serving.start()
            stopping.wait()
            acceptor.stop(DRAIN_SECONDS)
            serving.join(1)
        finally:
            records.close()

    folder = settings.data_dir.absolute() / FOLDER
    return Work("dicom", listener.processes, run, lambda pid: remove_unfinished(folder, pid))


def imported(records: Records, sop_instance_uids: Collection[str]) -> dict[str, bool]:
    """Of some SOP Instance UIDs those that wait no more: whether what came last is in a case."""
    if not sop_instance_uids:
        return {}
    with records.read() as tx:
        digests = {instance_digest(tx.vault, uid): uid for uid in sop_instance_uids}
        found: dict[str, bool] = {}
        wanted = list(digests)
        for start in range(0, len(wanted), 500):  # SQLite has a limit of values in one statement
            rows = (
                select(ReceivedFile.instance_digest, ReceivedFile.state)
                .where(
                    ReceivedFile.instance_digest.in_(wanted[start : start + 500]),
                    ReceivedFile.state != ReceivedFileState.WAITING,
                )
                .order_by(ReceivedFile.received_at, ReceivedFile.id)
            )
            for digest, state in tx.session.execute(rows):
                found[digests[digest]] = state is ReceivedFileState.IMPORTED
    return found


@contextmanager
def only_one(settings: Settings) -> Iterator[None]:
    """One `tetkik listen` at a time for an installation; what a killed one left unfinished is removed."""
    folder = settings.data_dir.absolute() / FOLDER
    folder.mkdir(exist_ok=True, mode=0o700)
    handle = os.open(folder.parent / "listen.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(
                "Another tetkik listen runs for {folder}; stop that one first.", folder=settings.data_dir
            ) from None
        (folder.parent / REFUSALS).unlink(missing_ok=True)
        if removed := remove_unfinished(folder):
            log.info("spool_swept", files=removed)
        yield
    finally:
        os.close(handle)


def mind(works: Collection[Work]) -> None:
    """Start the processes, and start again what ends, until SIGTERM or SIGINT; then wait for them."""
    parent_lives, child_watches = os.pipe()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    gc.collect()
    gc.freeze()  # what is loaded is shared by all
    running: dict[int, Work] = {}
    started: dict[str, float] = {}
    for work in works:
        for _ in range(work.processes):
            running[_start(work, parent_lives, child_watches)] = work
    while not stopping.is_set():
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            stopping.wait(0.1)
            continue
        work = running.pop(pid)
        work.after(pid)
        log.error("listen_process_ended", work=work.name, status=os.waitstatus_to_exitcode(status))
        if time.monotonic() - started.get(work.name, 0) < _RESTART_SECONDS:
            stopping.wait(_RESTART_SECONDS)
        started[work.name] = time.monotonic()
        if not stopping.is_set():
            running[_start(work, parent_lives, child_watches)] = work
    _end(running)


def _start(work: Work, parent_lives: int, child_watches: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.close(child_watches)
        stopping = threading.Event()
        signal.signal(signal.SIGTERM, lambda *_: stopping.set())
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent says when
        threading.Thread(target=_watch, args=(parent_lives,), daemon=True).start()
        work.run(stopping)
        status = 0
    except BaseException:
        log.error("listen_process_failed", work=work.name, exc_info=True)
    finally:
        sys.stderr.flush()
        os._exit(status)


def _watch(parent_lives: int) -> None:
    """End at once where the parent is gone, whose end of the pipe is closed then: the next needs the port.

    Nothing is lost: what is not on the disk was not acknowledged.
    """
    with suppress(OSError):
        os.read(parent_lives, 1)
    os._exit(1)


def _end(running: dict[int, Work]) -> None:
    for pid in running:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + DRAIN_SECONDS + 5
    while running and time.monotonic() < end:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            time.sleep(0.05)
        running.pop(pid, None)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def mllp_work(settings: Settings, configuration: Configuration, listening: socket.socket) -> Work:
    """The process that takes messages of HL7."""
    from tetkik.integrations.hl7.mllp import serve_mllp

    load_files(configuration, settings)

    async def serve(records: Records, stopping: threading.Event) -> None:
        serving = asyncio.create_task(serve_mllp(configuration, records, settings, listening))
        waiting = asyncio.create_task(asyncio.to_thread(stopping.wait))
        await asyncio.wait({serving, waiting}, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        with suppress(asyncio.CancelledError):
            await serving

    def run(stopping: threading.Event) -> None:
        records = open_records(settings)
        try:
            asyncio.run(serve(records, stopping))
        finally:
            records.close()

    return Work("hl7", 1, run)
