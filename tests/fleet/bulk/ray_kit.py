"""A Ray cluster on this machine, in a process of its own.

    python ray_kit.py NODES

Prints the address; a line on the standard input kills the last node, its end ends the cluster.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from tempfile import mkdtemp
from typing import Any

from ray._private import utils
from ray.cluster_utils import Cluster

_NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
"""Ray's least is 75 MB."""
_ATTEMPTS = 4
"""Ray gives a node 30 seconds to start, in which a busy machine may start none."""


def started(make: Callable[[], Any]) -> Any:
    for _ in range(_ATTEMPTS - 1):
        try:
            return make()
        except Exception as fault:  # Ray raises no class of its own here
            sys.stderr.write(f"{fault}\n")
    return make()


def main() -> None:
    # As `ray[data]` installs it, without what the dashboard needs; the nodes start sooner.
    utils.get_dashboard_dependency_error = lambda: ImportError("dashboard")
    # It would be this machine's cluster for everybody else, `tetkik doctor` of other tests among them.
    utils.write_ray_address = lambda *_: None
    folder = mkdtemp(prefix="ray", dir="/tmp")  # the path of a socket has at most 107 letters
    head = {**_NODE, "include_dashboard": False, "temp_dir": folder}
    cluster = started(lambda: Cluster(initialize_head=True, head_node_args=head))
    nodes = [started(lambda: cluster.add_node(**_NODE)) for _ in range(int(sys.argv[1]) - 1)]
    sys.stdout.write(f"{cluster.address}\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        cluster.remove_node(nodes.pop(), allow_graceful=False)
    cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
