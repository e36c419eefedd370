"""The MLLP listener (Minimal Lower Layer Protocol, appendix C): patients, encounters and orders come in.

One message at a time is done, in the order in which they came; an acknowledgment says that it is committed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from zoneinfo import ZoneInfo

import structlog

from tetkik.errors import InputError, TetkikError
from tetkik.integrations.calling import Answer, client_context, server_context
from tetkik.integrations.hl7.content import load_mapping
from tetkik.integrations.hl7.intake import Source, Taken, take_message
from tetkik.integrations.hl7.message import MOST_BYTES, Message, read_message
from tetkik.integrations.systems import Configuration, Hl7Listener, HospitalSystem
from tetkik.records.database import Records
from tetkik.settings import Settings

_MOST_CONNECTIONS = 50
_MOST_OF_A_PEER = 20
"""Connections of one system, so that it leaves room for others."""
_HANDSHAKE = 10.0
"""Seconds in which TLS has to begin."""
_SILENT = 3600.0
"""Seconds for which a connection may carry nothing: systems keep theirs open between messages."""
_SLOW = 60.0
"""Seconds that one message, or its acknowledgment, may take on the way."""
START, END = b"\x0b", b"\x1c\r"
"""Of a block: one message."""
_log = structlog.get_logger()


async def serve_mllp(
    configuration: Configuration,
    records: Records,
    settings: Settings,
    listening: socket.socket,
    *,
    silent: float = _SILENT,
    slow: float = _SLOW,
) -> None:
    """Take messages at a socket until cancelled; one under way is then finished and acknowledged.

    Raises:
        SettingError: a mapping that cannot be used.
    """
    listener = configuration.hl7
    assert listener is not None
    context = server_context(listener)
    receiver = Receiver(configuration, records, settings, silent, slow, context)
    server = await asyncio.start_server(receiver.receive, sock=listening, limit=MOST_BYTES)
    port = server.sockets[0].getsockname()[1]
    _log.info("hl7_listens", address=listener.address, port=port, tls=context is not None)
    try:
        async with server:
            await server.serve_forever()
    finally:
        await receiver.close()


class Receiver:
    """Takes the messages of every connection."""

    def __init__(
        self,
        configuration: Configuration,
        records: Records,
        settings: Settings,
        silent: float,
        slow: float,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._configuration, self._records = configuration, records
        zone = ZoneInfo(settings.hospital_time_zone)
        self._sources = {
            peer.name: Source(peer, load_mapping(peer.mapping), zone, settings.language)
            for peer in configuration.peers
        }
        self._silent, self._slow, self._context = silent, slow, context
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="hl7")
        self._open: dict[asyncio.Task[object], HospitalSystem] = {}

    async def close(self) -> None:
        """Finish what is being done, and end the connections."""
        await asyncio.to_thread(self._worker.shutdown)
        tasks = set(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first message to its end."""
        task = asyncio.current_task()
        assert task is not None
        address = writer.get_extra_info("peername")[0]
        peer = self._configuration.sender(address)
        try:
            if peer is None:
                _log.warning("hl7_refused", reason="unknown_address", address=address)
            elif len(self._open) >= _MOST_CONNECTIONS:
                _log.warning("hl7_refused", reason="too_many_connections", most=_MOST_CONNECTIONS)
            elif sum(one is peer for one in self._open.values()) >= _MOST_OF_A_PEER:
                most = {"peer": peer.name, "most": _MOST_OF_A_PEER}
                _log.warning("hl7_refused", reason="too_many_connections", **most)
            else:
                self._open[task] = peer
                if self._context is not None:
                    # Not by the server itself: a stranger would hold each connection until its handshake.
                    # Nothing was awaited before, so nothing of the handshake was read yet.
                    await writer.start_tls(self._context, ssl_handshake_timeout=_HANDSHAKE)
                await self._messages(self._sources[peer.name], address, reader, writer)
        except asyncio.CancelledError:
            pass
        except TimeoutError:
            _log.warning("hl7_ended", reason="silent", peer=peer.name if peer else None)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
            _log.warning("hl7_ended", reason=_fault(error), peer=peer.name if peer else None)
        except TetkikError as error:  # nothing was done: the sender comes again
            _log.error("hl7_not_acknowledged", template=error.template, peer=peer.name if peer else None)
        except Exception as error:
            kind = type(error).__name__
            _log.error("hl7_not_acknowledged", kind=kind, peer=peer.name if peer else None)
        finally:
            self._open.pop(task, None)
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _messages(
        self, source: Source, address: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            async with asyncio.timeout(self._silent):
                start = await reader.read(1)
            if not start:
                return
            if start in b"\r\n ":  # some send a line end behind a message
                continue
            if start != START:
                raise ValueError("a message without its MLLP start")
            async with asyncio.timeout(self._slow):
                data = (await reader.readuntil(END)).removesuffix(END)
            work = asyncio.get_running_loop().run_in_executor(
                self._worker, take_message, self._records, source, data, address
            )
            taken = await asyncio.shield(work)
            _tell(source.peer.name, taken)
            writer.write(START + taken.answer + END)
            async with asyncio.timeout(self._slow):
                await writer.drain()


def _fault(error: Exception) -> str:
    """Codes alone: the text of an error may hold what was received."""
    match error:
        case asyncio.IncompleteReadError():
            return "cut"
        case asyncio.LimitOverrunError():
            return "too_long"
        case ValueError():
            return "no_mllp"
    return type(error).__name__


def _tell(peer: str, taken: Taken) -> None:
    known = {"peer": peer, "kind": taken.kind}
    if taken.code == "AA":
        _log.info("hl7_taken", **known, again=taken.again, left_out=taken.left_out)
    else:
        refused = {"answer": taken.code, "condition": taken.condition, "place": taken.place}
        _log.warning("hl7_refused", reason="message", **known, **refused)


# Sends a message by MLLP and waits for its acknowledgment (HL7 v2 chapter 2.9.2, original mode).


_SECONDS = 30.0
_MOST_BYTES = 100_000
"""Of an acknowledgment."""
_INTERNAL = "207"
"""Application internal error (table 0357): its database is away, not our message at fault."""


def send_oru(
    peer: HospitalSystem, message: bytes, *, seconds: float = _SECONDS, tls: Hl7Listener | None = None
) -> Answer:
    """Send a message to a peer; done where it acknowledged it (AA or CA) and nowhere else.

    A refusal of what the message is or says (AE, AR; table 0008) is permanent, with the peer's own words; no
    answer, one to another message, or a fault of the peer itself (AE with 207 of table 0357) is transient.

    Args:
        seconds: for everything together.
        tls: whose certificate we show where the peer is called by TLS (`tls = true`).
    """
    until, is_there = time.monotonic() + seconds, False
    try:
        with connected(peer, tls, seconds) as connection:
            is_there = True
            connection.settimeout(max(until - time.monotonic(), 0.01))
            connection.sendall(START + message + END)
            answer = _block(connection, until)
    except (OSError, ValueError) as error:
        words = str(error) if type(error) is ValueError else type(error).__name__
        return Answer.transient(words) if is_there else Answer.unavailable(words)
    try:
        return _judged(read_message(answer, peer.character_set), read_message(message).control_id)
    except InputError:
        return Answer.transient("the answer is no HL7 message")


@contextmanager
def connected(peer: HospitalSystem, tls: Hl7Listener | None, seconds: float) -> Iterator[socket.socket]:
    """A connection to the address of a peer for HL7."""
    host, _, port = (peer.hl7 or "").rpartition(":")
    host = host.strip("[]")
    with socket.create_connection((host, int(port)), timeout=seconds) as plain:
        if not peer.tls:
            yield plain
            return
        with client_context(tls).wrap_socket(plain, server_hostname=host) as secured:
            yield secured


def _block(connection: socket.socket, until: float) -> bytes:
    """One block, without its frame."""
    received = bytearray()
    while END not in received:
        if len(received) > _MOST_BYTES:
            raise ValueError("the answer is too long")
        connection.settimeout(max(until - time.monotonic(), 0.01))
        part = connection.recv(65536)
        if not part:
            raise ValueError("the connection ended before the answer")
        received += part
    return bytes(received.partition(END)[0].rpartition(START)[2])


def _judged(answer: Message, control_id: str) -> Answer:
    msa = answer.first("MSA")
    code = msa.value(1) if msa is not None else ""
    if msa is None or msa.value(2) != control_id:
        return Answer.transient("the answer is to another message")
    if code in {"AA", "CA"}:
        return Answer.done(code)
    fault = answer.first("ERR")
    # ERR-3 and ERR-8 of 2.5.1, ERR-1.4 of 2.3.1, MSA-3 of both; words about the message, not of it.
    parts = [msa.value(3)]
    if fault is not None:
        parts += [
            fault.value(3, 1),
            fault.value(3, 2),
            fault.value(8),
            fault.value(1, 4, 1),
            fault.value(1, 4, 2),
        ]
    words = " ".join(dict.fromkeys(filter(None, parts)))
    if code in {"AE", "CE"} and fault is not None and _INTERNAL in {fault.value(3, 1), fault.value(1, 4, 1)}:
        return Answer.transient(f"{code}: {words}")
    if code in {"AE", "AR", "CE", "CR"}:
        return Answer.permanent(f"{code}: {words}" if words else code)
    return Answer.transient(f"the answer has the unknown code {code[:8]}")
