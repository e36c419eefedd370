"""Hostile files are read in a process of their own: a decoder that crashes fails a test and not the run."""

from __future__ import annotations

import atexit
import json
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from tests.imaging.files import as_bytes, dataset, picture

# A server that has loaded everything and forks for each request.
PROGRAM = """
import json, os, resource, signal, struct, sys, time
from tetkik.errors import InputError
from tetkik.imaging.read import read_bytes
from tetkik.settings import settings

source, target = sys.stdin.buffer, sys.stdout

def peak():
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size if sys.platform == "darwin" else 1024 * size

def blobs():
    for _ in range(struct.unpack("<I", source.read(4))[0]):
        yield source.read(struct.unpack("<I", source.read(4))[0])

for data in blobs():
    read_bytes(data, "warm")
while environment := source.readline():
    files = list(blobs())
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        print(json.dumps(status), flush=True)
        continue
    os.environ.update(json.loads(environment))
    settings.cache_clear()
    signal.setitimer(signal.ITIMER_PROF, 30)
    for data in files:
        before, start, said = peak(), time.process_time(), ""
        try:
            read_bytes(data, "FILE")
        except InputError as error:
            said = str(error)
        print(json.dumps([said, time.process_time() - start, peak() - before]), flush=True)
    os._exit(0)
"""


@dataclass(frozen=True)
class Outcome:
    """What became of one file.

    Attributes:
        said: the error's sentence; empty where an image was read.
        seconds: of the processor.
        memory: by how many bytes it made the process's peak grow.
    """

    said: str
    seconds: float
    memory: int


def _packed(files: Sequence[bytes]) -> bytes:
    return struct.pack("<I", len(files)) + b"".join(struct.pack("<I", len(data)) + data for data in files)


@cache
def _server() -> subprocess.Popen[bytes]:
    server = subprocess.Popen([sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    atexit.register(server.kill)
    assert server.stdin is not None
    server.stdin.write(_packed([as_bytes(dataset(picture(), 12))]))
    return server


def read_isolated(files: Sequence[bytes], **settings: int) -> list[Outcome]:
    """Read every one of `files` in one process, which has 30 seconds of processor time for them.

    Args:
        files: their contents.
        settings: of Tetkik, for that process.

    Raises:
        AssertionError: the process ended before the last file; it says at which.
    """
    server = _server()
    assert server.stdin is not None and server.stdout is not None
    environment = {f"TETKIK_{name.upper()}": str(value) for name, value in settings.items()}
    server.stdin.write(json.dumps(environment).encode() + b"\n" + _packed(files))
    server.stdin.flush()
    outcomes = []
    while isinstance(line := json.loads(server.stdout.readline()), list):
        outcomes.append(Outcome(*line))
    assert line == 0 and len(outcomes) == len(files), f"file {len(outcomes)} ended the process ({line})"
    return outcomes
