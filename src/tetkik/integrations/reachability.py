"""Whether the hospital's systems answer, each asked in the ways in which we call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from tetkik.integrations.calling import http_client, own_title
from tetkik.integrations.configuration import Configuration, Peer
from tetkik.integrations.hl7.client import connected
from tetkik.integrations.tls import client_context
from tetkik.language import Sentence
from tetkik.settings import Settings

_SECONDS = 5.0
_MOST = 16
"""Questions at a time."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How a system was asked, and whether it answered."""

    name: str
    how: str
    address: str
    answers: bool

    @property
    def sentence(self) -> Sentence:
        values = {"name": self.name, "how": self.how, "address": self.address}
        if self.answers:
            return Sentence("{name} answers ({how}, {address}).", values)
        return Sentence("{name} does not answer ({how}, {address}).", values)


def probe(systems: Configuration, settings: Settings) -> tuple[Probe, ...]:
    """Ask every system: C-ECHO (PS3.4 annex A), a connection for MLLP, the capabilities of FHIR, QIDO-RS."""

    def answer(question: tuple[Peer, str, str, Callable[[], bool]]) -> Probe:
        peer, how, address, ask = question
        try:
            answers = ask()
        except Exception:  # whatever is wrong with it: the name, the certificate, the secret, the answer
            answers = False
        return Probe(peer.name, how, address, answers)

    with ThreadPoolExecutor(_MOST) as pool:
        return tuple(pool.map(answer, _questions(systems, settings)))


def _questions(
    systems: Configuration, settings: Settings
) -> Iterator[tuple[Peer, str, str, Callable[[], bool]]]:
    for peer in systems.peers:
        if peer.host is not None:
            yield peer, "C-ECHO", f"{peer.host}:{peer.port}", partial(_echoes, systems, peer)
        if peer.hl7 is not None:
            yield peer, "MLLP", peer.hl7, partial(_connects, systems, peer)
        for how, url, path in (
            ("DICOMweb", peer.dicomweb, "studies?limit=1"),
            ("FHIR", peer.fhir, "metadata?_summary=true"),
        ):
            if url is not None:
                yield peer, how, url, partial(_gives, systems, peer, url, path, settings)


def _echoes(systems: Configuration, peer: Peer) -> bool:
    from pynetdicom import AE  # costs half a second, and not every installation has it

    ae = AE(own_title(systems))
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = _SECONDS
    ae.add_requested_context("1.2.840.10008.1.1")
    assert peer.host is not None
    tls = (client_context(systems.listen), peer.host) if peer.tls else None
    assoc = ae.associate(peer.host, peer.port, ae_title=peer.ae_title or "ANY-SCP", tls_args=tls)
    if not assoc.is_established:
        return False
    status = assoc.send_c_echo()
    assoc.release()
    return bool(status) and status.Status == 0x0000


def _connects(systems: Configuration, peer: Peer) -> bool:
    with connected(peer, systems.hl7, _SECONDS):
        return True


def _gives(systems: Configuration, peer: Peer, url: str, path: str, settings: Settings) -> bool:
    """Whether it answers a question with success; what it answers is not read, for it names patients."""
    with (
        http_client(systems, peer, url, settings) as client,
        client.stream("GET", path, timeout=_SECONDS) as response,
    ):
        return response.is_success
