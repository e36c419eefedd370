"""Half-open connections against `tetkik serve`: does it still answer, how fast, and how much does it log?

    python benchmarks/slow_clients.py [--connections 2000] [--seconds 60] [--addresses 40] [--only plain|tls]

The real command serves an empty SQLite database of its own, once in clear text and once over TLS. Four people
load the worklist over connections that are kept alive, and a probe asks for the health over a new connection
each time: first alone, then while so many clients send a head that never ends, one letter every two seconds
(over TLS every second one stops within the handshake). A client that is refused or cut off comes again a
second later. They come from many addresses of this machine, so that the cap of one address alone stops none
of them; with `--addresses 1` it does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing
import os
import resource
import socket
import ssl
import statistics
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from figures import judged, record

HALF = b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
HELLO = b"\x16\x03\x01\x02\x00\x01"
"""The first bytes of a TLS handshake (RFC 8446, 5.1)."""
PEOPLE = 4
PATIENCE = 20.0


def make_hospital(folder: Path) -> list[str]:
    """A database with people who are signed in; gives their cookies."""
    from tetkik.records.database import open_records
    from tetkik.records.people import sessions, users
    from tetkik.records.people.users import Profile
    from tetkik.settings import Settings
    from tetkik.values import SYSTEM, Method, Role

    records = open_records(Settings(data_dir=folder))
    cookies = []
    for number in range(PEOPLE):
        with records.write(SYSTEM) as tx:
            profile = Profile(f"Reader {number}", roles=frozenset({Role.RADIOLOGIST}))
            user_id = users.create(tx, f"reader{number}", profile)
            tx.session.flush()
            cookies.append(sessions.begin_session(tx, user_id, Method.PASSWORD))
    records.close()
    return cookies


def make_certificate(folder: Path) -> dict[str, str]:
    """A certificate of this machine, and the settings that name it."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return {"TETKIK_TLS_CERT": str(folder / "cert.pem"), "TETKIK_TLS_KEY": str(folder / "key.pem")}


def unverified() -> ssl.SSLContext:
    """A client's context that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def attack(port: int, connections: int, addresses: int, seconds: float, tls: bool) -> None:
    """Hold so many connections half open, in a process of its own."""
    os.nice(19)  # in truth they are on another machine
    context, end = unverified() if tls else None, time.monotonic() + seconds

    async def hold(number: int) -> None:
        local = (f"127.0.2.{1 + number % addresses}", 0)
        stops = tls and number % 2 == 0  # within the handshake
        await asyncio.sleep(number / connections)
        while time.monotonic() < end:
            with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=None if stops else context, local_addr=local
                )
                try:
                    writer.write(HELLO if stops else HALF)
                    while time.monotonic() < end:
                        with contextlib.suppress(TimeoutError):
                            if not await asyncio.wait_for(reader.read(100), 2):
                                break
                        if not stops:
                            writer.write(b"a")
                finally:
                    writer.transport.abort()
            await asyncio.sleep(1)

    async def all_of_them() -> None:
        await asyncio.gather(*(hold(number) for number in range(connections)))

    asyncio.run(all_of_them())


def probe(url: str, end: float, took: list[float]) -> None:
    """Ask for the health over new connections."""
    import httpx

    transport = httpx.HTTPTransport(verify=False, local_address="127.0.1.1")
    while time.monotonic() < end:
        began = time.monotonic()
        with httpx.Client(transport=transport, timeout=PATIENCE) as client:
            try:
                healthy = client.get(f"{url}/api/v1/health").status_code == 200
            except httpx.HTTPError:
                healthy = False
        took.append(time.monotonic() - began if healthy else PATIENCE)
        transport = httpx.HTTPTransport(verify=False, local_address="127.0.1.1")
        time.sleep(0.2)


def work(url: str, number: int, cookie: str, end: float, took: list[float]) -> None:
    """Load the worklist again and again, as one person."""
    import httpx

    transport = httpx.HTTPTransport(verify=False, local_address=f"127.0.1.{10 + number}")
    name = "__Host-tetkik" if url.startswith("https") else "tetkik"
    with httpx.Client(
        transport=transport, timeout=PATIENCE, headers={"Cookie": f"{name}={cookie}"}
    ) as client:
        while time.monotonic() < end:
            began = time.monotonic()
            try:
                answered = client.get(f"{url}/worklist").status_code == 200
            except httpx.HTTPError:
                answered = False
            took.append(time.monotonic() - began if answered else PATIENCE)
            time.sleep(0.2)


def measure(url: str, cookies: list[str], seconds: float) -> tuple[list[float], list[float]]:
    """Seconds of each probe of the health, and of each page of the others."""
    health: list[float] = []
    pages: list[float] = []
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=probe, args=(url, end, health))]
    threads += [
        threading.Thread(target=work, args=(url, number, cookie, end, pages))
        for number, cookie in enumerate(cookies)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(health), sorted(pages)


def processor(pid: int) -> float:
    """Seconds of the processor that a process has taken (Linux)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    """Until the server takes connections."""
    while server.poll() is None:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    raise SystemExit("the server did not start")


def run(arguments: argparse.Namespace, *, tls: bool) -> None:
    """One way of serving: print the figures, and record them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with TemporaryDirectory(prefix="tetkik-benchmark-") as temporary:
        folder = Path(temporary)
        cookies = make_hospital(folder / "data")
        environment = {**os.environ, "TETKIK_DATA_DIR": str(folder / "data"), "TETKIK_ALLOW_ROOT": "true"}
        environment |= make_certificate(folder) if tls else {}
        log = folder / "log"
        command = [sys.executable, "-m", "tetkik", "serve", "--no-work", "--port", str(port)]
        with log.open("wb") as written:
            server = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=written)
        try:
            wait_for(port, server)
            url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
            measure(url, cookies, 3)  # templates are read with the first
            spent = [processor(server.pid)]
            calm, idle = measure(url, cookies, arguments.idle)
            before = log.stat().st_size
            spent.append(processor(server.pid))
            given = (port, arguments.connections, arguments.addresses, arguments.seconds, tls)
            attacker = multiprocessing.get_context("spawn").Process(target=attack, args=given)
            attacker.start()
            health, busy = measure(url, cookies, arguments.seconds)
            attacker.join()
            logged = log.stat().st_size - before
            spent.append(processor(server.pid))
            if server.poll() is not None:
                raise SystemExit(f"the server ended ({server.returncode}): {log.read_text()[-2000:]}")
        finally:
            server.terminate()
            server.wait()
    p95 = [statistics.quantiles(times, n=20)[-1] for times in (idle, busy)]
    worst, times = health[-1], p95[1] / p95[0]
    print(
        f"{'TLS' if tls else 'plain':<6} health: n={len(health)}, median {statistics.median(health):.3f} s, "
        f"worst {worst:.2f} s ({calm[-1]:.2f} s before); "
        f"pages: n={len(idle)} and {len(busy)}, p95 {1000 * p95[0]:.0f} ms alone, "
        f"{1000 * p95[1]:.0f} ms meanwhile ({times:.1f} times); log {logged:,} bytes; "
        f"processor {(spent[1] - spent[0]) / arguments.idle:.2f} and "
        f"{(spent[2] - spent[1]) / arguments.seconds:.2f} of a second a second"
    )
    met = worst < 1 and times <= 3 and logged < 1_000_000
    text = f"{worst:.2f} s; {times:.1f} times; {logged / 1e6:.2f} MB"
    cells = {"reached": judged(text, met=met), "n": f"{len(health)}; {len(busy):,}"}
    record(f"reading-room/slow-clients{'-tls' if tls else ''}", cells)


def main() -> None:
    """Print the figures of both ways of serving."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--addresses", type=int, default=40, choices=range(1, 255), metavar="1…254")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--idle", type=float, default=20, help="seconds that are measured before")
    parser.add_argument("--only", choices=("plain", "tls"))
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for tls in (False, True):
        if arguments.only in (None, "tls" if tls else "plain"):
            run(arguments, tls=tls)


if __name__ == "__main__":
    main()
