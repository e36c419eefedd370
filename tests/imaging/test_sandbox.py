"""What a decoder that was taken over can do: answer, in the form that was asked for, and nothing else."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.imaging.files import as_bytes, dataset, deflated, picture, raster, sound_files
from tests.imaging.isolated import read_isolated
from tests.imaging.test_hostile import MEGABYTE, chunk
from tetkik.errors import InputError, TetkikError
from tetkik.imaging.read import read_bytes
from tetkik.imaging.subprocess_worker import ReaderPool, SubprocessWorker, enter_sandbox, receive, send
from tetkik.values import Radiograph

pytestmark = pytest.mark.attack
linux = pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")


def attempt(what: tuple[str, str]) -> str:
    """In the process of decoders: what an act came to."""
    act, target = what
    try:
        match act:
            case "environment":
                return json.dumps(sorted(os.environ))
            case "read":
                return Path(target).read_text()
            case "write":
                Path(target).write_text("x")
            case "start":
                subprocess.run([target], check=False)
            case "fork":
                os.fork()
            case "connect":
                socket.create_connection(("127.0.0.1", int(target)), 5)
            case "kill":
                os.kill(int(target), signal.SIGTERM)
            case "memory":
                return str(np.zeros(int(target), np.uint8).nbytes)
    except (OSError, MemoryError) as fault:
        return type(fault).__name__
    return "done"


@linux
def test_a_decoder_that_was_taken_over_reaches_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("TETKIK_LLM_KEY", "secret")
    key = tmp_path / "master.key"
    key.write_text("secret")
    worker = SubprocessWorker((attempt,))

    def said(act: str, target: object = "") -> str | TetkikError:
        return worker.call(attempt, (act, str(target)), "x")

    with socket.create_server(("127.0.0.1", 0)) as server:
        try:
            names = json.loads(str(said("environment")))
            assert not [name for name in names if "KEY" in name or "SECRET" in name or "URL" in name]
            pid = worker.start().pid
            status = Path(f"/proc/{pid}/status").read_text()
            assert "NoNewPrivs:\t1" in status and "Seccomp:\t2" in status
            assert Path(f"/proc/{pid}/environ").stat().st_uid == 0  # nobody else of this account may look
            for act, target in (
                ("read", key),
                ("read", f"/proc/{os.getpid()}/environ"),
                ("write", tmp_path / "left"),
                ("start", "/bin/true"),
                ("fork", ""),
                ("connect", server.getsockname()[1]),
                ("kill", os.getpid()),
            ):
                assert said(act, target) == "PermissionError", act
            assert said("memory", 1 << 40) == "MemoryError"
            assert said("memory", 1 << 20) == str(1 << 20)
            assert worker.start().pid == pid
        finally:
            worker.close()
    assert not (tmp_path / "left").exists()


@linux
def test_the_calls_are_filtered_on_every_architecture():
    assert enter_sandbox.__module__ == "tetkik.imaging.subprocess_worker"
    from tetkik.imaging import subprocess_worker

    for _, (architecture, column) in subprocess_worker._ARCHITECTURES.items():
        code = subprocess_worker._filter(architecture, column)
        steps = [struct.unpack_from("=HBBI", code, place) for place in range(0, len(code), 8)]
        jumps = [
            (place, step)
            for place, step in enumerate(steps)
            if step[0] == subprocess_worker._EQUAL and place > 1
        ]
        assert {place + 1 + step[1] for place, step in jumps} == {len(steps) - 1}
        assert steps[-1][3] == subprocess_worker._ALLOW and steps[-2][3] == subprocess_worker._REFUSE


def test_every_sound_file_is_read_within_the_sandbox():
    """A library that loads a module late would fail there, and the file be called unreadable."""
    pool = ReaderPool(1)
    try:
        for name, data in sound_files().items():
            read, known = pool.read(data, name), read_bytes(data, name)
            assert np.array_equal(read.pixels, known.pixels), name
            assert (read.tags, read.identity, read.notes, read.colour) == (
                known.tags,
                known.identity,
                known.notes,
                known.colour,
            )
    finally:
        pool.close()


def frame(content: object, *pieces: bytes, sizes: list[int] | None = None) -> io.BytesIO:
    header = json.dumps([content, sizes or [len(piece) for piece in pieces]]).encode()
    return io.BytesIO(struct.pack("<II", len(header), len(pieces)) + header + b"".join(pieces))


class Ran:
    def __reduce__(self) -> tuple[object, ...]:
        return os._exit, (3,)


@pytest.mark.parametrize(
    "stream",
    [
        io.BytesIO(pickle.dumps(Ran())),
        frame({"error": ["InputError", "{file.__class__.__init__.__globals__}", {"file": "x"}]}),
        frame({"error": ["InputError", "{file} has no page {frame}; choose an earlier one.", {"file": "x"}]}),
        frame({"error": ["Path", "{file} is empty; fetch or export it again.", {"file": "x"}]}),
        frame({"error": ["Path.cwd", "x", {}]}),
        frame({"value": ["Identity"]}),
        frame({"value": ["Radiograph", ["|O", [1, 1], 0]]}, bytes(8)),
        frame({"value": "x"}, b"", sizes=[1 << 60]),
        frame({"value": "x"}, b"", sizes=[-1]),
        io.BytesIO(struct.pack("<II", 1 << 31, 0)),
        io.BytesIO(struct.pack("<II", 200_000, 0) + b"[" * 200_000),
    ],
)
def test_an_answer_is_data_and_of_the_kind_that_was_asked_for(stream):
    with pytest.raises((ValueError, TypeError, LookupError, AttributeError, EOFError, RecursionError)):
        receive(Radiograph, stream, 1 << 20)


def test_what_is_sent_arrives():
    known = read_bytes(as_bytes(dataset(np.stack([picture()] * 3), 12)), "x")
    stream = io.BytesIO()
    send(known, stream)
    send(InputError("{file} is empty; fetch or export it again.", file=Path("a")), stream)
    stream.seek(0)
    read = receive(Radiograph, stream, 1 << 20)
    assert np.array_equal(read.pixels, known.pixels) and not read.pixels.flags.writeable
    assert (read.notes, read.tags, read.spacing) == (known.notes, known.tags, known.spacing)
    error = receive(Radiograph, stream, 1 << 20)
    assert type(error) is InputError and str(error).startswith("a is empty")


def flood(count: int) -> bytes:
    """Raw deflate of so many mebibytes of zeros, a kilobyte each."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = packer.compress(bytes(MEGABYTE)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * count + zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush()


def test_bombs_end_bounded():
    """Of 0.9 MB each; the first took 2 GB once."""
    bomb = flood(900)
    packed = b"\x78\xda" + bomb + bytes(4)
    png = raster(picture(bits=8).astype(np.uint8), "PNG")
    place = png.index(b"IDAT") - 4
    header = struct.pack(">IIBBBBB", 100, 100, 8, 0, 0, 0, 0)
    strip = {256: 100, 257: 100, 258: 8, 259: 8, 262: 1, 273: 8, 277: 1, 278: 100, 279: len(packed)}
    shared = {256: 16, 257: 16, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 16, 279: 256}
    files = [
        deflated(bomb),
        *(
            png[:place] + chunk(name, text + packed) + png[place:]
            for name, text in ((b"zTXt", b"a\0\0"), (b"iCCP", b"a\0\0"), (b"iTXt", b"a\0\1\0\0\0"))
        ),
        png[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b""),
        tiff([(tag, 4, 1, value) for tag, value in strip.items()], packed),
        tiff(
            [
                *((tag, 4, 1, value) for tag, value in shared.items()),
                *((40_000 + number, 7, 700_000, 8) for number in range(20_000)),
            ],
            bytes(700_000),
        ),
    ]
    outcomes = read_isolated(files)
    assert "unpacks to far more than it can hold" in outcomes[0].said
    assert max(outcome.memory for outcome in outcomes) < 450 * MEGABYTE
    assert max(outcome.seconds for outcome in outcomes) < 5


def tiff(entries: list[tuple[int, int, int, int]], content: bytes) -> bytes:
    directory = b"".join(struct.pack("<HHII", *entry) for entry in sorted(entries))
    head = b"II*\0" + struct.pack("<I", 8 + len(content)) + content
    return head + struct.pack("<H", len(entries)) + directory + bytes(4)


def test_a_deflated_black_image_is_no_bomb():
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    whole = as_bytes(dataset(np.zeros((4000, 4000), np.uint16), 12))
    body = whole[whole.index(b"\x08\0\x16\0UI") :]
    assert read_bytes(deflated(packer.compress(body) + packer.flush()), "x").rows == 4000
