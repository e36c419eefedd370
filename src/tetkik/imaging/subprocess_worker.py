"""A subprocess that applies a few functions to files, so that a decoder which crashes takes nothing with it.

Before the first file it enters a sandbox (`sandbox`); what a hostile file makes of a decoder then can spoil
answers, and reach nothing else. Requests and answers are typed frames (`frames`) over its standard input and
output. `multiprocessing` is not used: a pool there is lost as a whole when one of its processes dies, does
not say over which file, and runs the caller's main module again.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import LifoQueue
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

from tetkik.errors import InputError, TetkikError, UsageError
from tetkik.imaging.frames import answer_of, receive, request_of, send
from tetkik.imaging.library_warnings import suppress_library_warnings
from tetkik.imaging.limits import check_bytes
from tetkik.imaging.read import load_readers, one_file, read_bytes
from tetkik.imaging.sandbox import enter_sandbox
from tetkik.settings import settings
from tetkik.values import Radiograph

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

R = TypeVar("R")
A = TypeVar("A")

SECONDS = 120.0
"""Longest time for one file; a sound one takes about a second."""
_START = "from tetkik.imaging.subprocess_worker import serve; serve()"
_MOST_KEPT = 256 * 2**20
"""Bytes of a file that a process keeps for the next of its frames."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TETKIK_THREADS")
"""One each: there are as many processes as cores."""
_PASSED_ON = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""Variables without which Python may not start. The others may be secrets, and none is passed on."""
_SPARE = 512 * 2**20
_PIPE = 1 << 20
"""Bytes that wait in a pipe: with the usual 64 kB, reader and writer take turns hundreds of times a file."""
_FAULTS = (EOFError, OSError, ValueError, TypeError, LookupError, AttributeError, RecursionError)
"""What is raised where a process is gone, or answers what it may not."""


class WorkerClosed(RuntimeError):
    """The worker was closed for good."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What a process is told at its start: what it may do, and the memory that it may take for it."""

    functions: tuple[str, ...]
    prepare: str
    memory: int


class SubprocessWorker:
    """The parent's end of one process; for one thread at a time, and any other may close it.

    Args:
        functions: what may be done to a request; of a module, with their types annotated. A `TetkikError`
            that one raises is given as the answer.
        prepare: loads what they need, before the process enters its sandbox.
    """

    def __init__(
        self,
        functions: Sequence[Callable[[Any], Any]],
        seconds: float = SECONDS,
        prepare: Callable[[], None] = load_readers,
    ) -> None:
        self._functions = tuple(functions)
        self._prepare = prepare
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._lock = threading.Lock()
        """Held where a process is started or taken away."""

    def call(self, function: Callable[[R], A], request: R, name: str) -> A | TetkikError:
        """Apply one of the functions to a request; a process that dies over it is replaced for the next.

        Raises:
            WorkerClosed: it was closed, before or meanwhile.
            UsageError: the process cannot be started.
        """
        chosen = self._functions.index(function)
        # Twice: the system may have ended the process for a reason that has nothing to do with this file.
        for _ in range(2):
            process = self.start()
            assert process.stdin is not None and process.stdout is not None
            # One that fires as the answer comes ends an idle process, which the next call replaces.
            watchdog = threading.Timer(self._seconds, process.kill)
            watchdog.daemon = True
            begun = time.monotonic()
            watchdog.start()
            try:
                send(chosen, process.stdin)
                send(request, process.stdin)
                answer: A | TetkikError = receive(answer_of(function), process.stdout, _most_answered())
            except _FAULTS:
                self._end()
            else:
                return answer
            finally:
                watchdog.cancel()
            if time.monotonic() - begun >= self._seconds:
                return InputError(
                    "{file} was given up after {seconds} seconds; look at it in another viewer.",
                    file=name,
                    seconds=round(self._seconds),
                )
        return InputError(
            "{file} made its decoder crash; it is damaged or hostile, so leave it out.", file=name
        )

    def start(self) -> subprocess.Popen[bytes]:
        """Start the process now, so that the first request need not wait."""
        with self._lock:
            if self._closed:
                raise WorkerClosed
            if self._process is None:
                self._process = _start(self._functions, self._prepare)
            return self._process

    def close(self) -> None:
        """End the process for good: whoever waits for its answer gets an error, and no other is started."""
        with self._lock:
            self._closed = True
        self._end()

    def _end(self) -> None:
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            _end(process)


class WorkerPool:
    """Several such processes, for any number of threads. Each starts when it is first needed."""

    def __init__(
        self,
        functions: Sequence[Callable[[Any], Any]],
        count: int,
        seconds: float = SECONDS,
        prepare: Callable[[], None] = load_readers,
    ) -> None:
        self._everyone = [SubprocessWorker(functions, seconds, prepare) for _ in range(count)]
        # The one that was busy last goes first: a process is started only when all those before it are busy.
        self._idle: LifoQueue[SubprocessWorker] = LifoQueue()
        for worker in self._everyone:
            self._idle.put(worker)

    def call(self, function: Callable[[R], A], request: R, name: str) -> A | TetkikError:
        """As a worker's `call`, once one has nothing to do."""
        with self._worker() as worker:
            return worker.call(function, request, name)

    @contextmanager
    def _worker(self) -> Iterator[SubprocessWorker]:
        worker = self._idle.get()
        try:
            yield worker
        finally:
            self._idle.put(worker)

    def start(self) -> None:
        """Start one process now, so that the first request need not wait."""
        with self._worker() as worker:
            worker.start()

    def close(self) -> None:
        """End the processes for good, whatever they are doing."""
        for worker in self._everyone:
            worker.close()


def _start(
    functions: Sequence[Callable[[Any], object]], prepare: Callable[[], None]
) -> subprocess.Popen[bytes]:
    chosen = settings()
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    environment |= dict.fromkeys(_THREADS, "1")
    environment |= {
        # The parent's path of modules, and not the working folder: a file there must not pass for a module.
        "PYTHONPATH": os.pathsep.join(place for place in sys.path if place),
        "HOME": os.devnull,  # the file of settings may hold secrets, too
        "TETKIK_MAX_IMAGE_BYTES": str(chosen.max_image_bytes),
        "TETKIK_MAX_IMAGE_PIXELS": str(chosen.max_image_pixels),
    }
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders in C write there as they like
        env=environment,
    )
    assert process.stdin is not None and process.stdout is not None
    for stream in (process.stdin, process.stdout):
        _widen(stream.fileno())
    memory = _SPARE + 3 * chosen.max_image_bytes + 24 * chosen.max_image_pixels
    try:
        send(_Job(tuple(map(_name_of, functions)), _name_of(prepare), memory), process.stdin)
        # It is ready: what fails from now on is a file's fault.
        receive(bool, process.stdout, 0)
    except _FAULTS:
        _end(process)
        raise UsageError(
            "A process that reads images could not be started; install Tetkik again, or use --workers 0."
        ) from None
    return process


def _widen(pipe: int) -> None:
    with suppress(ImportError, AttributeError, OSError):  # of Linux; the system may allow no more
        import fcntl

        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)


def _name_of(function: Callable[..., object]) -> str:
    return f"{function.__module__}:{function.__qualname__}"


def _named(name: str) -> Callable[..., Any]:
    module, _, own = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), own)
    return function


def _most_answered() -> int:
    """Bytes of an answer's arrays: grey of 16 bits and colour of 24, with as much to spare."""
    return 8 * settings().max_image_pixels + _SPARE


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdin, process.stdout):
        # What was not written yet has no reader any more.
        with suppress(OSError, ValueError):
            if stream is not None:
                stream.close()


def serve() -> None:
    """The child: an answer for each request on the standard input, until that is closed."""
    # Ctrl-C reaches the whole group; the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with os.fdopen(os.dup(1), "wb") as answers:
        # Decoders in C print to the standard output too; that must not fall among the answers.
        os.dup2(2, 1)
        with suppress(EOFError, BrokenPipeError):
            _answer(sys.stdin.buffer, answers)


def _answer(requests: BinaryIO, answers: BinaryIO) -> None:
    job = receive(_Job, requests, 0)
    functions = [_named(name) for name in job.functions]
    kinds = [request_of(function) for function in functions]
    _named(job.prepare)()
    send(enter_sandbox(job.memory), answers)
    while True:
        chosen = receive(int, requests, 0)
        request = receive(kinds[chosen], requests, sys.maxsize)  # of our own parent
        try:
            answer = functions[chosen](request)
        except TetkikError as error:
            answer = error
        send(answer, answers)


@dataclass(frozen=True, slots=True)
class ReadRequest:
    """A file's content, the name that an error gives it, and which of its frames, as for `read_image`.

    A DICOM file with a `key` is kept as it was parsed until another comes, so that its next frame can be
    asked for without `content`.
    """

    content: bytes | None
    name: str
    frame: int | None = None
    key: str | None = None


class ImageReader:
    """What a process does with each request; None where it has not kept the file."""

    def __init__(self) -> None:
        self._key: str | None = None
        self._kept: tuple[Dataset, UID, str] | None = None

    def __call__(self, request: ReadRequest) -> Radiograph | None:
        # pydicom is loaded when an image is read, and not when this module is.
        from tetkik.imaging.dicom import is_dicom, parse_dicom, radiograph_of

        content, name, frame = request.content, request.name, request.frame
        with one_file(name):
            if content is None:
                if self._kept is None or self._key != request.key:
                    return None
            elif request.key is None or len(content) > _MOST_KEPT or not is_dicom(content):
                return read_bytes(content, name, frame=frame)
            else:
                self._key = self._kept = None
                check_bytes(len(content), name)
                with suppress_library_warnings():
                    self._kept = (*parse_dicom(content, name), hashlib.sha256(content).hexdigest())
                self._key = request.key
            with suppress_library_warnings():
                return radiograph_of(*self._kept, name, frame)


_reader = ImageReader()


def read_request(request: ReadRequest) -> Radiograph | None:
    """What the reader of this process makes of a request."""
    return _reader(request)


class ReaderPool(WorkerPool):
    """A few processes that read images."""

    def __init__(self, count: int = 2, seconds: float = SECONDS) -> None:
        super().__init__((read_request,), count, seconds)

    def read(self, content: bytes, name: str, frame: int | None = None) -> Radiograph:
        """The image in a file's content; waits where every process is busy.

        Args:
            frame: which of several, as for `read_image`; no other is decoded.

        Raises:
            WorkerClosed: the processes were ended meanwhile.
            InputError: it cannot be read as an image.
        """
        return _checked(self.call(read_request, ReadRequest(content, name, frame), name))

    def read_frame(self, load: Callable[[], bytes], name: str, frame: int) -> Radiograph:
        """The same of a file with several frames, which is loaded unless the process still has it.

        Args:
            name: that no other file has.
        """
        with self._worker() as worker:
            answer = worker.call(read_request, ReadRequest(None, name, frame, name), name)
            if answer is None:
                answer = worker.call(read_request, ReadRequest(load(), name, frame, name), name)
        return _checked(answer)


def _checked(answer: Radiograph | TetkikError | None) -> Radiograph:
    if isinstance(answer, TetkikError):
        raise answer
    if answer is None:
        raise WorkerClosed  # it answered what the reader never does
    return answer
