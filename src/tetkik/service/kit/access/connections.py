"""Connections of the server: how many at once, and how long a request or the reading of an answer may take.

A connection counts from `accept` on, so that TLS handshakes count, too. The deadlines follow Apache's
mod_reqtimeout: seconds for the head of a request, for its body a least rate.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Sequence
from enum import Enum
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any

import h11
import structlog
import uvicorn
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from tetkik.errors import SettingError
from tetkik.records.people.users import network_of
from tetkik.settings import Settings

# Reverse proxies: the forwarded address and scheme count where the proxy is trusted.


Network = IPv4Network | IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """The networks that the setting `trusted_proxies` names."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise SettingError(
            "The setting trusted_proxies names what is no address or network ({text}); write such as "
            "127.0.0.1, 10.1.0.0/16.",
            text=text,
        ) from None


def trusts(trusted: Sequence[Network], address: str) -> bool:
    """Whether an address is that of a trusted proxy."""
    return _is_address(address) and any(ip_address(address) in network for network in trusted)


class TrustedProxyMiddleware:
    """Takes the browser's address and scheme from a trusted proxy's word, and from nobody else's.

    Of `X-Forwarded-For` the last address counts that is no trusted proxy itself: everything before it is what
    the browser said.
    """

    def __init__(self, app: ASGIApp, *, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client") and trusts(self._trusted, scope["client"][0]):
            headers = Headers(scope=scope)
            scheme = headers.get("x-forwarded-proto", "").strip().lower()
            if scheme in ("http", "https"):
                scope["scheme"] = scheme
            address = self._browser(headers.getlist("x-forwarded-for"))
            if address is not None:
                scope["client"] = (address, 0)
        await self._app(scope, receive, send)

    def _browser(self, lines: list[str]) -> str | None:
        addresses = [part.strip() for part in ",".join(lines).split(",") if part.strip()]
        for address in reversed(addresses):
            if not _is_address(address):
                return None
            if not trusts(self._trusted, address):
                return address
        return None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


HEAD_SECONDS = 10.0
"""For a TLS handshake, and for the head of a request."""
BODY_SECONDS = 20.0
BODY_RATE = 1000
"""Bytes a second that a body has to bring on average, after its first seconds."""
ANSWER_SECONDS = 30.0
"""Without a piece of the answer taken by a client that has not read it."""
_PIECE = 1 << 14
_CLOSING = 256
"""Connections beyond the most that may be open while others are being closed for them."""
_WAITING = 2048
_AT_ONCE = 50
"""Connections that are accepted, or looked at, before the event loop turns to requests again."""
SWEEP_TICKS = 10
"""Of uvicorn's ten a second, between two looks at the deadlines."""
_TELLS_TICKS = 600
_RESET = struct.pack("ii", 1, 0)
_log = structlog.get_logger()


class ConnectionLimits:
    """So many connections altogether and of one address (IPv6: of a /64), which trusted proxies may exceed.

    Where all are taken, the one that has waited longest for a request makes room for the new one. Used in the
    thread of the event loop alone.
    """

    def __init__(self, most: int, each: int, trusted: Sequence[Network] = ()) -> None:
        self._most, self._each, self._trusted = most, each, trusted
        self._open: dict[int, AcceptedSocket] = {}
        self._idle: dict[int, AcceptedSocket] = {}
        """Those without a request, by their file descriptor, the one that waits longest first."""
        self._sending: dict[int, AcceptedSocket] = {}
        """Those whose request has not come whole; they make room where no idle one is left."""
        self._of_subnet: Counter[str] = Counter()
        self.counted: Counter[str] = Counter()
        """What was refused or ended, for the log."""

    @classmethod
    def of(cls, settings: Settings, trusted: Sequence[Network]) -> ConnectionLimits:
        return cls(settings.max_connections, settings.max_connections_per_address, trusted)

    def admit(self, connection: AcceptedSocket, address: str) -> bool:
        """Count a new connection, unless there are too many."""
        subnet = "" if trusts(self._trusted, address) else network_of(address)
        if subnet and self._of_subnet[subnet] >= self._each:
            self.counted["refused_of_one_address"] += 1
            return False
        if len(self._open) >= self._most:
            waiting = self._idle or self._sending
            if not waiting or len(self._open) >= self._most + _CLOSING:
                self.counted["refused"] += 1
                return False
            self._close(waiting, next(iter(waiting)))
        connection.limits, connection.subnet = self, subnet
        self._open[connection.fileno()] = self._idle[connection.fileno()] = connection
        self._of_subnet[subnet] += 1
        return True

    def _close(self, waiting: dict[int, AcceptedSocket], place: int) -> None:
        """The event loop reads the end of the connection, and closes it."""
        oldest = waiting.pop(place)
        self.counted["closed_for_others"] += 1
        try:
            oldest.shutdown(socket.SHUT_RDWR)
        except OSError:  # its peer was faster
            return

    def set_waiting(self, file_descriptor: int, *, idle: bool, sending: bool) -> None:
        """Whether a connection waits for a request, or for the rest of one."""
        for waiting, now in ((self._idle, idle), (self._sending, sending)):
            if not now:
                waiting.pop(file_descriptor, None)
            elif file_descriptor not in waiting and file_descriptor in self._open:
                waiting[file_descriptor] = self._open[file_descriptor]

    def release(self, connection: AcceptedSocket) -> None:
        if self._open.pop(connection.fileno(), None) is None:
            return
        self._idle.pop(connection.fileno(), None)
        self._sending.pop(connection.fileno(), None)
        self._of_subnet[connection.subnet] -= 1
        if not self._of_subnet[connection.subnet]:
            del self._of_subnet[connection.subnet]

    @property
    def open(self) -> int:
        return len(self._open)


class AcceptedSocket(socket.socket):
    """A connection that is counted until it is closed."""

    limits: ConnectionLimits | None = None
    subnet = ""

    def close(self) -> None:
        if self.limits is not None:
            self.limits.release(self)
            self.limits = None
        super().close()


class ListeningSocket(socket.socket):
    """Accepts what its limits admit, and resets every other connection."""

    limits: ConnectionLimits

    @classmethod
    def over(cls, listening: socket.socket, limits: ConnectionLimits) -> ListeningSocket:
        """Another one of a socket that listens already."""
        copy = listening.dup()
        found = cls(copy.family, copy.type, copy.proto, fileno=copy.detach())
        found.limits = limits
        return found

    def listen(self, _backlog: int = 0) -> None:
        """Let many wait; the event loop takes as many in one go as it was told for its `backlog`."""
        super().listen(_WAITING)

    def accept(self) -> tuple[socket.socket, Any]:
        for _ in range(_AT_ONCE):
            plain, address = super().accept()
            connection = AcceptedSocket(self.family, self.type, self.proto, fileno=plain.detach())
            if self.limits.admit(connection, address[0]):
                return connection, address
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            connection.close()
        raise BlockingIOError  # the event loop looks after the others, and comes back


class Phase(Enum):
    """What a connection is waiting for."""

    HEAD = "head"
    BODY = "body"
    ANSWER = "answer"
    """Its client does not take what was written."""
    WORK = "work"
    """The application, which has no deadline."""


class BoundedProtocol(H11Protocol):
    """One connection, with deadlines that the server checks each second."""

    def __init__(self, limits: ConnectionLimits, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._limits = limits
        self._seen: tuple[object, ...] = ()
        self._since = self._checked = time.monotonic()
        self._received = self._resumed = 0

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        super().data_received(data)
        self._count_idle()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._count_idle()

    def resume_writing(self) -> None:
        self._resumed += 1
        super().resume_writing()

    def _count_idle(self) -> None:
        connection = self.transport.get_extra_info("socket")
        if connection is not None:
            idle = self.conn.their_state is h11.IDLE and not self._unsent()
            sending = self.conn.their_state is h11.SEND_BODY
            self._limits.set_waiting(connection.fileno(), idle=idle, sending=sending)

    def _unsent(self) -> int:
        """Bytes of answers that are not with the system yet."""
        try:
            return self.transport.get_write_buffer_size()
        except AttributeError:  # asyncio's TLS, once it is aborted
            return 0

    def _phase(self) -> Phase:
        closing = self.transport.is_closing()
        if not closing and self.conn.their_state is h11.IDLE:
            return Phase.HEAD
        if not closing and self.conn.their_state is h11.SEND_BODY:
            return Phase.BODY
        return Phase.ANSWER if closing or self._unsent() else Phase.WORK

    def check_deadline(self, now: float) -> None:
        """End the connection where its client is too slow."""
        phase, passed, self._checked = self._phase(), now - self._checked, now
        taken = self._unsent() // _PIECE if phase is Phase.ANSWER else 0
        seen = (phase, self.cycle, taken, self._resumed)
        if seen != self._seen:
            self._seen, self._since, self._received = seen, now, 0
            return
        if phase is Phase.BODY and self.flow.read_paused:
            self._since += passed  # the application has not asked for more
        waited = now - self._since
        if phase is Phase.BODY and waited > BODY_SECONDS and self._received >= BODY_RATE * BODY_SECONDS:
            self._since, self._received = now, 0  # what came fast is no credit for silence later
            return
        late = {
            Phase.HEAD: waited > HEAD_SECONDS,
            Phase.BODY: waited > BODY_SECONDS + self._received / BODY_RATE,
            Phase.ANSWER: waited > ANSWER_SECONDS,
            Phase.WORK: False,
        }
        if late[phase]:
            self._limits.counted[f"slow_{phase.value}"] += 1
            self.transport.abort()


class BoundedServer(uvicorn.Server):
    """uvicorn with limits of connections and deadlines, on sockets that listen already."""

    def __init__(self, config: uvicorn.Config, limits: ConnectionLimits) -> None:
        super().__init__(config)
        self._limits = limits

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        loop, state = asyncio.get_running_loop(), self.server_state

        def protocol() -> BoundedProtocol:
            return BoundedProtocol(self._limits, self.config, state, self.lifespan.state, loop)

        for listening in sockets or []:
            self.servers.append(
                await loop.create_server(
                    protocol,
                    sock=ListeningSocket.over(listening, self._limits),
                    ssl=self.config.ssl,
                    backlog=_AT_ONCE,
                    ssl_handshake_timeout=HEAD_SECONDS if self.config.ssl else None,
                )
            )

    async def on_tick(self, counter: int) -> bool:
        if counter % SWEEP_TICKS == 0:
            for number, connection in enumerate(list(self.server_state.connections), 1):
                if number % _AT_ONCE == 0:
                    await asyncio.sleep(0)
                if isinstance(connection, BoundedProtocol):
                    connection.check_deadline(time.monotonic())
        if counter % _TELLS_TICKS == 0 and self._limits.counted:
            _log.warning("connections", open=self._limits.open, **self._limits.counted)
            self._limits.counted.clear()
        return await super().on_tick(counter)
