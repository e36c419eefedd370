"""The malware scanner of the house: clamd, asked over its own protocol (INSTREAM, see `man 8 clamd`)."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress

from tetkik.errors import AccessError, InputError

_SECONDS = 60.0
"""Longest silence of the scanner."""
_PIECE = 1 << 20
_LONGEST_ANSWER = 4096
_LENGTH = struct.Struct(">I")


class ScannerSilent(AccessError):
    """The scanner gives no answer: what nobody has looked at does not come in."""


def scan(scanner: str, content: bytes, name: str) -> None:
    """Have a file looked at before anything else is.

    Args:
        scanner: `unix:/path` of a socket, or `host:port`.
        content: of the file.
        name: what an error calls it.

    Raises:
        InputError: something was found in it.
        ScannerSilent: no answer, or none that says that it is clean.
    """
    try:
        said = _asked(scanner, content)
    except (OSError, ValueError):
        said = ""
    if said.endswith(" FOUND"):
        raise InputError(
            "The malware scanner found {what} in {file}; it was not kept, so tell those who look after your "
            "computers.",
            what=said.removeprefix("stream: ").removesuffix(" FOUND")[:100],
            file=name,
        )
    if said != "stream: OK":
        raise ScannerSilent(
            "The malware scanner gives no answer about {file}, so it was not kept; try again, or tell those "
            "who look after the server.",
            file=name,
        )


def _asked(scanner: str, content: bytes) -> str:
    """What clamd says: `stream: OK`, `stream: NAME FOUND`, or a fault of its own."""
    with _connected(scanner) as line:
        # It answers and hangs up in the middle of a file that is longer than its StreamMaxLength.
        with suppress(BrokenPipeError, ConnectionResetError):
            line.sendall(b"zINSTREAM\0")
            for start in range(0, len(content), _PIECE):
                piece = memoryview(content)[start : start + _PIECE]
                line.sendall(_LENGTH.pack(len(piece)))
                line.sendall(piece)
            line.sendall(_LENGTH.pack(0))
        said = bytearray()
        while b"\0" not in said and len(said) < _LONGEST_ANSWER and (some := line.recv(1024)):
            said += some
    return bytes(said).partition(b"\0")[0].decode("ascii", "replace").strip()


def _connected(scanner: str) -> socket.socket:
    if not scanner.startswith("unix:"):
        host, _, port = scanner.rpartition(":")
        return socket.create_connection((host.strip("[]"), int(port)), _SECONDS)
    line = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    line.settimeout(_SECONDS)
    try:
        line.connect(scanner.removeprefix("unix:"))
    except OSError:
        line.close()
        raise
    return line
