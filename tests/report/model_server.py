"""A language model's server for tests: it speaks over HTTP and behaves as badly as it is told to."""

from __future__ import annotations

import json
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.patience import PATIENCE

HERE = ("127.0.0.1",)

GOOD = {
    "sentences": [
        {
            "section": "findings",
            "text": "Solda plevral efüzyon izlenmektedir.",
            "evidence": ["finding:Effusion"],
            "certainty": "probable",
        },
        {"section": "technique", "text": "PA akciğer grafisi.", "evidence": [], "certainty": None},
    ]
}


@dataclass
class ReceivedRequests:
    """What the server was sent, and how it answers: one behaviour a request, the last for all others."""

    behaviours: list[str]
    answer: dict[str, Any] = field(default_factory=lambda: GOOD)
    """What a `good` answer holds."""
    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    raw: list[bytes] = field(default_factory=list)
    go: threading.Event = field(default_factory=threading.Event)
    left: threading.Event = field(default_factory=threading.Event)
    between: Callable[[], None] = lambda: None
    """Called in the middle of an answer that is `held`, and before one that is `mute`."""

    def next(self) -> str:
        """How to answer now."""
        return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]


class _Handler(BaseHTTPRequestHandler):
    received: ReceivedRequests

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._send(200, json.dumps({"data": [{"id": "small-model"}]}).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.received.raw.append(body)
        self.received.requests.append(json.loads(body))
        self.received.headers.append(dict(self.headers))
        try:
            getattr(self, f"_{self.received.next()}")()
        except (BrokenPipeError, ConnectionResetError):
            self.received.left.set()
            self.close_connection = True

    def _send(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _events(self, text: str, finish: str = "stop") -> bytes:
        pieces = [text[place : place + 40] for place in range(0, len(text), 40)]
        events: list[dict[str, Any]] = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
        events.append({"choices": [{"delta": {}, "finish_reason": finish}]})
        events.append({"choices": [], "usage": {"prompt_tokens": 700, "completion_tokens": 60}})
        lines = [f"data: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events]
        return ("".join(lines) + "data: [DONE]\n\n").encode()

    def _stream(self, text: str, finish: str = "stop") -> None:
        gemini = "streamGenerateContent" in self.path
        events = self._gemini_events if gemini else self._events
        self._send(200, events(text, finish), "text/event-stream")

    def _gemini_events(self, text: str, finish: str) -> bytes:
        reason = {"stop": "STOP", "length": "MAX_TOKENS", "content_filter": "SAFETY"}[finish]
        half = len(text) // 2
        events: list[dict[str, Any]] = [
            {"candidates": [{"content": {"role": "model", "parts": [{"text": part}]}}]}
            for part in (text[:half], text[half:])
        ]
        events[-1]["candidates"][0]["finishReason"] = reason
        events[-1]["usageMetadata"] = {"promptTokenCount": 500, "candidatesTokenCount": 40}
        return "".join(f"data: {json.dumps(event)}\r\n\r\n" for event in events).encode()

    def _good(self) -> None:
        self._stream(json.dumps(self.received.answer, ensure_ascii=False))

    def _fenced(self) -> None:
        self._stream("```json\n" + json.dumps(GOOD) + "\n```")

    def _whole(self) -> None:
        answer = {"choices": [{"message": {"content": json.dumps(GOOD)}, "finish_reason": "stop"}]}
        self._send(200, json.dumps(answer).encode())

    def _prose(self) -> None:
        self._stream("Certainly! Here is the report.")

    def _other_form(self) -> None:
        self._stream('{"report": "normal"}')

    def _truncated(self) -> None:
        self._stream(json.dumps(GOOD)[:60], "length")

    def _refusing(self) -> None:
        self._stream("I cannot", "content_filter")

    def _silent(self) -> None:
        self._stream("")

    def _broken(self) -> None:
        self._send(500, b"Internal Server Error", "text/plain")

    def _schemaless(self) -> None:
        """A server that does not know schemas."""
        if "response_format" in self.received.requests[-1]:
            self._send(400, b'{"error": {"message": "response_format is not supported"}}')
        else:
            self._good()

    def _elsewhere(self) -> None:
        self.send_response(302)
        self.send_header("Location", "http://192.0.2.1/v1/chat/completions")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _held(self) -> None:
        """The first half; the second once `go` is set, unless whoever asked has left by then."""
        body = self._events(json.dumps(GOOD, ensure_ascii=False))
        half = body.index(b"\n\n", len(body) // 2) + 2
        self._begin()
        self.wfile.write(body[:half])
        self.received.between()
        if self._waits():
            self.wfile.write(body[half:])

    def _mute(self) -> None:
        """Not a word before `go` is set, or ever."""
        self.received.between()
        if self._waits():
            self._good()

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()

    def _waits(self) -> bool:
        """Until `go` is set; false where whoever asked has closed the connection first."""
        until = time.monotonic() + PATIENCE
        while not self.received.go.wait(0.01) and time.monotonic() < until:
            readable, _, _ = select.select([self.connection], [], [], 0)
            if readable and not self.connection.recv(1, socket.MSG_PEEK):
                self.received.left.set()
                return False
        return True

    def _dripping(self) -> None:
        """A letter now and then, for longer than anybody waits."""
        self.send_response(200)
        self.end_headers()
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            self.wfile.write(b"d")
            self.wfile.flush()
            time.sleep(0.05)

    def _endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        event = f"data: {json.dumps({'choices': [{'delta': {'content': 'x' * 50_000}}]})}\n\n".encode()
        for _ in range(400):
            self.wfile.write(event)


@contextmanager
def model_server(
    behaviours: Sequence[str] = ("good",), tls: ssl.SSLContext | None = None
) -> Iterator[tuple[str, ReceivedRequests]]:
    """A server on this machine: its address up to `/v1`, and what it hears."""
    received = ReceivedRequests(list(behaviours))
    handler = type("Handler", (_Handler,), {"received": received})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
