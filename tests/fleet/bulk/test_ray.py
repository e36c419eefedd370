"""A real Ray cluster of two nodes: a driver and a node die in the middle, and the rows are the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fleet.bulk.test_bulk import here, rows_of
from tests.patience import PATIENCE
from tetkik.bundle import Task
from tetkik.errors import InputError, UsageError
from tetkik.fleet import ray_port
from tetkik.fleet.bulk import make_job, run_bulk
from tetkik.fleet.bulk.ray_cluster import connected

PARTS = 160


@contextmanager
def cluster(nodes: int, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process that holds the cluster, and its address."""
    kit = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("ray_kit.py")), str(nodes)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(**variables),
    )
    with kit:
        assert kit.stdout is not None and kit.stdin is not None
        address = kit.stdout.readline().strip()
        assert address
        try:
            yield kit, address
        finally:
            kit.stdin.close()


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = os.pathsep.join(place for place in sys.path if place)
    return kept | {"RAY_USAGE_STATS_ENABLED": "0", "PYTHONPATH": path} | variables


def test_a_dead_driver_and_a_dead_node_cost_no_row(tmp_path):
    table, out = tmp_path / "texts.csv", tmp_path / "out"
    table.write_text("text\n" + "\n".join(f"{number} gündür başım ağrıyor." for number in range(PARTS)))
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0f" * 32}
    with cluster(2, RAY_enable_worker_prestart="0", **token) as (kit, address):
        command = [sys.executable, "-m", "tetkik", "bulk", "triage", str(table), "--out", str(out)]
        command += ["--part-rows", "1", "--ray", address, "--json"]
        with subprocess.Popen(command, env=environment(**token), stderr=subprocess.DEVNULL) as driver:
            wait_for_parts(driver, out, 3)
            driver.kill()
        left = len(list(out.glob("part-*")))
        with subprocess.Popen(
            command, env=environment(**token), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as driver:
            assert kit.stdin is not None
            wait_for_parts(driver, out, left + 3)
            kit.stdin.write("kill\n")
            kit.stdin.flush()
            answer = json.loads(driver.communicate(timeout=3 * PATIENCE)[0])
        assert ray_port.asks_for_token(address)
    assert answer == {"rows": PARTS, "errors": 0, "parts": PARTS, "kept": left}
    assert 3 <= left < PARTS - 6
    job = make_job(Task.TRIAGE, str(table))
    run_bulk(job, tmp_path / "undisturbed", here, part_rows=PARTS)
    assert rows_of(out) == rows_of(tmp_path / "undisturbed")


def wait_for_parts(driver: subprocess.Popen[str] | subprocess.Popen[bytes], out: Path, count: int) -> None:
    end = time.monotonic() + 3 * PATIENCE
    while len(list(out.glob("part-*"))) < count:
        assert driver.poll() is None and time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.attack
def test_a_cluster_that_obeys_everyone_is_refused_and_named(tmp_path, monkeypatch):
    with cluster(1, RAY_AUTH_MODE="disabled") as (_, address):
        assert ray_port.asks_for_token(address) is False
        with pytest.raises(UsageError, match="runs code for everyone"), connected(address):
            raise AssertionError("connected")
        (tmp_path / "current").write_text(address)
        monkeypatch.setattr(ray_port, "_RUNNING", tmp_path / "current")
        assert address in ray_port.open_clusters()
    with pytest.raises(InputError, match="No Ray cluster answers"), connected(address):
        raise AssertionError("connected")
