"""A Ray cluster on this machine, in a process of its own.

    python ray_kit.py NODES

Prints the address; a line on the standard input kills the last node, its end ends the cluster.
"""

from __future__ import annotations

import shutil
import sys
import time
from tempfile import mkdtemp
from typing import Any

from ray._private import services
from ray.cluster_utils import Cluster

from tests.patience import PATIENCE

_MEMORY = 80_000_000
"""Bytes; Ray's least is 75 MB."""
_get_node = services.get_node


def patient_get_node(*place: Any) -> Any:
    """Ray itself gives a node 30 seconds to start, in which a busy machine starts none."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return _get_node(*place)
        except RuntimeError:
            if time.monotonic() > end:
                raise


def main() -> None:
    services.get_node = patient_get_node
    folder = mkdtemp(prefix="ray", dir="/tmp")  # the path of a socket has at most 107 letters
    node = {"num_cpus": 1, "object_store_memory": _MEMORY}
    cluster = Cluster(
        initialize_head=True, head_node_args={**node, "include_dashboard": False, "temp_dir": folder}
    )
    nodes = [cluster.add_node(**node) for _ in range(int(sys.argv[1]) - 1)]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        cluster.remove_node(nodes.pop(), allow_graceful=False)
    cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
