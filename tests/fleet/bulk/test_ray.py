"""A real Ray cluster: one that obeys everyone is refused, and none is waited for that is not there.

`two_nodes.py` kills a driver and a node (`make ray`).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tetkik.errors import InputError, UsageError
from tetkik.fleet import ray_port
from tetkik.fleet.bulk import ray_cluster
from tetkik.fleet.bulk.ray_cluster import connected


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


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = os.pathsep.join(place for place in sys.path if place)
    # Ray's own 15 would let an actor wait for whatever else this machine does.
    ours = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "PYTHONPATH": path}
    return kept | ours | variables


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
