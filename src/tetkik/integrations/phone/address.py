"""The address that phones open, and what the Android package of it is called."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from tetkik.errors import UsageError

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_LONGEST = 253
"""Characters of a host name (RFC 1035, 2.3.4)."""


@dataclass(frozen=True, slots=True)
class HospitalAddress:
    """Where the reading room is: `https`, a host, maybe a port."""

    host: str
    """In lower case; of an international name its ASCII form (RFC 5891)."""
    port: int = 443

    @property
    def origin(self) -> str:
        return f"https://{self.host}" + (f":{self.port}" if self.port != 443 else "")

    @property
    def url(self) -> str:
        return f"{self.origin}/"

    @property
    def is_name(self) -> bool:
        """Whether it is a name: passkeys belong to no IP address (Web Authentication, 5.1.2)."""
        return not _is_ip(self.host)

    @property
    def package(self) -> str:
        """The application id: the host backwards in names for Android, such as `tr.gov.hastane.phone`."""
        labels = self.host.split(".")[::-1]
        parts = [re.sub(r"^(?![a-z])", "n", label.replace("-", "_")) for label in labels]
        parts += [f"p{self.port}"] if self.port != 443 else []
        return ".".join([*parts, "phone"])


def parse_address(url: str) -> HospitalAddress:
    """The address that somebody typed; `UsageError` where phones cannot open it."""
    fault = UsageError(
        "{url} is no address that phones can open; give it with https and a host, such as "
        "https://tetkik.hastane.gov.tr.",
        url=url[:200],
    )
    try:
        parts = urlsplit(url)
        port = parts.port or 443
        host = (parts.hostname or "").encode("idna").decode("ascii").lower().rstrip(".")
    except ValueError:
        raise fault from None
    spare = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    plain = all(map(_LABEL.fullmatch, host.split("."))) and len(host) <= _LONGEST
    if parts.scheme != "https" or spare or not plain or any(char <= " " or char == "\\" for char in url):
        raise fault
    return HospitalAddress(host, port)


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
