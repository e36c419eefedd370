"""A port for a process that does not choose its own, and which nobody else takes meanwhile."""

from __future__ import annotations

import os
import socket
from itertools import count

_FIRST, _MANY = 10_000, 20_000
"""Below 30,000: the system hands none of these out by itself (Linux from 32,768, others from 49,152)."""
_taken = count()


def free_port() -> int:
    """A port of 127.0.0.1, free now; processes of tests that ask at once begin at places of their own."""
    for _ in range(_MANY):
        port = _FIRST + (os.getpid() * 97 + next(_taken)) % _MANY
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
