"""How other systems are called: TLS with the certificate of `[listen]`, HTTP to fixed addresses."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from tetkik.integrations.configuration import Configuration, Peer
from tetkik.integrations.tls import client_context
from tetkik.report.llm.addresses import FixedTransport, addresses_of, are_inside
from tetkik.settings import Settings

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


def http_client(systems: Configuration, peer: Peer, url: str, settings: Settings) -> httpx.Client:
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
