"""A subprocess that applies a few functions to files, so that a decoder which crashes takes nothing with it.

Before the first file it enters a sandbox (`sandbox`); what a hostile file makes of a decoder then can spoil
answers, and reach nothing else. Requests and answers are typed frames (`frames`) over its standard input and
output. `multiprocessing` is not used: a pool there is lost as a whole when one of its processes dies, does
not say over which file, and runs the caller's main module again.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import json
import os
import platform
import signal
import struct
import subprocess
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path
from queue import LifoQueue
from typing import IO, TYPE_CHECKING, Any, BinaryIO, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np

from tetkik import errors
from tetkik.errors import InputError, TetkikError, UsageError
from tetkik.imaging.limits import check_bytes, suppress_library_warnings
from tetkik.imaging.read import load_readers, one_file, read_bytes
from tetkik.language import Language, Sentence, is_message, translate
from tetkik.settings import settings
from tetkik.values.radiograph import Radiograph

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID


# Values between two processes as typed frames: a header in JSON, then the bytes of arrays and files.
#
# Each end knows from annotations what it is sent, and takes nothing else: no frame names a class or a
# function, and the template of a sentence must be one of ours, for `str.format` reaches into what it is
# given. What does not fit is a `ValueError`, `TypeError`, `LookupError`, `EOFError` or `RecursionError`.


_HEAD = struct.Struct("<II")
"""Bytes of the header, and how many pieces of bytes follow it."""
_MOST_HEADER = 32 << 20
_MOST_PIECES = 10_000
_PLAIN = (str, int, float, bool)


def send(value: Any, stream: IO[bytes]) -> None:
    """Write a value, or a `TetkikError`, as one frame."""
    pieces: list[memoryview] = []
    if isinstance(value, TetkikError):
        content = {"error": [type(value).__name__, value.template, _pack_values(value.values)]}
    else:
        content = {"value": _pack(value, pieces)}
    header = json.dumps([content, [piece.nbytes for piece in pieces]]).encode()
    stream.write(_HEAD.pack(len(header), len(pieces)) + header)
    for piece in pieces:
        stream.write(piece)
    stream.flush()


def receive(kind: Any, stream: IO[bytes], most: int) -> Any:
    """The next value, of the type `kind`; or a `TetkikError`, which may always come.

    Args:
        most: bytes of its arrays and files together.
    """
    length, count = _HEAD.unpack(_read(stream, _HEAD.size))
    if length > _MOST_HEADER or count > _MOST_PIECES:
        raise ValueError("too long a frame")
    content, sizes = json.loads(_read(stream, length))
    if len(sizes) != count or any(type(size) is not int or size < 0 for size in sizes) or sum(sizes) > most:
        raise ValueError("too long a frame")
    pieces = [_read(stream, size) for size in sizes]
    if "error" in content:
        return _error(*content["error"])
    return _unpack(kind, content["value"], pieces)


def answer_of(function: Callable[..., Any]) -> Any:
    """The type of what a function gives, by its annotation."""
    return _hints(function)["return"]


def request_of(function: Callable[..., Any]) -> Any:
    """The type of what a function takes."""
    return next(hint for name, hint in _hints(function).items() if name != "return")


def _read(stream: IO[bytes], size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _pack(value: Any, pieces: list[memoryview]) -> Any:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, _PLAIN):
        return value
    if isinstance(value, bytes):
        pieces.append(memoryview(value))
        return len(pieces) - 1
    if isinstance(value, np.ndarray):
        pieces.append(np.ascontiguousarray(value).reshape(-1).view(np.uint8).data)
        return [value.dtype.str, value.shape, len(pieces) - 1]
    if isinstance(value, Sentence):
        return [value.template, _pack_values(value.values)]
    if isinstance(value, tuple | list):
        return [_pack(item, pieces) for item in value]
    if is_dataclass(value):
        own = [_pack(getattr(value, item.name), pieces) for item in fields(value)]
        return [type(value).__name__, *own]
    raise TypeError(f"not a value that is sent: {type(value).__name__}")


def _pack_values(values: Mapping[str, object]) -> dict[str, object]:
    """The values of a sentence: a sentence among them stays one, a word of an enumeration becomes one."""
    packed: dict[str, object] = {}
    for name, value in values.items():
        entry = Sentence(str(value.value)) if isinstance(value, Enum) else value
        if isinstance(entry, Sentence):
            packed[name] = [entry.template, _pack_values(entry.values)]
        else:
            packed[name] = entry if entry is None or isinstance(entry, _PLAIN) else str(entry)
    return packed


def _unpack(kind: Any, packed: Any, pieces: list[bytes]) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _unpack_union(get_args(kind), packed, pieces)
    if origin is np.ndarray:
        return _unpack_array((kind,), packed, pieces)
    if origin is tuple:
        return _unpack_tuple(get_args(kind), packed, pieces)
    if kind is Sentence:
        return _sentence(packed)
    if is_dataclass(kind):
        return _unpack_fields(kind, packed, pieces)
    if kind is bytes:
        return pieces[_index(packed)]
    if kind is type(None) and packed is None:
        return None
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(packed)
    if kind is float and type(packed) is int:
        return float(packed)
    if kind not in _PLAIN or type(packed) is not kind:
        raise ValueError(f"not {kind}: {type(packed).__name__}")
    return packed


def _unpack_union(kinds: tuple[Any, ...], packed: Any, pieces: list[bytes]) -> Any:
    if packed is None and type(None) in kinds:
        return None
    left = [kind for kind in kinds if kind is not type(None)]
    if all(get_origin(kind) is np.ndarray for kind in left):
        return _unpack_array(left, packed, pieces)
    if len(left) > 1:  # values of several classes, told apart by the names of these
        left = [kind for kind in left if kind.__name__ == packed[0]]
    (kind,) = left
    return _unpack(kind, packed, pieces)


def _unpack_array(kinds: Any, packed: Any, pieces: list[bytes]) -> Any:
    """Read-only; of one of the element types that the annotation names."""
    name, shape, place = packed
    allowed = {np.dtype(get_args(get_args(kind)[1])[0]).str for kind in kinds}
    if name not in allowed or any(type(side) is not int or side < 0 for side in shape):
        raise ValueError("not such an array")
    return np.frombuffer(pieces[_index(place)], name).reshape(shape)


def _unpack_tuple(kinds: tuple[Any, ...], packed: Any, pieces: list[bytes]) -> tuple[Any, ...]:
    if not isinstance(packed, list):
        raise ValueError("not a list")
    if kinds[-1] is Ellipsis:
        return tuple(_unpack(kinds[0], item, pieces) for item in packed)
    return tuple(_unpack(kind, item, pieces) for kind, item in zip(kinds, packed, strict=True))


def _unpack_fields(kind: Any, packed: Any, pieces: list[bytes]) -> Any:
    hints, (name, *own) = _hints(kind), packed
    if name != kind.__name__:
        raise ValueError(f"not {kind.__name__}")
    known = fields(kind)
    values = (_unpack(hints[item.name], one, pieces) for item, one in zip(known, own, strict=True))
    return kind(**dict(zip((item.name for item in known), values, strict=True)))


def _index(packed: Any) -> int:
    if type(packed) is not int or packed < 0:
        raise ValueError("not a piece")
    return packed


def _sentence(packed: Any) -> Sentence:
    template, values = packed
    return Sentence(*_checked(template, values))


def _error(name: Any, template: Any, values: Any) -> TetkikError:
    kind = getattr(errors, name)
    if not (isinstance(kind, type) and issubclass(kind, TetkikError)):
        raise ValueError("no error of ours")
    template, own = _checked(template, values)
    error: TetkikError = kind(template, **own)
    return error


def _checked(template: Any, values: Any) -> tuple[str, dict[str, object]]:
    """A template of ours, and values that fill it."""
    own = {name: _sentence(one) if isinstance(one, list) else one for name, one in values.items()}
    if not all(one is None or isinstance(one, (*_PLAIN, Sentence)) for one in own.values()):
        raise ValueError("no value of a sentence")
    if not isinstance(template, str) or not is_message(template):
        raise ValueError("no sentence of ours")
    translate(template, Language.EN, **own)
    return template, own


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


# What a process gives up before it reads files from outside: unbounded memory, and most system calls.
#
# On Linux it can then open no file, make no connection, start no program and look into no other process; it
# reads requests, computes and answers. Elsewhere, and where the kernel has no seccomp, limits alone hold.


_PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _MODE_FILTER = 4, 38, 22, 2
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050001
"""Of seccomp(2): the call is made; the process ends; the call fails with EPERM."""
_LOAD, _EQUAL, _NOT_BELOW, _RETURN = 0x20, 0x15, 0x35, 0x06
"""Instructions of the filter (linux/bpf_common.h)."""
_X32 = 0x40000000
_ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
_CALLS = {
    # Number on x86-64 and on AArch64; None where there is no such call.
    "read": (0, 63),
    "write": (1, 64),
    "close": (3, 57),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "lseek": (8, 62),
    "readv": (19, 65),
    "writev": (20, 66),
    "poll": (7, None),
    "ppoll": (271, 73),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "madvise": (28, 233),
    "brk": (12, 214),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "membarrier": (324, 283),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "times": (100, 153),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "sysinfo": (99, 179),
    "uname": (63, 160),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "exit": (60, 93),
    "exit_group": (231, 94),
}


def hide_process() -> None:
    """Let no other process of this account look into this one's memory or environment, and dump no core."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def enter_sandbox(memory: int) -> bool:
    """Give up what a reader of files needs no more; whether system calls are filtered now.

    Args:
        memory: bytes that may be taken beyond those that the process has already.
    """
    _limit(memory)
    hide_process()
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURES:
        return False
    libc = ctypes.CDLL(None)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return False
    code = _filter(*_ARCHITECTURES[platform.machine()])
    instructions = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(instructions))
    return bool(libc.prctl(_PR_SET_SECCOMP, _MODE_FILTER, program, 0, 0) == 0)


def _limit(memory: int) -> None:
    try:
        import resource
    except ImportError:  # Windows, where the time limit has to do
        return
    taken = 0
    with suppress(OSError, ValueError):  # /proc is Linux's
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        taken = pages * resource.getpagesize()
    limits = {resource.RLIMIT_AS: taken + memory, resource.RLIMIT_CORE: 0, resource.RLIMIT_FSIZE: 0}
    for kind, most in limits.items():
        hard = resource.getrlimit(kind)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        with suppress(OSError, ValueError):  # macOS knows no limit of the address space
            resource.setrlimit(kind, (least, least))


def _filter(architecture: int, column: int) -> bytes:
    """The program of the filter (seccomp(2)): the calls of the list, of this architecture alone."""
    numbers = [row[column] for row in _CALLS.values() if row[column] is not None]
    left = len(numbers)
    steps = [
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, 0),  # the number of the call
        (_NOT_BELOW, left, 0, _X32),  # x86-64's other numbers for the same calls
        *((_EQUAL, left - place, 0, number) for place, number in enumerate(numbers)),
        (_RETURN, 0, 0, _REFUSE),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


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
        return _checked_of_subprocess_worker(self.call(read_request, ReadRequest(content, name, frame), name))

    def read_frame(self, load: Callable[[], bytes], name: str, frame: int) -> Radiograph:
        """The same of a file with several frames, which is loaded unless the process still has it.

        Args:
            name: that no other file has.
        """
        with self._worker() as worker:
            answer = worker.call(read_request, ReadRequest(None, name, frame, name), name)
            if answer is None:
                answer = worker.call(read_request, ReadRequest(load(), name, frame, name), name)
        return _checked_of_subprocess_worker(answer)


def _checked_of_subprocess_worker(answer: Radiograph | TetkikError | None) -> Radiograph:
    if isinstance(answer, TetkikError):
        raise answer
    if answer is None:
        raise WorkerClosed  # it answered what the reader never does
    return answer
