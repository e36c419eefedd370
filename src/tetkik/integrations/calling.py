"""How other systems are called: TLS with the certificate of `[listen]`, HTTP to fixed addresses."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

import httpx

from tetkik.integrations.systems import Configuration, DicomListener, Hl7Listener, HospitalSystem
from tetkik.report.llm.clients import FixedTransport, addresses_of, are_inside
from tetkik.settings import Settings

# TLS of the connections, with the certificates of a listener: as a server and as a client.


def server_context(listener: DicomListener | Hl7Listener) -> ssl.SSLContext | None:
    """TLS 1.2 or newer (PS3.15 B.9), with certificates of callers where an authority is named; or None.

    Raises:
        OSError, ssl.SSLError: a file cannot be used.
    """
    if listener.tls_cert is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(listener.tls_cert, listener.tls_key)
    if listener.tls_ca is not None:
        context.load_verify_locations(listener.tls_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(listener: DicomListener | Hl7Listener | None) -> ssl.SSLContext:
    """Trusts the hospital's authority, or those of the system without one; shows our certificate.

    Raises:
        OSError, ssl.SSLError: a file cannot be used.
    """
    context = ssl.create_default_context(cafile=listener.tls_ca if listener is not None else None)
    if listener is not None and listener.tls_cert is not None:
        context.load_cert_chain(listener.tls_cert, listener.tls_key)
    return context


OWN_TITLE = "TETKIK"
_SECONDS = httpx.Timeout(60, connect=10)
LONGEST_CALL = 300.0
"""Seconds for what is sent in one go and its answer: less than until the outbox counts it as not sent."""


def own_title(systems: Configuration) -> str:
    """Our AE title, as that of the listener."""
    return systems.listen.ae_title if systems.listen is not None else OWN_TITLE


def http_transport(systems: Configuration, url: str) -> httpx.BaseTransport:
    """Connects to the system of an address alone, with our certificate.

    Raises:
        httpx.ConnectError: an address outside the hospital without TLS.
        OSError, ssl.SSLError: a certificate cannot be read.
    """
    parts = urlsplit(url)
    addresses = addresses_of(parts.hostname or "")
    if parts.scheme != "https" and addresses and not are_inside(addresses):
        raise httpx.ConnectError("http without TLS to a system outside the hospital")
    return FixedTransport(addresses, client_context(systems.listen))


def http_client(systems: Configuration, peer: HospitalSystem, url: str, settings: Settings) -> httpx.Client:
    """A client for the address of a system, with its secret; a redirect counts as refused.

    Raises:
        as `http_transport` and `Peer.authorization`.
    """
    return httpx.Client(
        base_url=url.rstrip("/") + "/",
        transport=http_transport(systems, url),
        headers=peer.authorization(settings),
        timeout=_SECONDS,
        follow_redirects=False,
        trust_env=False,
    )


# What another system said of an object or a message that was sent to it.


LONGEST_STATUS = 200
"""Characters of a peer's words that are kept."""


class CallOutcome(StrEnum):
    """What follows from an answer."""

    DONE = "done"
    """The peer has it."""
    TRANSIENT = "transient"
    """Not now: it is tried again, later each time."""
    PERMANENT = "permanent"
    """Never as it is: it is set aside until a person sends it again."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An outcome with the peer's own status: `0000H`, `HTTP 409: …`, `AE: …`; without words of a patient.

    Where nobody answered the status says what was wrong with the connection: `no connection`.
    `retry_after` is in seconds, where the peer named a time. `for_all`: whatever else goes to this peer now
    would have the same answer, because nobody is there, or it is full.
    """

    outcome: CallOutcome
    status: str
    retry_after: float | None = None
    for_all: bool = False

    def __post_init__(self) -> None:
        printable = "".join(char if char.isprintable() else " " for char in self.status)
        object.__setattr__(self, "status", " ".join(printable.split())[:LONGEST_STATUS])

    @classmethod
    def done(cls, status: str) -> Answer:
        return cls(CallOutcome.DONE, status)

    @classmethod
    def transient(cls, status: str, retry_after: float | None = None) -> Answer:
        return cls(CallOutcome.TRANSIENT, status, retry_after)

    @classmethod
    def unavailable(cls, status: str, retry_after: float | None = None) -> Answer:
        """Transient, and not the object's fault."""
        return cls(CallOutcome.TRANSIENT, status, retry_after, for_all=True)

    @classmethod
    def permanent(cls, status: str) -> Answer:
        return cls(CallOutcome.PERMANENT, status)


_STORED = frozenset({0x0000, 0xB000, 0xB006, 0xB007, 0x0111})
"""Success; stored with a warning (PS3.4, table B.2-1); stored before: a UID is of one object alone."""
_NOT_NOW = frozenset({0x0110, 0x0210, 0x0213})
"""Processing failure, duplicate invocation, resource limitation (PS3.7, annex C)."""
BUSY = frozenset({429, 503})
"""Of HTTP: the server takes nothing at all now (RFC 6585, section 4; RFC 9110, section 15.6.4)."""


def answer_of_fault(error: Exception) -> Answer:
    """What follows from a call that failed: where there was no connection, nothing else arrives either."""
    nobody = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError))
    return (Answer.unavailable if nobody else Answer.transient)(type(error).__name__)


def answer_of_store(status: int, comment: str = "") -> Answer:
    """What a status of C-STORE means; A7xx is out of resources, any other failure stays one."""
    words = f"{status:04X}H {comment}"
    if status in _STORED:
        return Answer.done(words)
    if status >> 8 == 0xA7:
        return Answer.unavailable(words)
    if status in _NOT_NOW:
        return Answer.transient(words)
    return Answer.permanent(words)
