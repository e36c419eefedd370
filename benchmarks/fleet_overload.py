"""Twice as many studies as the workers can read, for minutes: none lost, none doubled, red cases soon.

    python benchmarks/fleet_overload.py [--minutes 10] [--workers 2] [--side 1000] [--json FILE]

First red cases come alone, one after another; then so many studies at once that the rate shows at which they
go from the DICOM port to their result; then twice that rate, while red cases go on coming from an upload. At
the end everything is waited for. A wait is from the port, or from the upload, to the answer; memory is that
of each worker.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
import time
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ["TETKIK_THREADS"] = "1"

from figures import judged, record
from fleet_load import QUIET_SECONDS, Installation, Sender, installed, studies
from tests.fleet.fleet import resident_bytes
from tests.records.kit import made_case, made_user
from tetkik.imaging.read import read_bytes
from tetkik.records.cases.priority import choose_priority
from tetkik.values import Actor, Priority, Role
from tetkik.workflow.image_intake import IncomingImage

_TIMES = 3.0
_GROWTH = 1.1
_RED_SECONDS = 5.0
_BURST = 300
"""Studies by which the capacity is measured."""


class Reds:
    """Red cases with an image each, and which they are."""

    def __init__(self, made: Installation, side: int) -> None:
        self._records = made.records
        self._films = studies(side)
        self._actor: Actor = made_user(made.records, Role.TECHNICIAN, Role.RADIOLOGIST)
        self.cases: set[str] = set()

    def add(self) -> None:
        packed = BytesIO()
        one = next(self._films)
        one.save_as(packed)
        incoming = IncomingImage(packed.getvalue(), read_bytes(packed.getvalue(), "red"))
        case = made_case(self._records, self._actor)
        with self._records.write(self._actor) as tx:
            choose_priority(tx, case, Priority.CRITICAL)
        with self._records.write(self._actor) as tx:
            incoming.keep(tx, case)
        self.cases.add(case)


def main() -> None:
    """Measure, print, and record."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=10, help="Of twice the capacity.")
    parser.add_argument("--workers", type=int, default=2, help="Processes that read images.")
    parser.add_argument("--side", type=int, default=1000, help="Pixels a side.")
    parser.add_argument("--json", type=Path, help="A file for what was measured.")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="tetkik-fleet-") as name,
        installed(Path(name), given.workers) as made,
    ):
        result = measured(made, given.minutes, given.side)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1))
    figures = result["idle_p95"], result["red_p95"], result["growth"], len(result["faults"])
    met = figures[1] <= _TIMES * figures[0] and figures[2] <= _GROWTH and not figures[3]
    cell = "{3} faults; red p95 {1:.1f} s (idle {0:.1f} s); memory {2:.2f} times".format(*figures)
    print(cell)
    for fault in result["faults"]:
        print(fault)
    record(
        "fleet/overload",
        {"reached": judged(cell, met=met), "n": f"{result['studies']} studies, {given.minutes:g} minutes"},
    )
    raise SystemExit(not met)


def measured(made: Installation, minutes: float, side: int) -> dict[str, Any]:
    """The three parts of the run."""
    reds, films = Reds(made, side), studies(side)
    for number in range(1, 21):
        reds.add()
        made.wait_done(number, 120)
    idle = float(np.quantile(made.waits(reds.cases)[1:], 0.95))
    idle_cases = set(reds.cases)
    sender = Sender(made.port, first := next(films))
    count, at, before = len(reds.cases), time.monotonic(), made.cpu()
    sender.send(first)
    for one in islice(films, _BURST - 1):
        sender.send(one)
    made.wait_done(count + _BURST, 600)
    capacity = _BURST / (time.monotonic() - at)
    spent = {name: (after - before[name]) / _BURST for name, after in made.cpu().items()}
    print(f"idle: red p95 {idle:.2f} s; capacity {capacity * 3600:.0f} studies an hour", flush=True)
    sent, memory = _BURST, []
    over = threading.Event()

    def red() -> None:
        while not over.wait(_RED_SECONDS):
            reds.add()

    thread = threading.Thread(target=red)
    thread.start()
    begin = time.monotonic()
    while (elapsed := time.monotonic() - begin) < 60 * minutes:
        due = int(2 * capacity * elapsed)
        while sent - _BURST < due:
            sender.send(next(films))
            sent += 1
        memory.append(max(resident_bytes(process.pid) for process in made.fleet.processes))
        time.sleep(0.2)
    over.set()
    thread.join()
    offered = (sent - _BURST) / (time.monotonic() - begin)
    behind = sent + len(reds.cases) - made.done()
    made.wait_done(sent + len(reds.cases), 120 * minutes + 600)
    memory.append(max(resident_bytes(process.pid) for process in made.fleet.processes))
    third = max(1, len(memory) // 3)
    sender.close()
    return {
        "workers": len(made.fleet.processes),
        "burst": _BURST,
        "capacity_an_hour": capacity * 3600,
        "offered_an_hour": offered * 3600,
        "studies": sent + len(reds.cases),
        "behind_at_the_end": behind,
        "quiet_seconds": QUIET_SECONDS,
        **spent,
        "idle_p95": idle,
        "red_p95": float(np.quantile(made.waits(reds.cases - idle_cases), 0.95)),
        "waits": made.waits(),
        "growth": max(memory[-third:]) / max(memory[:third]),
        "memory_bytes": max(memory),
        "faults": made.faults(sent + len(reds.cases)),
    }


if __name__ == "__main__":
    main()
