"""Several `tetkik serve` over one folder and one PostgreSQL, as a balancing proxy would reach them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.patience import PATIENCE
from tests.ports import free_port

ORIGIN = "http://localhost"
"""Where browsers believe the hospital to be, whichever process answers."""


@contextmanager
def services(
    folder: Path, url: str, *options: tuple[str, ...], source: Path | None = None
) -> Iterator[list[str]]:
    """One process for each of `options`, options of the command; gives their addresses.

    `source` is the folder of another version's package.
    """
    ports = [free_port() for _ in options]
    environment = {
        **os.environ,
        "TETKIK_DATA_DIR": str(folder),
        "TETKIK_DATABASE_URL": url,
        "TETKIK_PUBLIC_URL": ORIGIN,
        "TETKIK_TRUSTED_PROXIES": "127.0.0.1",
        "TETKIK_ALLOW_ROOT": "true",
        **({"PYTHONPATH": str(source)} if source is not None else {}),
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "tetkik", "serve", "--port", str(port), *given],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for port, given in zip(ports, options, strict=True)
    ]
    try:
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        for address, process in zip(addresses, running, strict=True):
            _wait(address, process)
        yield addresses
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait(PATIENCE)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(f"{address}/api/v1/ready", headers={"Host": "localhost"}).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"{address} does not answer; its process gave {process.poll()}")


def browser_at(address: str, cookie: str = "", csrf: str = "", *, of: str = "192.0.2.1") -> httpx.Client:
    """A browser behind the proxy, at one of the processes; `of` is its address."""
    headers = {"Host": "localhost", "X-Forwarded-For": of} | ({"X-CSRF-Token": csrf} if csrf else {})
    cookies = {"tetkik": cookie} if cookie else None
    return httpx.Client(base_url=address, headers=headers, cookies=cookies, timeout=PATIENCE)
