"""Whether a phone asks: its display is no diagnostic one, and it is lost more easily than a desk."""

from __future__ import annotations

from starlette.datastructures import Headers


def is_phone(headers: Headers) -> bool:
    """By the client hint (W3C User-Agent Client Hints, 3.4), or by the word that browsers of phones say."""
    return headers.get("sec-ch-ua-mobile") == "?1" or "Mobi" in headers.get("user-agent", "")
