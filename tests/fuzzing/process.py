"""Targets are read in processes of their own, which are limited in memory and may end.

    python -m tests.fuzzing.process < runs.json

A process loads everything once and forks for each run of `runs.json`; where a fork ends over an input, that
is a finding, and the next goes on behind it. One line of JSON comes back for each run.
"""

from __future__ import annotations

import base64
import json
import mmap
import os
import random
import resource
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.fuzzing.targets import Target

MOST_SECONDS = 20
"""Of the processor for one input, after which the process is killed."""
MEBIBYTES = 1024
"""What a process may take beyond what it has loaded."""
_ROOT = Path(__file__).parents[2]


@dataclass
class FuzzRun:
    """What is read: `count` inputs of a target from the dice `first` on, for `seconds` at most.

    And what came of it: inputs that were read, and of them taken; the longest one's seconds of processor; the
    bytes by which the process grew; and the findings by the number of their dice, each a traceback or the
    signal that ended the process.
    """

    name: str
    first: int = 0
    count: int = 10**9
    seconds: float = 10**6
    done: int = 0
    taken: int = 0
    longest: float = 0.0
    grown: int = 0
    findings: dict[int, str] = field(default_factory=dict)
    inputs: dict[int, str] = field(default_factory=dict)
    """What was read there, in base 64: some samples differ from process to process (GDCM names them anew)."""


def fuzz(runs: Sequence[FuzzRun]) -> list[FuzzRun]:
    """Do these runs, one after the other, in a process of its own."""
    ran = subprocess.run(
        [sys.executable, "-m", "tests.fuzzing.process"],
        cwd=_ROOT,
        input=json.dumps([asdict(run) for run in runs]),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [FuzzRun(**_with_numbers(json.loads(line))) for line in ran.stdout.splitlines()]


def _with_numbers(run: dict[str, Any]) -> dict[str, Any]:
    """JSON has made texts of the numbers of the findings."""
    return run | {
        name: {int(key): said for key, said in run[name].items()} for name in ("findings", "inputs")
    }


def input_of(name: str, number: int) -> bytes:
    """The input that these dice make."""
    from tests.fuzzing.targets import TARGETS

    return TARGETS[name].make(random.Random(f"{name} {number}"))


def _memory(line: str) -> int:
    """Bytes of a line of /proc/self/status, such as VmHWM: the most memory that there was at once."""
    for text in Path("/proc/self/status").read_text().splitlines():
        if text.startswith(line + ":"):
            return 1024 * int(text.split()[1])
    raise KeyError(line)


def _work(run: FuzzRun) -> None:
    """Do one run, in as many forks as it needs."""
    from tests.fuzzing.targets import TARGETS

    target, place = TARGETS[run.name], mmap.mmap(-1, 16)
    for number in range(3):  # what is loaded when it is first used is loaded before memory is counted
        _read(target, input_of(run.name, number))
    end = time.monotonic() + run.seconds
    number, stop = run.first, run.first + run.count
    while number < stop and time.monotonic() < end:
        source, sink = os.pipe()
        child = os.fork()
        if not child:
            os.close(source)
            try:
                _forked(run.name, target, range(number, stop), end, place, sink)
            finally:
                os._exit(0)
        os.close(sink)
        with os.fdopen(source) as lines:
            said: list[dict[str, Any]] = [json.loads(line) for line in lines]
        _, status = os.waitpid(child, 0)
        reached = int.from_bytes(place[:8], "little")
        for line in said:
            if "finding" in line:
                run.findings[line["number"]] = line["finding"]
            else:
                run.taken += line["taken"]
                run.longest = max(run.longest, line["longest"])
                run.grown = max(run.grown, line["grown"])
        if status:
            run.findings[reached] = f"the process ended: {signal.Signals(status & 127).name}"
        run.done += reached + 1 - number
        number = reached + 1
    run.inputs = {key: base64.b64encode(input_of(run.name, key)).decode() for key in run.findings}


def _forked(name: str, target: Target, numbers: range, end: float, place: mmap.mmap, sink: int) -> None:
    def say(**line: object) -> None:
        os.write(sink, json.dumps(line).encode() + b"\n")

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders in C write there as they like
    before = _memory("VmHWM")
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + (MEBIBYTES << 20),) * 2)
    taken, longest = 0, 0.0
    for number in numbers:
        if time.monotonic() > end:
            break
        place[:8] = number.to_bytes(8, "little")
        data = input_of(name, number)
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
        began = time.process_time()
        finding = _read(target, data)
        longest = max(longest, time.process_time() - began)
        signal.setitimer(signal.ITIMER_PROF, 0)
        taken += finding is None
        if finding:
            say(number=number, finding=finding)
    say(taken=taken, longest=longest, grown=_memory("VmHWM") - before)


def _read(target: Target, data: bytes) -> str | None:
    """None where the input was taken, nothing where it was refused, else how it failed."""
    try:
        target.read(data)
    except target.refusals:
        return ""
    except Exception:
        return traceback.format_exc(limit=-8)
    return None


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for item in json.load(sys.stdin):
        run = FuzzRun(**item)
        _work(run)
        sys.stdout.write(json.dumps(asdict(run)) + "\n")
        sys.stdout.flush()
