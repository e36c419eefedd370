"""`tetkik sign-agent`: lets the page of a report use the signature card in the reader's own computer.

Only this computer reaches it, and only pages of one address may ask for the certificate and for a signature.
The PIN is typed here, for each signature anew; neither the page nor the server ever has it.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Annotated, Any

import typer

from tetkik.cli.console import note, print_line, t
from tetkik.cli.options import option
from tetkik.documents.pades import SignatureCard, read_card, sign_with_card
from tetkik.errors import TetkikError, UsageError
from tetkik.values.common import one_line

PORT = 7465
_LONGEST = 65_536


def sign_agent(
    server: Annotated[str, option("The address of the reading room, such as https://tetkik.example.org.")],
    module: Annotated[Path, option("The PKCS#11 library of the card's maker, such as libakisp11.so.")],
    port: Annotated[int, option("Where it listens on this computer.", min=1, max=65535)] = PORT,
) -> None:
    """Serve until Ctrl+C; one signature after another."""
    if not server.startswith(("https://", "http://")) or server.rstrip("/").count("/") != 2:
        raise UsageError(
            "{server} is no address of a server; give it such as https://tetkik.hastane.", server=server
        )
    if not module.is_file():
        raise UsageError(
            "There is no library {module}; the maker of the card says where it lies.", module=module
        )
    print_line("{name}: the card that signs.", name=read_card(module).name)
    with serving(Agent(server.rstrip("/"), module, _ask_pin), port) as running:
        print_line("Waiting for pages of {server}; Ctrl+C ends it.", server=server)
        with suppress(KeyboardInterrupt):
            running.serve_forever()


def _ask_pin(card: SignatureCard, about: str) -> str:
    """What somebody types; nothing refuses."""
    note("A signature is asked for: {about}. Certificate: {name}.", about=about, name=card.name)
    return str(
        typer.prompt(
            t("PIN of the card (Enter alone refuses)"), default="", hide_input=True, show_default=False
        )
    )


@dataclass(frozen=True)
class Agent:
    """Whose pages may ask, which library, and how the PIN is asked for: empty refuses."""

    origin: str
    module: Path
    ask_pin: Callable[[SignatureCard, str], str]


def serving(agent: Agent, port: int) -> HTTPServer:
    """A server on the loopback address alone; port 0 takes a free one."""

    class Handler(_Handler):
        asked = agent

    return HTTPServer(("127.0.0.1", port), Handler)


class _Handler(BaseHTTPRequestHandler):
    asked: Agent
    server: HTTPServer
    timeout = 30

    def do_OPTIONS(self) -> None:
        self._answer(204 if self._may_ask() else 403)

    def do_GET(self) -> None:
        if not self._may_ask():
            self._answer(403)
        elif self.path != "/certificate":
            self._answer(404)
        else:
            self._try(self._certificate)

    def do_POST(self) -> None:
        # A form or an image of a foreign page could not send JSON without being asked first.
        if not self._may_ask() or self.headers.get("Content-Type") != "application/json":
            self._answer(403)
        elif self.path != "/sign":
            self._answer(404)
        else:
            self._try(self._sign)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""

    def _may_ask(self) -> bool:
        """Only a page of that server, by this address: another name could lead here (DNS rebinding)."""
        hosts = {f"{name}:{self.server.server_port}" for name in ("127.0.0.1", "localhost")}
        return self.headers.get("Origin") == self.asked.origin and self.headers.get("Host") in hosts

    def _certificate(self) -> dict[str, Any]:
        card = read_card(self.asked.module)
        chain = [_text(item) for item in card.chain]
        return {"name": card.name, "certificate": _text(card.certificate), "chain": chain}

    def _sign(self) -> dict[str, Any] | None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= _LONGEST:
            return None
        try:
            sent = json.loads(self.rfile.read(length))
            to_sign, about = base64.b64decode(sent["to_sign"], validate=True), one_line(str(sent["about"]))
        except (ValueError, KeyError, TypeError, binascii.Error):
            return None
        card = read_card(self.asked.module)
        pin = self.asked.ask_pin(card, about[:120])
        return {"signature": _text(sign_with_card(self.asked.module, card, pin, to_sign))} if pin else None

    def _try(self, work: Callable[[], dict[str, Any] | None]) -> None:
        try:
            answer = work()
        except TetkikError as error:
            self._answer(409, {"detail": str(error)})
            return
        if answer is None:
            self._answer(409, {"detail": t("Nothing was signed.")})
        else:
            self._answer(200, answer)

    def _answer(self, status: int, content: dict[str, Any] | None = None) -> None:
        body = b"" if content is None else json.dumps(content).encode()
        self.send_response(status)
        if status != 403:
            self.send_header("Access-Control-Allow-Origin", self.asked.origin)
            self.send_header("Access-Control-Allow-Headers", "Content-Type")
            self.send_header("Access-Control-Allow-Private-Network", "true")
            self.send_header("Vary", "Origin")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
