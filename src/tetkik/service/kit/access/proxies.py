"""Reverse proxies: the forwarded address and scheme count where the proxy is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from tetkik.errors import SettingError

Network = IPv4Network | IPv6Network


def networks(text: str) -> tuple[Network, ...]:
    """The networks that the setting `trusted_proxies` names."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise SettingError(
            "The setting trusted_proxies names what is no address or network ({text}); write such as "
            "127.0.0.1, 10.1.0.0/16.",
            text=text,
        ) from None


def trusts(trusted: Sequence[Network], address: str) -> bool:
    """Whether an address is that of a trusted proxy."""
    return _is_address(address) and any(ip_address(address) in network for network in trusted)


class TrustedProxyMiddleware:
    """Takes the browser's address and scheme from a trusted proxy's word, and from nobody else's.

    Of `X-Forwarded-For` the last address counts that is no trusted proxy itself: everything before it is what
    the browser said.
    """

    def __init__(self, app: ASGIApp, *, trusted: Sequence[Network]) -> None:
        self._app = app
        self._trusted = trusted

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client") and trusts(self._trusted, scope["client"][0]):
            headers = Headers(scope=scope)
            scheme = headers.get("x-forwarded-proto", "").strip().lower()
            if scheme in ("http", "https"):
                scope["scheme"] = scheme
            address = self._browser(headers.getlist("x-forwarded-for"))
            if address is not None:
                scope["client"] = (address, 0)
        await self._app(scope, receive, send)

    def _browser(self, lines: list[str]) -> str | None:
        addresses = [part.strip() for part in ",".join(lines).split(",") if part.strip()]
        for address in reversed(addresses):
            if not _is_address(address):
                return None
            if not trusts(self._trusted, address):
                return address
        return None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
