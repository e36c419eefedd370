"""MLLP in and out, against the package hl7 on the other side: its client sends, its server answers."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import hl7
import pytest
from hl7.client import MLLPClient
from hl7.mllp import start_hl7_server
from structlog.testing import capture_logs

from tests.documents.sample import document
from tests.integrations.hl7.messages import adt, person_of
from tests.ports import free_port
from tetkik.integrations.calling import CallOutcome
from tetkik.integrations.hl7 import mllp
from tetkik.integrations.hl7.intake import oru_for
from tetkik.integrations.hl7.mllp import send_oru, serve_mllp
from tetkik.integrations.listening import bound
from tetkik.integrations.systems import Configuration, HospitalSystem
from tetkik.records.database import Records
from tetkik.settings import Settings
from tetkik.values import ReportState

END = b"\x1c\r"


@contextmanager
def looping(work: Callable[[asyncio.Event], Any]) -> Iterator[None]:
    """A coroutine in a thread with its loop, cancelled at the end."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    tasks: list[asyncio.Task[Any]] = []

    def run() -> None:
        asyncio.set_event_loop(loop)
        begun = asyncio.Event()
        tasks.append(loop.create_task(work(begun)))
        loop.call_soon(ready.set)
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(tasks[0])
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        loop.call_soon_threadsafe(tasks[0].cancel)
        thread.join()


def connect(port: int) -> socket.socket:
    """A connection, as soon as somebody listens there."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=20)
        except ConnectionRefusedError:
            threading.Event().wait(0.02)


@contextmanager
def listening(
    records: Records, addresses: tuple[str, ...] = ("127.0.0.1",), slow: float = 20, **listener: Any
) -> Iterator[int]:
    port = free_port()
    peer = {"name": "hbys", "addresses": addresses, "allow": ["orders"], "issuer": "HASTANE"}
    configuration = Configuration.model_validate(
        {"hl7": {"address": "127.0.0.1", "port": port, **listener}, "peer": [peer]}
    )
    settings = Settings(language="en")  # type: ignore[arg-type]
    with (
        bound(configuration.hl7) as made,  # type: ignore[arg-type]
        looping(lambda _: serve_mllp(configuration, records, settings, made, silent=20, slow=slow)),
    ):
        yield port


def answer_of(opened: socket.socket) -> bytes:
    received = b""
    while END not in received and (part := opened.recv(65536)):
        received += part
    return received


def test_another_implementation_sends_and_is_acknowledged_after_the_commit(records: Records):
    with listening(records) as port, MLLPClient("127.0.0.1", port) as client:
        for control in ("1", "2", "2"):
            answer = client.send_message(adt(control=control))
            said = hl7.parse(answer.strip(b"\x0b\x1c\r").decode())
            assert str(said.segment("MSA")) == f"MSA|AA|{control}"
        assert person_of(records, "4711").name == "Gülçin Işıl ŞAHİN"


def test_two_messages_at_once_are_answered_in_order(records: Records):
    with listening(records) as port, connect(port) as opened:
        block = b"".join(b"\x0b" + adt(control=one) + END + b"\r\n" for one in ("1", "2"))
        opened.sendall(block)
        received = answer_of(opened)
        while received.count(END) < 2:
            received += opened.recv(65536)
        assert received.index(b"MSA|AA|1") < received.index(b"MSA|AA|2")


def test_whoever_is_no_peer_is_not_heard(records: Records):
    with capture_logs() as lines, listening(records, ("10.0.0.0/8",)) as port, connect(port) as opened:
        with suppress(OSError):
            opened.sendall(b"\x0b" + adt() + END)
        with suppress(ConnectionResetError):
            assert answer_of(opened) == b""
    assert "'reason': 'unknown_address', 'address': '127.0.0.1'" in str(lines) and "4711" not in str(lines)


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (adt(), "no_mllp"),
        (b"\x0b" + adt(), "cut"),
        (b"\x0b" + b"x" * 5_000_000, "too_long"),
    ],
)
def test_what_is_no_block_ends_the_connection_with_one_line(records: Records, sent: bytes, said: str):
    with capture_logs() as lines, listening(records) as port:
        with connect(port) as opened, suppress(OSError):
            opened.sendall(sent)
            opened.shutdown(socket.SHUT_WR)
            assert answer_of(opened) == b""
        with connect(port) as opened:  # and it goes on for others
            opened.sendall(b"\x0b" + adt(control="9") + END)
            assert b"MSA|AA|9" in answer_of(opened)
    (line,) = [line for line in lines if line["log_level"] != "info"]
    assert line == {"event": "hl7_ended", "reason": said, "peer": "hbys", "log_level": "warning"}


def test_a_slow_sender_is_not_waited_for(records: Records):
    with capture_logs() as lines, listening(records, slow=0.2) as port, connect(port) as opened:
        opened.sendall(b"\x0bMSH")
        assert answer_of(opened) == b""
    assert "silent" in str(lines)


def test_more_connections_than_allowed_are_refused(records: Records, monkeypatch: pytest.MonkeyPatch):
    with listening(records) as port, connect(port) as first:
        first.sendall(b"\x0b" + adt() + END)
        assert b"MSA|AA|1" in answer_of(first)
        monkeypatch.setattr(mllp, "_MOST_CONNECTIONS", 1)
        with connect(port) as second, suppress(ConnectionResetError):
            assert answer_of(second) == b""
        first.sendall(b"\x0b" + adt(control="2") + END)
        assert b"MSA|AA|2" in answer_of(first)


@pytest.mark.attack
def test_one_system_leaves_room_for_others(records: Records, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mllp, "_MOST_OF_A_PEER", 1)
    with listening(records) as port, connect(port) as first:
        first.sendall(b"\x0b" + adt() + END)
        assert b"MSA|AA|1" in answer_of(first)
        with connect(port) as second, suppress(ConnectionResetError):
            assert answer_of(second) == b""


@pytest.mark.attack
def test_a_stranger_gets_no_handshake(records: Records, tmp_path: Path):
    from tests.integrations.hl7.tls import certificates

    made = certificates(tmp_path)
    cert, key = str(made.cert), str(made.key)
    with (
        capture_logs() as lines,
        listening(records, ("10.0.0.0/8",), tls_cert=cert, tls_key=key) as port,
        connect(port) as opened,
    ):
        assert answer_of(opened) == b""  # ended without a word of the other side
    assert "'unknown_address', 'address': '127.0.0.1'" in str(lines)


@pytest.mark.attack
def test_a_handshake_is_not_waited_for(records: Records, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tests.integrations.hl7.tls import certificates

    monkeypatch.setattr(mllp, "_HANDSHAKE", 0.2)
    made = certificates(tmp_path)
    with (
        capture_logs() as lines,
        listening(records, tls_cert=str(made.cert), tls_key=str(made.key)) as port,
        connect(port) as opened,
        suppress(ConnectionResetError),
    ):
        assert answer_of(opened) == b""
    assert "hl7_ended" in str(lines) and "hbys" in str(lines)


def test_a_log_has_codes_and_nothing_of_a_patient(records: Records):
    with capture_logs() as lines, listening(records) as port, connect(port) as opened:
        opened.sendall(b"\x0b" + adt() + END + b"\x0b" + adt(control="2", name="") + END)
        answer_of(opened)
    (line,) = [line for line in lines if line["event"] == "hl7_taken"]
    assert (line["kind"], line["left_out"]) == ("ADT^A01", ("PV1-3",))
    assert not any(word in str(lines) for word in ("4711", "10000000146", "Gülçin", "1961"))


def test_with_an_authority_a_peer_has_to_show_its_certificate(records: Records, tmp_path: Path):
    from tests.integrations.hl7.tls import certificates

    made = certificates(tmp_path)
    with listening(records, tls_cert=str(made.cert), tls_key=str(made.key), tls_ca=str(made.ca)) as port:
        context = ssl.create_default_context(cafile=made.ca)
        with (
            connect(port) as plain,
            suppress(OSError),
            context.wrap_socket(plain, server_hostname="127.0.0.1") as opened,
        ):
            opened.sendall(b"\x0b" + adt() + END)
            assert answer_of(opened) == b""
        context.load_cert_chain(made.cert, made.key)
        with connect(port) as plain, context.wrap_socket(plain, server_hostname="127.0.0.1") as opened:
            opened.sendall(b"\x0b" + adt() + END)
            assert b"MSA|AA|1" in answer_of(opened)


# Results out


@contextmanager
def receiver(answer: Callable[[hl7.Message], str | None], got: list[hl7.Message]) -> Iterator[int]:
    """A system that gets results: another implementation's server; `answer` gives None for no answer."""
    port = free_port()

    async def one(reader: Any, writer: Any) -> None:
        with suppress(asyncio.IncompleteReadError):
            message = await reader.readmessage()
            got.append(message)
            text = answer(message)
            if text is not None:
                writer.writeblock(text.encode())
                await writer.drain()
        writer.close()

    async def serve(_: asyncio.Event) -> None:
        async with await start_hl7_server(one, "127.0.0.1", port, limit=1 << 22, encoding="utf-8") as made:
            await made.serve_forever()

    with looping(serve):
        connect(port).close()
        yield port


def peer_at(port: int, **more: Any) -> HospitalSystem:
    return HospitalSystem.model_validate({"name": "hbys", "hl7": f"127.0.0.1:{port}", **more})


def test_a_report_is_sent_and_its_acknowledgment_is_kept():
    got: list[hl7.Message] = []
    with receiver(lambda message: str(message.create_ack("AA")), got) as port:
        message = oru_for(peer_at(port), document(ReportState.FINAL))
        answer = send_oru(peer_at(port), message)
    assert (answer.outcome, answer.status) == (CallOutcome.DONE, "AA")
    (received,) = got
    assert str(received.segment("MSH")[9]) == "ORU^R01^ORU_R01" and str(received.segment("OBR")[25]) == "F"


@pytest.mark.parametrize(
    ("text", "outcome", "status"),
    [
        (
            "MSA|AE|{id}|Hasta yok\rERR||PID^1^3|204^Unknown key identifier|E",
            "permanent",
            "AE: Hasta yok 204",
        ),
        (
            "MSA|AR|{id}\rERR|PID^1^3^203&Unsupported version id",
            "permanent",
            "AR: 203 Unsupported version id",
        ),
        ("MSA|AE|{id}\rERR||PID^1|207^Application internal error|E", "transient", "AE: 207 Application"),
        ("MSA|AE|{id}\rERR|PID^1^3^207&Application internal error", "transient", "AE: 207 Application"),
        ("MSA|AR|{id}\rERR||PID|207|E", "permanent", "AR: 207"),
        ("MSA|AA|another", "transient", "the answer is to another message"),
        ("MSA|XX|{id}", "transient", "the answer has the unknown code XX"),
        ("PID|1", "transient", "the answer is to another message"),
        (None, "transient", "the connection ended before the answer"),
    ],
)
def test_what_a_receiver_says_decides_what_follows(text: str | None, outcome: str, status: str):
    got: list[hl7.Message] = []

    def said(message: hl7.Message) -> str | None:
        if text is None:
            return None
        head = "MSH|^~\\&|HBYS||TETKIK||20261101||ACK|1|P|2.5.1||||||UNICODE UTF-8\r"
        return head + text.replace("{id}", str(message.segment("MSH")[10])) + "\r"

    with receiver(said, got) as port:
        answer = send_oru(peer_at(port), oru_for(peer_at(port), document(ReportState.FINAL)))
    assert answer.outcome.value == outcome and answer.status.startswith(status), answer


def test_nobody_there_is_transient():
    answer = send_oru(peer_at(free_port()), adt())
    assert (answer.outcome, answer.status) == (CallOutcome.TRANSIENT, "ConnectionRefusedError")
    assert answer.for_all


def test_a_receiver_that_says_nothing_is_not_waited_for():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = send_oru(peer_at(silent.getsockname()[1]), adt(), seconds=0.2)
    assert (answer.outcome, answer.status) == (CallOutcome.TRANSIENT, "TimeoutError")
    assert not answer.for_all  # it may be this message alone that it cannot digest
