"""Where a name leads: looked up once, judged, and connected to as it was judged.

A name that is looked up again for the connection may lead elsewhere by then (DNS rebinding).
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Sequence

import httpx


def addresses_of(host: str) -> tuple[str, ...]:
    """The addresses of a host, in the order in which they are to be tried; empty where it is not known."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def are_inside(addresses: Sequence[str]) -> bool:
    """Whether all of them, and there is one, are this machine's or of a private network (RFC 1918, 4193)."""
    known = [ipaddress.ip_address(text.split("%", 1)[0]) for text in addresses]
    return bool(known) and all(item.is_private and not item.is_unspecified for item in known)


class FixedTransport(httpx.HTTPTransport):
    """Connects to these addresses alone, the first that answers; TLS asks for a certificate of the name."""

    def __init__(self, addresses: Sequence[str], verify: ssl.SSLContext | bool = True) -> None:
        super().__init__(verify=verify, trust_env=False)
        self._addresses = tuple(addresses)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """As that of `httpx.HTTPTransport`. The header Host keeps the name."""
        name = request.url.raw_host.decode("ascii")
        fault: httpx.TransportError = httpx.ConnectError("no such host", request=request)
        for address in self._addresses:
            extensions = {**request.extensions, "sni_hostname": name}
            there = httpx.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,
                stream=request.stream,
                extensions=extensions,
            )
            try:
                return super().handle_request(there)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                fault = error
        raise fault
