"""Bulk scoring against the bare work on the same cores.

    python benchmarks/bulk.py findings ARCHIVE [--processes N] [--ray ADDRESS]
    python benchmarks/bulk.py triage TABLE.csv --rows 1000000 [--processes N] [--ray ADDRESS]

"Bare" is a process for each core that only decodes and scores (findings), or only predicts (triage), the
same inputs without lists, parts or Parquet. Asked for: local processes 90% of that; Ray, where the address of
a cluster on these same cores is given, 90% of the local processes; memory flat from the first tenth of the
parts to the last. The table of complaints is repeated up to `--rows`. Needs the extra `ray` and a machine
that does nothing else.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

sys.path.insert(0, str(Path(__file__).parent))

from figures import judged, record
from tetkik.bundle import Task
from tetkik.fleet.bulk import make_job, run_bulk
from tetkik.fleet.bulk.local import LocalRunner
from tetkik.fleet.bulk.ray_cluster import connected
from tetkik.fleet.bulk.run import Location, Runner

_PAGE = os.sysconf("SC_PAGE_SIZE")
_ASKED = 0.9
_GROWTH = 1.1
"""Times the memory of the first tenth that still counts as flat."""


def bare(task: Task, items: Sequence[str], barrier: object, done: object) -> None:
    """One process: load, wait for the others, work, say how long it took."""
    if task is Task.FINDINGS:
        from tetkik.findings.predict import Findings, load_model
        from tetkik.settings import settings

        findings = Findings(load_model(settings().findings_model, threads=1))
        barrier.wait()  # type: ignore[attr-defined]
        begun = time.perf_counter()
        for _ in findings.predict_many(items, workers=0):
            pass
    else:
        from tetkik.triage.predict import load_triage

        triage = load_triage(priors=True)
        barrier.wait()  # type: ignore[attr-defined]
        begun = time.perf_counter()
        for _ in triage.predict_many(items):
            pass
    done.put(time.perf_counter() - begun)  # type: ignore[attr-defined]


def bare_rate(task: Task, items: Sequence[str], processes: int) -> float:
    """Inputs a second of all processes together, without their start."""
    os.environ.update(OMP_NUM_THREADS="1", TETKIK_THREADS="1")
    context = multiprocessing.get_context("spawn")
    barrier, done = context.Barrier(processes), context.Queue()
    shares = [items[place::processes] for place in range(processes)]
    started = [context.Process(target=bare, args=(task, share, barrier, done)) for share in shares]
    for process in started:
        process.start()
    seconds = max(done.get() for _ in started)
    for process in started:
        process.join()
    return len(items) / float(seconds)


def bulk_rate(task: Task, source: Path, runner: Runner, part_rows: int) -> tuple[float, int, int]:
    """Inputs a second from the first written part on, and the resident bytes early and at the end."""
    times: list[float] = []
    memory: list[int] = []

    def tell(done: int, parts: int) -> None:
        times.append(time.perf_counter())
        memory.append(resident())

    with TemporaryDirectory() as folder:
        result = run_bulk(
            make_job(task, str(source)), Path(folder) / "out", runner, part_rows=part_rows, progress=tell
        )
    first = max(1, len(times) // 10)
    share = (len(times) - 1 - first) / max(1, result.parts)
    return result.rows * share / (times[-1] - times[first]), memory[first], memory[-1]


def resident() -> int:
    """Bytes in memory of this process and those that it started (Linux)."""
    total = 0
    for place in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
            if os.getpid() in {parent, int(place.name)}:
                total += int((place / "statm").read_text().split()[1]) * _PAGE
        except (OSError, ValueError):
            continue
    return total


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=("findings", "triage"))
    parser.add_argument("source", type=Path)
    parser.add_argument("--rows", type=int, default=0)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--part-rows", type=int, default=0)
    parser.add_argument("--ray")
    given = parser.parse_args()
    task = Task(given.task)
    with TemporaryDirectory() as folder:
        source = given.source
        if task is Task.TRIAGE:
            with source.open(encoding="utf-8-sig", newline="") as file:
                texts = [row["text"] for row in csv.DictReader(file)]
            count = given.rows or len(texts)
            items = [texts[number % len(texts)] for number in range(count)]
            source = Path(folder) / "texts.csv"
            with source.open("w", encoding="utf-8", newline="") as file:
                csv.writer(file).writerows([["text"], *([text] for text in items)])
        else:
            items = [str(given.source / name) for name in Location.of(str(given.source)).open().walk()]
        part_rows = given.part_rows or (10_000 if task is Task.TRIAGE else 256)
        # A sample is enough for a rate.
        plain = bare_rate(task, items[:20_000], given.processes)
        local, early, late = bulk_rate(task, source, LocalRunner(given.processes), part_rows)
        print(f"bare, {given.processes} processes: {plain:.1f} a second")
        print(f"local processes: {local:.1f} a second, {local / plain:.0%} of bare")
        print(f"memory: {early >> 20} MB early, {late >> 20} MB at the end")
        cell = f"{local / plain:.0%} ({local:.0f} a second); {late / early:.2f} times"
        met = local >= _ASKED * plain and late <= _GROWTH * early
        counted = f"{len(items):,} on {given.processes} cores"
        record(f"fleet/bulk-{task}", {"reached": judged(cell, met=met), "n": counted})
        if given.ray:
            with connected(given.ray) as runner:
                shared, _, _ = bulk_rate(task, source, runner, part_rows)
            print(f"Ray: {shared:.1f} a second, {shared / local:.0%} of local processes")
            cell = f"{shared / local:.0%} ({shared:.0f} a second)"
            record("fleet/bulk-ray", {"reached": judged(cell, met=shared >= _ASKED * local), "n": counted})


if __name__ == "__main__":
    main()
