"""A real Ray cluster of two nodes: a driver and a node die in the middle, and the rows are the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.fleet.bulk.test_bulk import here, rows_of
from tests.patience import PATIENCE
from tetkik.bundle import Task
from tetkik.errors import InputError, UsageError
from tetkik.fleet import ray_port
from tetkik.fleet.bulk import make_job, ray_cluster, run_bulk
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
        start_new_session=True,
    )
    assert kit.stdout is not None and kit.stdin is not None
    try:
        address = kit.stdout.readline().strip()
        assert address
        yield kit, address
        kit.stdin.close()
        kit.wait(PATIENCE)
    finally:
        kit.stdin.close()
        with suppress(ProcessLookupError):  # nothing of it is left
            os.killpg(kit.pid, signal.SIGKILL)
        kit.wait()
        kit.stdout.close()


@contextmanager
def driver(command: list[str], variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """`tetkik bulk` as a driver of the cluster; killed where the test ends before it."""
    with subprocess.Popen(
        command, env=environment(**variables), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = os.pathsep.join(place for place in sys.path if place)
    # Ray's own 15 would let an actor wait for whatever else this machine does.
    ours = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "PYTHONPATH": path}
    return kept | ours | variables


def test_a_dead_driver_and_a_dead_node_cost_no_row(tmp_path):
    table, out = tmp_path / "texts.csv", tmp_path / "out"
    table.write_text("text\n" + "\n".join(f"{number} gündür başım ağrıyor." for number in range(PARTS)))
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0f" * 32}
    with cluster(2, RAY_enable_worker_prestart="0", **token) as (kit, address):
        command = [sys.executable, "-m", "tetkik", "bulk", "triage", str(table), "--out", str(out)]
        command += ["--part-rows", "1", "--ray", address, "--json"]
        with driver(command, token) as first:
            wait_for_parts(first, out, 3)
        left = len(list(out.glob("part-*")))
        with driver(command, token) as second:
            assert kit.stdin is not None
            wait_for_parts(second, out, left + 3)
            kit.stdin.write("kill\n")
            kit.stdin.flush()
            answer = answer_of(second)
        # A cluster may give up over its dead node; the command says then that it is to be run again.
        for _ in range(3):
            if answer is None:
                with driver(command, token) as another:
                    answer = answer_of(another)
        assert ray_port.asks_for_token(address)
    assert answer is not None and answer.pop("kept") >= left
    assert answer == {"rows": PARTS, "errors": 0, "parts": PARTS}
    assert 3 <= left < PARTS - 6
    job = make_job(Task.TRIAGE, str(table))
    run_bulk(job, tmp_path / "undisturbed", here, part_rows=PARTS)
    assert rows_of(out) == rows_of(tmp_path / "undisturbed")


def answer_of(process: subprocess.Popen[str]) -> dict[str, int] | None:
    """What the command says at its end; None where it gave up or came to no end."""
    try:
        said, _ = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return None
    answer: dict[str, int] | None = json.loads(said) if process.returncode == 0 else None
    return answer


def wait_for_parts(process: subprocess.Popen[str], out: Path, count: int) -> None:
    end = time.monotonic() + 3 * PATIENCE
    while len(list(out.glob("part-*"))) < count:
        assert process.poll() is None and time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.attack
def test_a_cluster_that_obeys_everyone_is_refused_and_named(tmp_path, monkeypatch):
    with cluster(1, RAY_AUTH_MODE="disabled") as (_, address):
        assert ray_port.asks_for_token(address) is False
        with monkeypatch.context() as elsewhere:
            elsewhere.setattr(ray_cluster, "_is_loopback", lambda place: False)
            with pytest.raises(UsageError, match="runs code for everyone"), connected(address):
                raise AssertionError("connected")
        (tmp_path / "current").write_text(address)
        monkeypatch.setattr(ray_port, "_RUNNING", tmp_path / "current")
        assert address in ray_port.open_clusters()
    with pytest.raises(InputError, match="No Ray cluster answers"), connected(address):
        raise AssertionError("connected")


@pytest.mark.parametrize(
    ("place", "reached_by_none"),
    [("127.0.0.1:6379", True), ("[::1]:6379", True), ("10.0.0.4:6379", False), ("head.hospital:6379", False)],
)
def test_only_a_loopback_address_needs_no_token(place, reached_by_none):
    assert ray_cluster._is_loopback(place) is reached_by_none
