"""A scanner for tests: a real server that speaks clamd's protocol (INSTREAM), over TCP or Unix sockets."""

from __future__ import annotations

import socketserver
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}" + b"$EICAR-STANDARD-" + b"ANTIVIRUS-TEST-FILE!$H+H*"
"""The industry's harmless test file, in pieces, so that no scanner trips over this one."""


class _Clamd(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        server: _Server = self.server  # type: ignore[assignment]
        if self.rfile.read(10) != b"zINSTREAM\0":
            self.wfile.write(b"UNKNOWN COMMAND\0")
            return
        content = b""
        while length := struct.unpack(">I", self.rfile.read(4))[0]:
            content += self.rfile.read(length)
            if len(content) > server.longest:
                self.wfile.write(b"INSTREAM size limit exceeded. ERROR\0")
                return
        server.scanned.append(content)
        self.wfile.write(b"stream: Eicar-Signature FOUND\0" if EICAR in content else b"stream: OK\0")


class _Server(socketserver.ThreadingMixIn):
    daemon_threads = True
    longest = 2**30
    scanned: list[bytes]


class _Tcp(_Server, socketserver.TCPServer):
    allow_reuse_address = True


class _Unix(_Server, socketserver.UnixStreamServer):
    pass


@contextmanager
def clamd(socket: Path | None = None, longest: int = 2**30) -> Iterator[tuple[str, list[bytes]]]:
    """Run one; gives what the setting `upload_scanner` names, and what was scanned."""
    server = _Tcp(("127.0.0.1", 0), _Clamd) if socket is None else _Unix(str(socket), _Clamd)
    server.longest, server.scanned = longest, []
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        name = f"unix:{socket}" if socket else f"127.0.0.1:{server.socket.getsockname()[1]}"
        yield name, server.scanned
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
