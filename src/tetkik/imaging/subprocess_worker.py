"""A subprocess that applies one function to files, so that a decoder which crashes takes nothing with it.

Requests and answers are pickled over its standard input and output. Both ends are ours: it is no sandbox, and
a pickle from it can do no more than the subprocess itself could. `multiprocessing` is not used: a pool there
is lost as a whole when one of its processes dies, does not say over which file, and runs the caller's main
module again.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import LifoQueue
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Generic, TypeVar

from tetkik.errors import InputError, TetkikError, UsageError
from tetkik.imaging.library_warnings import suppress_library_warnings
from tetkik.imaging.limits import check_bytes
from tetkik.imaging.read import one_file, read_bytes
from tetkik.values import Radiograph

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

A = TypeVar("A")

SECONDS = 120.0
"""Longest time for one file; a sound one takes about a second."""
_START = "from tetkik.imaging.subprocess_worker import serve; serve()"
_MOST_KEPT = 256 * 2**20
"""Bytes of a file that a process keeps for the next of its frames."""
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "TETKIK_THREADS")
"""One each: there are as many processes as cores."""


class WorkerClosed(RuntimeError):
    """The worker was closed for good."""


class SubprocessWorker(Generic[A]):
    """The parent's end of one process; for one thread at a time, and any other may close it.

    Args:
        function: what is done to each request; of a module, or a `partial` of one, so that it can be pickled.
            A `TetkikError` of it is given as the answer.
    """

    def __init__(self, function: Callable[[Any], A], seconds: float = SECONDS) -> None:
        self._function = function
        self._seconds = seconds
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False
        self._lock = threading.Lock()
        """Held where a process is started or taken away."""

    def call(self, request: object, name: str) -> A | TetkikError:
        """Apply the function to one request; a process that dies over it is replaced for the next.

        Raises:
            WorkerClosed: it was closed, before or meanwhile.
            UsageError: the process cannot be started.
        """
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
                _send(request, process.stdin)
                answer: A | TetkikError = pickle.load(process.stdout)  # noqa: S301 - from our own process
            except (EOFError, OSError, ValueError, pickle.UnpicklingError):
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
                self._process = _start(self._function)
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


class WorkerPool(Generic[A]):
    """Several such processes, for any number of threads. Each starts when it is first needed."""

    def __init__(self, function: Callable[[Any], A], count: int, seconds: float = SECONDS) -> None:
        self._everyone = [SubprocessWorker(function, seconds) for _ in range(count)]
        # The one that was busy last goes first: a process is started only when all those before it are busy.
        self._idle: LifoQueue[SubprocessWorker[A]] = LifoQueue()
        for worker in self._everyone:
            self._idle.put(worker)

    def call(self, request: object, name: str) -> A | TetkikError:
        """As a worker's `call`, once one has nothing to do."""
        with self._worker() as worker:
            return worker.call(request, name)

    @contextmanager
    def _worker(self) -> Iterator[SubprocessWorker[A]]:
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


def _start(function: Callable[[Any], object]) -> subprocess.Popen[bytes]:
    # The parent's path of modules, and not the working folder: a file there must not pass for a module.
    path = os.pathsep.join(place for place in sys.path if place)
    environment = {**os.environ, "PYTHONPATH": path, **dict.fromkeys(_THREADS, "1")}
    process = subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-P", "-c", _START],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # decoders in C write there as they like
        env=environment,
    )
    assert process.stdin is not None and process.stdout is not None
    try:
        _send(function, process.stdin)
        pickle.load(process.stdout)  # noqa: S301 - it is ready: what fails from now on is a file's fault
    except (EOFError, OSError):
        _end(process)
        raise UsageError(
            "A process that reads images could not be started; install Tetkik again, or use --workers 0."
        ) from None
    return process


def _send(value: object, stream: IO[bytes]) -> None:
    pickle.dump(value, stream, pickle.HIGHEST_PROTOCOL)
    stream.flush()


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
        _answer(sys.stdin.buffer, answers)


def _answer(requests: BinaryIO, answers: BinaryIO) -> None:
    try:
        function: Callable[[Any], object] = pickle.load(requests)  # noqa: S301 - from our own parent
        _send("ready", answers)
        while True:
            request = pickle.load(requests)  # noqa: S301
            try:
                answer = function(request)
            except TetkikError as error:
                error.__cause__ = None
                answer = error
            _send(answer, answers)
    except (EOFError, BrokenPipeError):
        return


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


class ReaderPool(WorkerPool[Radiograph | None]):
    """A few processes that read images."""

    def __init__(self, count: int = 2, seconds: float = SECONDS) -> None:
        super().__init__(ImageReader(), count, seconds)

    def read(self, content: bytes, name: str, frame: int | None = None) -> Radiograph:
        """The image in a file's content; waits where every process is busy.

        Args:
            frame: which of several, as for `read_image`; no other is decoded.

        Raises:
            WorkerClosed: the processes were ended meanwhile.
            InputError: it cannot be read as an image.
        """
        return _checked(self.call(ReadRequest(content, name, frame), name))

    def read_frame(self, load: Callable[[], bytes], name: str, frame: int) -> Radiograph:
        """The same of a file with several frames, which is loaded unless the process still has it.

        Args:
            name: that no other file has.
        """
        with self._worker() as worker:
            answer = worker.call(ReadRequest(None, name, frame, name), name)
            if answer is None:
                answer = worker.call(ReadRequest(load(), name, frame, name), name)
        return _checked(answer)


def _checked(answer: Radiograph | TetkikError | None) -> Radiograph:
    if isinstance(answer, TetkikError):
        raise answer
    assert answer is not None
    answer.pixels.setflags(write=False)  # what a pickle forgets
    if answer.display is not None:
        answer.display.values.setflags(write=False)
    return answer
