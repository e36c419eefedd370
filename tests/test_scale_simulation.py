"""The queueing model of benchmarks/scale_simulation.py: as the formulas say, where there are any."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import math
import random
import sys
from pathlib import Path

import pytest

from tetkik.values import Priority

FILE = Path(__file__).parents[1] / "benchmarks" / "scale_simulation.py"
MANY = 20_000
NOTHING = (0.0,)


def load():
    spec = importlib.util.spec_from_file_location("scale_simulation", FILE)
    assert spec is not None and spec.loader is not None
    sys.modules[spec.name] = module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(FILE.parent)  # as when it is run
        spec.loader.exec_module(module)
    return module


simulation = load()


def run_of(seconds, workers=1, **more):
    places = simulation.places_of(workers, 100)
    del places[simulation.BESIDE]  # the formulas know none
    times = dict.fromkeys(simulation.STATIONS, NOTHING) | {"work": tuple(seconds)}
    return simulation.Run(places, times, **{"looks": {}, **more})


def poisson(rate, seed=1):
    chance, at, found = random.Random(seed), 0.0, []
    for _ in range(MANY):
        at += chance.expovariate(rate)
        found.append((at, Priority.ROUTINE if chance.random() < 0.75 else Priority.CRITICAL))
    return found


@pytest.mark.parametrize("workers", [1, 3])
def test_the_mean_wait_is_that_of_erlang(workers):
    chance = random.Random(7)
    load = 0.7 * workers
    day = simulation.Day(run_of((chance.expovariate(1) for _ in range(MANY)), workers))
    day.play(poisson(load))
    terms = [load**number / math.factorial(number) for number in range(workers)]
    last = load**workers / math.factorial(workers) / (1 - 0.7)
    expected = last / (sum(terms) + last) / (workers - load)  # Erlang C over what is left
    waits = [wait for of_priority in day.waits.values() for wait in of_priority]
    assert sum(waits) / MANY - 1 == pytest.approx(expected, rel=0.12)


def test_red_overtakes_as_cobham_says():
    day = simulation.Day(run_of((1.0,)))
    day.play(poisson(0.8))
    rest = 0.8 / 2  # what is left of the study in work, of constant seconds: rate * seconds² / 2
    red, others = (day.waits[priority] for priority in (Priority.CRITICAL, Priority.ROUTINE))
    assert sum(red) / len(red) - 1 == pytest.approx(rest / (1 - 0.2), rel=0.1)
    assert sum(others) / len(others) - 1 == pytest.approx(rest / (1 - 0.2) / (1 - 0.8), rel=0.15)


def test_who_has_nothing_to_do_looks_every_two_seconds():
    far_apart = [(60.0 * number, Priority.ROUTINE) for number in range(2000)]
    for workers, mean in ((1, 1.0), (3, 0.5)):  # the first of three is sooner
        day = simulation.Day(run_of((5.0,), workers, looks={"work": 2.0}))
        day.play(far_apart)
        waits = day.waits[Priority.ROUTINE]
        assert sum(waits) / len(waits) - 5 == pytest.approx(mean, rel=0.1)
        assert max(waits) <= 5 + 2
    busy = simulation.Day(run_of((5.0,), looks={"work": 2.0}))
    busy.play([(0.0, Priority.ROUTINE)] * 10)
    assert max(busy.ends) == pytest.approx(50, abs=2)


def test_a_critical_case_is_read_beside_what_is_in_hand():
    run = run_of((60.0,), looks={"work": 0.5})
    run = dataclasses.replace(run, places=simulation.places_of(1, 100))
    day = simulation.Day(run)
    day.play([(0.0, Priority.ROUTINE), (10.0, Priority.CRITICAL), (20.0, Priority.ROUTINE)])
    assert day.waits[Priority.CRITICAL][0] <= 60.5
    assert day.ends == pytest.approx([60, 70, 120], abs=0.6)


def test_a_received_study_is_imported_once_nothing_more_is_expected():
    day = simulation.Day(run_of((0.1,), quiet=10.0))
    day.play([(60.0 * number, Priority.ROUTINE) for number in range(200)])
    later = [end - 60.0 * number for number, end in enumerate(day.ends)]
    assert min(later) >= 10.1 and max(later) <= 12.1


def test_nothing_is_lost_and_a_day_has_its_studies():
    arrivals = simulation.arrivals_of_a_day(500)
    assert len(arrivals) == pytest.approx(500, rel=0.2)
    assert all(0 <= at < 86_400 for at, _ in arrivals)
    day = simulation.Day(run_of((30.0,), 2))
    day.play(arrivals)
    assert len(day.ends) == len(arrivals)


@pytest.mark.parametrize(("factor", "close"), [(1.0, True), (1.3, False)])
def test_a_measured_run_is_held_against_the_model(factor, close, tmp_path, capsys):
    times = {"listener_cpu": 0.05, "worker_cpu": 0.5, "database_cpu": 0.1, "sender_cpu": 0.04}
    times |= {"importer_cpu": 0.025, "studies": 200, "sent_seconds": 12, "quiet_seconds": 1}
    rows = [
        {"workers": 1, "studies_an_hour": factor * 3600 / 0.6} | times,
        {"workers": 2, "studies_an_hour": factor * 3600 / 0.345}
        | times,  # two cores have 0.69 s of work each
    ]
    overload: dict[str, object] = {
        "workers": 2,
        "burst": 80,
        "capacity_an_hour": 7200,
        "offered_an_hour": 14_400,
        "idle_p95": 1.1,
        **times,
    }
    # 0.345 s a study on both cores: at once, then one every 0.25 s.
    waits = [*[1.1] * 20, *(0.345 * n for n in range(80)), *(0.095 * n for n in range(200))]
    overload |= {"waits": [factor * wait for wait in waits], "red_p95": 1.3 * factor}
    for name, content in (("throughput", rows), ("overload", overload)):
        (tmp_path / name).write_text(json.dumps(content), "utf-8")
        runs = simulation.runs_of(tmp_path / name, 2)
        held = [simulation.against(run) for run in runs]
        off = [share for figures in held for share in figures.values()]
        assert all(share <= simulation.ASKED for share in off) is close, capsys.readouterr().out
