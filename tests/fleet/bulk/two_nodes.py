"""A real Ray cluster of two nodes: a driver and a node die in the middle, and the rows are the same.

Ray may lose a cluster on a machine that does much else, so this runs alone: `make ray`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fleet.bulk.test_bulk import here, rows_of
from tests.fleet.bulk.test_ray import cluster, environment
from tests.patience import PATIENCE
from tetkik.bundle import Task
from tetkik.fleet import ray_port
from tetkik.fleet.bulk import make_job, run_bulk

PARTS = 160


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
