"""How long studies wait at so many a year on so many workers: a queueing model, fed with measured times.

    python benchmarks/scale_simulation.py [--studies 150000 3000000] [--workers 1] [--runs RUN.json]
    python benchmarks/scale_simulation.py --against RUN.json ...

A day of arrivals (a Poisson process whose rate follows the hours, by priority) goes through the receiver, the
import, the workers and, held by a worker, the database. Each is a station with so many places; workers take the
most urgent study that waits, the others whoever came first. A study takes at each station as long as one of the
measured studies did, drawn at random. `--runs` names runs whose times are drawn; without it, times are those
of docs/figures.json with an assumed spread.

`--against` holds the model against measured runs (`benchmarks/fleet_throughput.py`, `fleet_overload.py`): the
arrivals of the run are played again, and throughput, p95 of all waits and of red ones have to be within 15%. A
run is a file of JSON:

    {"places": {"receive": 4, "import": 1, "work": 2, "database": 8},
     "seconds": {"receive": [0.1, ...], "import": [...], "work": [...], "database": [...]},
     "arrivals": [[0.0, "critical"], [1.2, "routine"], ...],
     "measured": {"an hour": 4100, "p95 wait": 12.1, "p95 wait of red": 1.3}}

`seconds` are those of a study at each station without any waiting, `arrivals` when a study was sent, and with
which priority; a wait is the time from there to the moment that a worker begins.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import re
import statistics
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import simpy
from pydantic import BaseModel, ConfigDict, Field

from tetkik.values import Priority

STATIONS = ("receive", "import", "work", "database")
ASKED = 0.15
HOURS = (1, 1, 1, 1, 1, 1, 2, 4, 8, 10, 10, 9, 6, 8, 9, 8, 6, 4, 3, 2, 2, 1, 1, 1)
"""Studies of each hour of a weekday, of 100: assumed, as a hospital with outpatients has them."""
WEEKDAYS = 280
"""Weekdays that hold as many studies as a year, with quieter weekends and holidays."""
SHARES = {Priority.CRITICAL: 6, Priority.URGENT: 24, Priority.ROUTINE: 70}
URGENT_FIRST = {Priority.CRITICAL: 0, Priority.URGENT: 1, Priority.ROUTINE: 2}
_SPREAD = 0.35
"""The standard deviation of the logarithm of a time, where none was measured."""


class Measured(BaseModel):
    """What a run measured: studies an hour, and seconds of waiting (p95)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    rate: float = Field(alias="an hour", gt=0)
    wait: float = Field(alias="p95 wait", ge=0)
    red_wait: float | None = Field(default=None, alias="p95 wait of red", ge=0)


class Run(BaseModel):
    """A measured run, or what one would be fed with."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    places: dict[str, int]
    seconds: dict[str, tuple[float, ...]]
    arrivals: tuple[tuple[float, Priority], ...] = ()
    measured: Measured | None = None


class Day:
    """Studies on their way through the stations, by discrete events.

    Args:
        run: places and times of the stations.
        seed: the same gives the same day.
    """

    def __init__(self, run: Run, seed: int = 1) -> None:
        self._chance, self._seconds = random.Random(seed), run.seconds
        self._env = simpy.Environment()
        self._stations = {name: simpy.PriorityResource(self._env, run.places[name]) for name in STATIONS}
        self.busy = dict.fromkeys(STATIONS, 0.0)
        self.waits: dict[Priority, list[float]] = {priority: [] for priority in SHARES}
        self.ends: list[float] = []

    def play(self, arrivals: Sequence[tuple[float, Priority]]) -> None:
        """Let studies come at these seconds, and go on until the last is done."""
        for at, priority in arrivals:
            self._env.process(self._study(at, priority))
        self._env.run()

    def _study(self, at: float, priority: Priority) -> Iterator[simpy.Event]:
        yield self._env.timeout(at)
        for name in ("receive", "import"):
            with self._stations[name].request() as turn:
                yield turn
                yield self._spend(name)
        with self._stations["work"].request(URGENT_FIRST[priority]) as turn:
            yield turn
            self.waits[priority].append(self._env.now - at)
            yield self._spend("work")
            with self._stations["database"].request() as connection:
                yield connection
                yield self._spend("database")
        self.ends.append(self._env.now)

    def _spend(self, name: str) -> simpy.Event:
        seconds = self._chance.choice(self._seconds[name])
        self.busy[name] += seconds
        return self._env.timeout(seconds)

    def measured(self, begin: float = 0.0) -> Measured:
        """What a run would have measured, from its first arrival on."""
        waits = [wait for of_priority in self.waits.values() for wait in of_priority]
        rate = 3600 * len(self.ends) / (max(self.ends) - begin)
        red = self.waits[Priority.CRITICAL]
        answers = {"an hour": rate, "p95 wait": p95(waits), "p95 wait of red": p95(red) if red else None}
        return Measured.model_validate(answers)


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
    """Times of docs/figures.json: a film from upload to draft, an image at the receiver; spread as assumed."""
    from figures import FILE, find  # which a test of the model does not need

    content = json.loads(FILE.read_text("utf-8"))

    def number(figure: str, pattern: str) -> float:
        found = re.search(pattern, find(content, figure)[1]["values"]["reached"])
        if found is None:
            raise SystemExit(f"{figure} has no {pattern}; give --runs.")
        return float(found[1])

    film = number("reading-room/upload", r"\((\d+) ms\)") / 1000
    receiving = 12.5 / number("connections/receive-1", r"(\d+) MB/s")
    chance = random.Random(1)
    medians = {"receive": receiving, "import": receiving, "work": 0.9 * film, "database": 0.1 * film}
    return {
        name: tuple(chance.lognormvariate(math.log(median), _SPREAD) for _ in range(2000))
        for name, median in medians.items()
    }


def foretell(studies: int, run: Run) -> None:
    """Print a weekday."""
    day = Day(run)
    day.play(arrivals_of_a_day(studies / WEEKDAYS))
    found = day.measured()
    busiest = max(STATIONS, key=lambda name: day.busy[name] / run.places[name])
    share = day.busy[busiest] / run.places[busiest] / 86_400
    print(
        f"{studies:,} a year, {run.places['work']} workers: p95 wait {found.wait:.1f} s, "
        f"of red {found.red_wait or 0:.1f} s; longest {max(map(max, day.waits.values())):.0f} s; "
        f"busiest: {busiest}, {share:.0%} of the day"
    )


def against(file: Path, repeats: int = 5) -> bool:
    """Print a measured run beside the model's medians over some draws; whether each is within 15%."""
    run = Run.model_validate_json(file.read_bytes())
    if run.measured is None or not run.arrivals:
        raise SystemExit(f"{file} has no measured run; give one of fleet_throughput.py or fleet_overload.py.")
    days = [Day(run, seed) for seed in range(repeats)]
    for day in days:
        day.play(run.arrivals)
    begin = min(at for at, _ in run.arrivals)
    models = [day.measured(begin) for day in days]
    close = True
    for name in Measured.model_fields:
        real = getattr(run.measured, name)
        if real is None:
            continue
        model = statistics.median(getattr(one, name) for one in models)
        error = abs(model - real) / real if real else model
        close &= error <= ASKED
        print(
            f"{file.name}: {Measured.model_fields[name].alias}: {real:.2f} measured, {model:.2f}, {error:.0%} off"
        )
    return close


def main() -> int:
    """Foretell, or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--studies", type=int, nargs="+", default=[150_000, 3_000_000], help="a year")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2], help="places at the models")
    parser.add_argument("--runs", type=Path, nargs="+", default=[], help="runs whose times are drawn")
    parser.add_argument("--against", type=Path, nargs="+", help="measured runs")
    chosen = parser.parse_args()
    if chosen.against:
        return 0 if all([against(file) for file in chosen.against]) else 1
    times = dict(known_times())
    if chosen.runs:
        runs = [Run.model_validate_json(file.read_bytes()) for file in chosen.runs]
        times = {name: tuple(one for run in runs for one in run.seconds[name]) for name in STATIONS}
    for studies in chosen.studies:
        for workers in chosen.workers:
            places = {"receive": 4, "import": 1, "work": workers, "database": 8}
            foretell(studies, Run(places=places, seconds=times))
    return 0


if __name__ == "__main__":
    sys.exit(main())
