"""The MLLP listener (Minimal Lower Layer Protocol, appendix C): patients, encounters and orders come in.

One message at a time is done, in the order in which they came; an acknowledgment says that it is committed.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from zoneinfo import ZoneInfo

import structlog

from tetkik.errors import TetkikError
from tetkik.integrations.configuration import Configuration, Peer
from tetkik.integrations.hl7.intake import Source, Taken, take_message
from tetkik.integrations.hl7.mapping import load_mapping
from tetkik.integrations.hl7.message import MOST_BYTES
from tetkik.integrations.tls import server_context
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
        self._open: dict[asyncio.Task[object], Peer] = {}

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
