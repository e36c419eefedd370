"""Connections: caps, and deadlines for heads, bodies and answers, in clear text and over TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import uvicorn

from tests.cli.test_serve import made_certificate
from tests.patience import PATIENCE
from tetkik.service.kit.access import connections
from tetkik.service.kit.access.connections import BoundedServer, ConnectionLimits, networks

pytestmark = pytest.mark.attack

SECONDS = 0.4
working = threading.Event()
"""Set where the application works at length."""
HALF = b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: "
BODY = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000\r\n\r\n"
WHOLE = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(autouse=True)
def short(monkeypatch):
    for name in ("HEAD_SECONDS", "BODY_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(connections, name, SECONDS)
    monkeypatch.setattr(connections, "SWEEP_TICKS", 1)


async def application(scope, receive, send) -> None:
    """Reads the body; answers with its length, or after a pause, or with 64 MB."""
    read = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        read += len(message["body"])
        if not message["more_body"]:
            break
    if scope["path"] == "/slow":
        working.set()
        await asyncio.sleep(3 * SECONDS)
    body = bytes(64_000_000) if scope["path"] == "/large" else str(read).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def serving(limits: ConnectionLimits | None = None, **settings: object) -> Iterator[int]:
    """A server of its own; gives its port."""
    with socket.socket(proto=socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        config = uvicorn.Config(
            application,
            log_config=None,
            lifespan="off",
            loop="asyncio",
            ws="none",
            timeout_graceful_shutdown=1,
            timeout_keep_alive=int(PATIENCE),
            **settings,  # type: ignore[arg-type]
        )
        server = BoundedServer(config, limits or ConnectionLimits(100, 100))
        thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
        thread.start()
        try:
            yield port
        finally:
            server.should_exit = True
            thread.join()


def connected(port: int, address: str = "127.0.0.1", sent: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), PATIENCE, (address, 0))
    connection.sendall(sent)
    return connection


def answer(connection: socket.socket, sent: bytes = b"") -> bytes:
    """What the server answers before it waits or ends the connection; nothing where it does at once."""
    try:
        connection.sendall(sent)
        return connection.recv(65536)
    except (ConnectionError, ssl.SSLError):
        return b""


@pytest.mark.parametrize("sent", [b"", HALF, BODY, BODY + b"x" * 10, WHOLE + HALF])
def test_what_never_comes_whole_is_not_waited_for(sent):
    with serving() as port, connected(port, sent=sent) as connection:
        began = time.monotonic()
        while answer(connection):
            continue
        assert time.monotonic() - began < PATIENCE / 2


def test_nor_over_tls(tmp_path):
    cert, key = made_certificate(tmp_path)
    trusting = ssl.create_default_context(cafile=str(cert))
    with serving(ssl_certfile=cert, ssl_keyfile=key) as port:
        with connected(port, sent=b"\x16\x03\x01\x02") as hello:  # a handshake that stops
            assert answer(hello) == b""
        for sent in (HALF, BODY):
            with trusting.wrap_socket(connected(port), server_hostname="localhost") as connection:
                assert answer(connection, sent) == b""
        with trusting.wrap_socket(connected(port), server_hostname="localhost") as connection:
            assert answer(connection, WHOLE).startswith(b"HTTP/1.1 200")


def test_a_body_that_comes_slowly_but_surely_is_taken():
    with serving() as port, connected(port, sent=BODY) as connection:
        for _ in range(10):
            time.sleep(SECONDS / 5)
            connection.sendall(b"x" * 400)
        assert answer(connection).startswith(b"HTTP/1.1 200")


def test_an_answer_that_nobody_reads_is_given_up():
    with serving() as port, connected(port) as connection:
        connection.sendall(WHOLE.replace(b"/ ", b"/large "))
        time.sleep(4 * SECONDS)
        read = 0
        while piece := answer(connection):
            read += len(piece)
        assert 0 < read < 64_000_000


def test_work_takes_the_time_it_takes():
    with serving() as port, connected(port, sent=WHOLE.replace(b"/ ", b"/slow ")) as connection:
        assert answer(connection).startswith(b"HTTP/1.1 200")


def test_one_address_does_not_take_all_connections(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", PATIENCE)
    with serving(ConnectionLimits(100, 3, networks("127.0.0.9"))) as port, ExitStack() as stack:
        many = [stack.enter_context(connected(port, "127.0.0.5")) for _ in range(3)]
        assert all(answer(one, WHOLE).startswith(b"HTTP/1.1 200") for one in many)
        assert answer(stack.enter_context(connected(port, "127.0.0.5")), WHOLE) == b""
        assert answer(stack.enter_context(connected(port, "127.0.0.6")), WHOLE)
        for _ in range(5):  # those of a proxy are of many people
            assert answer(stack.enter_context(connected(port, "127.0.0.9")), WHOLE)
        many[0].close()
        until = time.monotonic() + PATIENCE
        while not answer(stack.enter_context(connected(port, "127.0.0.5")), WHOLE):
            assert time.monotonic() < until


def test_whoever_waits_longest_makes_room(monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", PATIENCE)
    working.clear()
    with serving(ConnectionLimits(4, 4)) as port, ExitStack() as stack:
        slow = stack.enter_context(connected(port, "127.0.0.2", WHOLE.replace(b"/ ", b"/slow ")))
        assert working.wait(PATIENCE)
        half = [stack.enter_context(connected(port, f"127.0.0.{n}", HALF)) for n in range(3, 6)]
        assert answer(stack.enter_context(connected(port)), WHOLE).startswith(b"HTTP/1.1 200")
        assert answer(half[0]) == b""
        assert answer(slow).startswith(b"HTTP/1.1 200"), "a request that is being answered is not ended"


def test_bodies_that_never_come_whole_make_room_as_well(monkeypatch):
    monkeypatch.setattr(connections, "BODY_SECONDS", PATIENCE)
    with serving(ConnectionLimits(3, 3)) as port, ExitStack() as stack:
        held = [stack.enter_context(connected(port, f"127.0.0.{n}", BODY + b"x")) for n in range(3, 6)]
        time.sleep(SECONDS)  # until then they are new, and would make room as such
        until = time.monotonic() + PATIENCE
        while not answer(stack.enter_context(connected(port)), WHOLE):
            assert time.monotonic() < until
        assert answer(held[0]) == b""


def test_bytes_that_came_fast_are_no_credit_for_silence():
    with serving() as port, connected(port, sent=BODY.replace(b"4000", b"4000000")) as one:
        time.sleep(SECONDS / 2)  # after the server's first look
        one.sendall(bytes(100_000))
        began = time.monotonic()
        assert answer(one) == b"" and time.monotonic() - began < 50  # by its rate alone 100 seconds


def test_a_connection_over_tls_that_is_gone_already_is_no_fault():
    """An exception here would end the whole server."""

    class Gone:
        def is_closing(self) -> bool:
            return True

        def get_write_buffer_size(self) -> int:
            raise AttributeError

        def abort(self) -> None:
            """It is."""

    config = uvicorn.Config(application, log_config=None, loop="asyncio", ws="none")
    loop = asyncio.new_event_loop()
    one = connections.BoundedProtocol(
        ConnectionLimits(1, 1), config, uvicorn.Server(config).server_state, {}, loop
    )
    one.transport = Gone()  # type: ignore[assignment]
    for now in (0.0, 1.0, 2.0):
        one.check_deadline(now)
    loop.close()


def test_limits_count_a_network_of_ipv6_as_one():
    limits = ConnectionLimits(10, 1)
    first, second, third = socket.socketpair(), socket.socketpair(), socket.socketpair()
    made = [
        connections.AcceptedSocket(one.family, one.type, one.proto, fileno=one.detach())
        for one in (first[0], second[0], third[0])
    ]
    assert limits.admit(made[0], "2001:db8:0:1::1")
    assert not limits.admit(made[1], "2001:db8:0:1:ffff::2")
    assert limits.admit(made[2], "2001:db8:0:2::1")
    made[0].close()
    assert limits.open == 1
    for one in (*made, first[1], second[1], third[1]):
        one.close()
    assert limits.open == 0
