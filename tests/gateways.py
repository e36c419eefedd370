"""Servers that tests start on this machine: one that takes HTTP forms and files, one that takes mail."""

from __future__ import annotations

import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Gateway:
    """What came, and what is answered from now on: a status and a body."""

    port: int = 0
    requests: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Path, `Authorization`, body."""
    status: int = 200
    body: bytes = b"{}"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextmanager
def http_gateway() -> Iterator[Gateway]:
    """A server of HTTP that keeps every POST."""
    gateway = Gateway()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"] or 0))
            if self.headers.get("Transfer-Encoding") == "chunked":
                raise AssertionError("a length is expected")
            gateway.requests.append((self.path, self.headers.get("Authorization", ""), content))
            self.send_response(gateway.status)
            self.send_header("Content-Length", str(len(gateway.body)))
            self.end_headers()
            self.wfile.write(gateway.body)

        def log_message(self, *_: object) -> None:
            """Nothing: the test looks itself."""

    with _served(ThreadingHTTPServer(("127.0.0.1", 0), Handler)) as port:
        gateway.port = port
        yield gateway


@contextmanager
def smtp_gateway() -> Iterator[Gateway]:
    """A mail server (RFC 5321) that keeps each message as a request: who it is for, and its text."""
    gateway = Gateway()

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            to = ""
            self.wfile.write(b"220 mail\r\n")
            while line := self.rfile.readline():
                verb = line[:4].upper()
                if verb == b"RCPT":
                    to = line.decode().partition("<")[2].partition(">")[0]
                if verb == b"DATA":
                    self.wfile.write(b"354 go on\r\n")
                    lines = iter(self.rfile.readline, b".\r\n")
                    gateway.requests.append((to, "", b"".join(lines)))
                self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")

    with _served(socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)) as port:
        gateway.port = port
        yield gateway


@contextmanager
def _served(server: socketserver.TCPServer) -> Iterator[int]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
