"""Sends a message by MLLP and waits for its acknowledgment (HL7 v2 chapter 2.9.2, original mode)."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tetkik.errors import InputError
from tetkik.integrations.answer import Answer
from tetkik.integrations.configuration import Hl7Listener, Peer
from tetkik.integrations.hl7.message import Message, read_message
from tetkik.integrations.hl7.server import END, START
from tetkik.integrations.tls import client_context

_SECONDS = 30.0
_MOST_BYTES = 100_000
"""Of an acknowledgment."""
_INTERNAL = "207"
"""Application internal error (table 0357): its database is away, not our message at fault."""


def send_oru(
    peer: Peer, message: bytes, *, seconds: float = _SECONDS, tls: Hl7Listener | None = None
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
def connected(peer: Peer, tls: Hl7Listener | None, seconds: float) -> Iterator[socket.socket]:
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
