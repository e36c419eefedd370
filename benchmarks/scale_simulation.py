"""How long studies wait at so many a year on so many workers: a queueing model, fed with measured times.

    python benchmarks/scale_simulation.py [--studies 150000 3000000] [--workers 1 2] [--times throughput.json]
    python benchmarks/scale_simulation.py --against throughput.json overload.json [--cores 2]

A day of arrivals (a Poisson process whose rate follows the hours, by priority) goes through the receiver,
the import, the workers and, held by a worker, the database. In a run of throughput the sender stands before
them, which shares their cores, too. Each is a station with so many places, and all of them share the cores;
workers take the most urgent study that waits, the others whoever came first. Who has nothing to do looks
again after a while; so does a busy worker, for a critical case, which it reads beside the study in hand. A
study takes at each station as long as one of the measured ones did, drawn at random: times of
docs/figures.json with an assumed spread, or with `--times` the processor times of a run. What waits for a
disk or a network is in none. A wait is the time from the row of an image to its answer; in a run of overload,
from the port.

`--against` holds the model against what fleet_throughput.py and fleet_overload.py wrote with `--json`: the
same studies come again, and rate and p95 have to be within 15%. Of a run of throughput the processor times
with the fewest workers foretell the rates of all; of one of overload those of the first studies, by which
the capacity is measured, foretell the waits of all, and of red cases, which are uploaded. When studies come
is taken from the run.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import statistics
import sys
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import simpy

from figures import judged, record
from tetkik.fleet import worker
from tetkik.integrations import importing
from tetkik.values import Priority

STATIONS = ("send", "receive", "import", "work", "database")
BESIDE = "beside"
"""The further place of each worker, for a critical case while others are in hand."""
ASKED = 0.15
HOURS = (1, 1, 1, 1, 1, 1, 2, 4, 8, 10, 10, 9, 6, 8, 9, 8, 6, 4, 3, 2, 2, 1, 1, 1)
"""Studies of each hour of a weekday, of 100: assumed, as a hospital with outpatients has them."""
WEEKDAYS = 280
"""Weekdays that hold as many studies as a year, with quieter weekends and holidays."""
SHARES = {Priority.CRITICAL: 6, Priority.URGENT: 24, Priority.ROUTINE: 70}
URGENT_FIRST = {Priority.CRITICAL: 0, Priority.URGENT: 1, Priority.ROUTINE: 2}
RED_PACE = 0.2
"""Red cases a second that fleet_overload.py adds."""
IDLE_REDS = 20
"""That it sends one after another, before anything else."""
LOOKS = {"import": importing.POLL_SECONDS, "work": worker.POLL_SECONDS}
"""Seconds between two looks of an importer or a worker that has nothing to do."""
_SPREAD = 0.35
"""The standard deviation of the logarithm of a time, where none was measured."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run measured: studies an hour, seconds of waiting (p95); None where it did not."""

    rate: float | None = None
    wait: float | None = None
    red_wait: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """Stations, the times that studies take there, when they come, and what was measured."""

    places: Mapping[str, int]
    seconds: Mapping[str, Sequence[float]]
    arrivals: Sequence[tuple[float, Priority]] = ()
    measured: Measured = Measured()
    name: str = ""
    looks: Mapping[str, float] = field(default_factory=lambda: {"work": LOOKS["work"]})
    """Seconds between two looks for work of a station that has none."""
    quiet: float = 0.0
    """Seconds after which nothing more of a study is expected: the next look decides, then it is imported."""
    alone: int = 0
    """Red cases that came before all others, and do not count among the waits of red cases."""
    uploaded: bool = False
    """Red cases come by an upload, to the workers at once; a wait is from port or upload to the answer."""


class Day:
    """Studies on their way through the stations, by discrete events.

    Args:
        run: places and times of the stations.
        seed: the same gives the same day.
    """

    def __init__(self, run: Run, seed: int = 1) -> None:
        self._chance, self._run = random.Random(seed), run
        self._first_look = self._chance.uniform(0, LOOKS["import"])
        self._env = simpy.Environment()
        self._stations = {name: simpy.PriorityResource(self._env, run.places[name]) for name in run.places}
        self.busy = dict.fromkeys(STATIONS, 0.0)
        self.waits: dict[Priority, list[float]] = {priority: [] for priority in SHARES}
        self.ends: list[float] = []

    def play(self, arrivals: Sequence[tuple[float, Priority]]) -> None:
        """Let studies come at these seconds, and go on until the last is done."""
        for at, priority in arrivals:
            self._env.process(self._study(at, priority))
        self._env.run()

    def _study(self, at: float, priority: Priority) -> Generator[simpy.Event, Any, None]:
        yield self._env.timeout(at)
        begin = self._env.now
        if not (self._run.uploaded and priority is Priority.CRITICAL):
            yield from self._pass("send")
            begin = self._env.now
            yield from self._pass("receive")
            if self._run.quiet:
                decided = self._env.now + self._run.quiet
                yield self._env.timeout(self._run.quiet + (self._first_look - decided) % LOOKS["import"])
            yield from self._pass("import")
        if not self._run.uploaded:
            begin = self._env.now
        yield from self._read(priority)
        self.waits[priority].append(self._env.now - begin)
        self.ends.append(self._env.now)

    def _pass(self, name: str) -> Generator[simpy.Event, Any, None]:
        """Through a station that serves in turn."""
        station = self._stations[name]
        idle = name in self._run.looks and station.count == 0
        with station.request() as turn:
            yield turn
            if idle:
                yield self._look(name, 1)
            yield from self._spend(name)

    def _read(self, priority: Priority) -> Generator[simpy.Event, Any, None]:
        """By a worker, which holds its place while the database works."""
        work, beside = self._stations["work"], self._stations.get(BESIDE)
        idle = int(work.capacity) - work.count
        with work.request(URGENT_FIRST[priority]) as turn:
            if idle or beside is None or priority is not Priority.CRITICAL:
                yield turn
                if idle:
                    yield self._look("work", idle)
            else:
                yield turn | self._look("work", int(beside.capacity))
            if turn.triggered:
                yield from self._spend("work")
                yield from self._pass("database")
                return
        assert beside is not None
        with beside.request() as turn:
            yield turn
            yield from self._spend("work")
            yield from self._pass("database")

    def _look(self, name: str, looking: int) -> simpy.Event:
        """Until the first of so many looks again."""
        longest = self._run.looks.get(name, 0.0)
        return self._env.timeout(min(self._chance.uniform(0, longest) for _ in range(looking)))

    def _spend(self, name: str) -> Generator[simpy.Event, None, None]:
        seconds = self._chance.choice(self._run.seconds[name])
        self.busy[name] += seconds
        with self._stations["cores"].request() as core:
            yield core
            yield self._env.timeout(seconds)

    def measured(self) -> Measured:
        """What a run would have measured."""
        waits = [wait for of_priority in self.waits.values() for wait in of_priority]
        red = self.waits[Priority.CRITICAL][self._run.alone :]
        return Measured(3600 * len(self.ends) / max(self.ends), p95(waits), p95(red) if red else None)


def p95(values: Sequence[float]) -> float:
    """The 95th percentile."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]


def arrivals_of_a_day(studies: float, seed: int = 1) -> list[tuple[float, Priority]]:
    """When the studies of a weekday come, in seconds after midnight, and with which priority."""
    chance, found = random.Random(seed), []
    for hour, share in enumerate(HOURS):
        rate = studies * share / sum(HOURS) / 3600
        at = chance.expovariate(rate)
        while at < 3600:
            (priority,) = chance.choices(tuple(SHARES), tuple(SHARES.values()))
            found.append((3600 * hour + at, priority))
            at += chance.expovariate(rate)
    return found


def known_times() -> Mapping[str, tuple[float, ...]]:
    """Times of docs/figures.json, of a film to its draft, of an image received; assumed spread."""
    from figures import FILE, find  # which a test of the model does not need

    content = json.loads(FILE.read_text("utf-8"))

    def number(figure: str, pattern: str) -> float:
        found = re.search(pattern, find(content, figure)[1]["values"]["reached"])
        if found is None:
            raise SystemExit(f"{figure} has no {pattern}; give --times.")
        return float(found[1])

    film = number("reading-room/upload", r"\((\d+) ms\)") / 1000
    receiving = 12.5 / number("connections/receive-1", r"(\d+) MB/s")
    chance = random.Random(1)
    medians = {"receive": receiving, "import": receiving, "work": 0.9 * film, "database": 0.1 * film}
    return {
        name: tuple(chance.lognormvariate(math.log(median), _SPREAD) for _ in range(2000))
        for name, median in medians.items()
    }


def runs_of(file: Path, cores: int) -> list[Run]:
    """The runs that a benchmark wrote, each with what foretells it."""
    content = json.loads(file.read_text("utf-8"))
    if isinstance(content, list):
        times = station_times(min(content, key=lambda row: row["workers"]))
        return [
            Run(
                places_of(row["workers"], cores),
                times,
                [(i * row["sent_seconds"] / row["studies"], Priority.ROUTINE) for i in range(row["studies"])],
                Measured(rate=row["studies_an_hour"]),
                f"{row['workers']} workers",
                LOOKS,
                row["quiet_seconds"],
            )
            for row in content
        ]
    burst, pace = content["burst"], 3600 / content["offered_an_hour"]
    length = (len(content["waits"]) - IDLE_REDS - burst) * pace / (1 + RED_PACE * pace)
    alone = 2 * content["idle_p95"]
    begin = IDLE_REDS * alone
    arrivals = [(i * alone, Priority.CRITICAL) for i in range(IDLE_REDS)]
    arrivals += [(begin, Priority.ROUTINE)] * burst
    begin += burst * 3600 / content["capacity_an_hour"] + alone  # all of it is done then
    arrivals += [(begin + i * pace, Priority.ROUTINE) for i in range(int(length / pace))]
    arrivals += [(begin + i / RED_PACE, Priority.CRITICAL) for i in range(1, int(length * RED_PACE) + 1)]
    return [
        Run(
            places_of(content["workers"], cores),
            station_times(content),
            arrivals,
            Measured(None, p95(content["waits"]), content["red_p95"]),
            "overload",
            LOOKS,
            content["quiet_seconds"],
            IDLE_REDS,
            uploaded=True,
        )
    ]


def station_times(row: Mapping[str, float]) -> dict[str, tuple[float]]:
    """The processor seconds of a study at each station, as a run measured them."""
    received = row["listener_cpu"] - row["importer_cpu"]
    found = {"receive": received, "import": row["importer_cpu"], "work": row["worker_cpu"]}
    found |= {"database": row["database_cpu"], "send": row["sender_cpu"]}
    return {name: (seconds,) for name, seconds in found.items()}


def places_of(workers: int, cores: int) -> dict[str, int]:
    """The places of the stations."""
    imports = importing.imports_for(cores)
    return {
        "send": 1,
        "receive": 4,
        "import": imports,
        "work": workers,
        BESIDE: workers,
        "database": 8,
        "cores": cores,
    }


def foretell(studies: int, run: Run) -> None:
    """Print a weekday."""
    day = Day(run)
    day.play(arrivals_of_a_day(studies / WEEKDAYS))
    found = day.measured()
    share = day.busy["work"] / run.places["work"] / 86_400
    print(
        f"{studies:,} a year, {run.places['work']} workers, {run.places['cores']} cores: p95 wait "
        f"{found.wait or 0:.1f} s, of red {found.red_wait or 0:.1f} s; "
        f"longest {max(map(max, day.waits.values())):.0f} s; workers busy {share:.0%} of the day"
    )


def against(run: Run, repeats: int = 5) -> dict[str, float]:
    """Print a measured run beside the model's medians over some draws; how far each figure is off."""
    days = [Day(run, seed) for seed in range(repeats)]
    for day in days:
        day.play(run.arrivals)
    errors = {}
    for kind in fields(Measured):
        real = getattr(run.measured, kind.name)
        if real:
            model = statistics.median(getattr(day.measured(), kind.name) for day in days)
            error = abs(model - real) / real
            errors[f"{run.name}, {kind.name.replace('_', ' ')}"] = error
            print(f"{run.name}: {kind.name}: {real:.2f} measured, {model:.2f} foretold, {error:.0%} off")
    return errors


def main() -> int:
    """Foretell, or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, nargs="+", default=[150_000, 3_000_000], help="a year")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="that read one image at once")
    parser.add_argument("--cores", type=int, default=2, help="that all stations share")
    parser.add_argument("--times", type=Path, help="a run of fleet_throughput.py whose times are drawn")
    parser.add_argument(
        "--against", type=Path, nargs="+", help="runs of fleet_throughput.py, fleet_overload.py"
    )
    chosen = parser.parse_args()
    if chosen.against:
        runs = [run for file in chosen.against for run in runs_of(file, chosen.cores)]
        errors = {name: error for run in runs for name, error in against(run).items()}
        met = max(errors.values()) <= ASKED
        cell = "; ".join(f"{name}: {error:.0%} off" for name, error in errors.items())
        record("scale/simulation", {"reached": judged(cell, met=met), "n": f"{len(runs)} runs"})
        return 0 if met else 1
    times = runs_of(chosen.times, chosen.cores)[0].seconds if chosen.times else known_times()
    times = {**times, "send": (0.0,)}  # a modality has a processor of its own
    for studies in chosen.studies:
        for workers in chosen.workers:
            foretell(studies, Run(places_of(workers, chosen.cores), times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
