"""Whether a Ray cluster asks for a token: it is asked for its nodes without one, as a stranger would ask.

The question is put by a process of its own, since Ray reads once whether it has a token.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir

_ASK = """
import sys
from ray._raylet import GcsClient
from ray.exceptions import AuthenticationError
try:
    GcsClient(address=sys.argv[1]).get_all_node_info(timeout=30)
    print("open")
except AuthenticationError:
    print("token")
"""
_SECONDS = 60
GCS_PORT = 6379
"""Where `ray start --head` listens unless it is told otherwise."""
_RUNNING = Path(gettempdir(), "ray", "ray_current_cluster")


def asks_for_token(address: str) -> bool | None:
    """Whether the cluster at `host:port` refuses whoever has no token; None where none answers."""
    # Ray would ask again for most of a minute where nothing listens.
    if not _listens(address):
        return None
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment["RAY_AUTH_MODE"] = "disabled"
    try:
        asked = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-P", "-c", _ASK, address],
            env=environment,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return {b"token": True, b"open": False}.get(asked.stdout.strip())


def open_clusters() -> tuple[str, ...]:
    """Addresses of Ray clusters on this machine that other machines can reach and that ask for no token."""
    places = {f"{host}:{GCS_PORT}" for host in _own_addresses()}
    with suppress(OSError, ValueError):
        places.add(_RUNNING.read_text("utf-8").strip())
    return tuple(address for address in sorted(places) if asks_for_token(address) is False)


def _own_addresses() -> set[str]:
    """This machine's own addresses but loopback ones, as far as its name and its way out tell them."""
    found = set()
    try:
        found |= {str(item[4][0]) for item in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect(("192.0.2.1", 9))  # sends nothing: it chooses the address that would (RFC 5737)
            found.add(str(way.getsockname()[0]))
    except OSError:
        pass
    return {host for host in found if not host.startswith("127.")}


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=5):
            return True
    except (OSError, ValueError):
        return False
