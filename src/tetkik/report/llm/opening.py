"""Which language model is called, and whether it may be: nothing leaves the hospital without permission."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from tetkik.choices import ImageSharing
from tetkik.errors import MissingExtra, PermissionNeeded, UsageError
from tetkik.report.llm.interface import LanguageModel
from tetkik.settings import settings

GEMINI = "gemini"


def open_model(url: str | None = None) -> LanguageModel | None:
    """The language model of the settings, or of `url`; None where none is configured: the default.

    Args:
        url: of an OpenAI-style server up to `/v1`, or `gemini`.

    Raises:
        UsageError: no such kind of address, or http to one outside the hospital.
        PermissionNeeded: it is outside the hospital and the setting `llm_outside` is off.
        MissingExtra: its client is not installed.
    """
    chosen = settings()
    url = chosen.llm_url if url is None else url
    if not url:
        return None
    key = chosen.llm_key.get_secret_value() if chosen.llm_key is not None else ""
    if url == GEMINI:
        _allow_outside(url)
        from tetkik.report.llm.clients import Gemini

        return Gemini(chosen.llm_model, key, max_tokens=chosen.llm_max_tokens)
    parts = _parts(url)
    if parts is None or parts.hostname is None:
        raise UsageError(
            "The language model {url} is no address that can be used; give one such as "
            "http://localhost:8000/v1, or gemini.",
            url=_without_secrets(url),
        )
    try:
        from tetkik.report.llm.clients import OpenAIServer, addresses_of, are_inside
    except ImportError:
        raise MissingExtra("A language model needs the package httpx; `{extra}`.", extra="llm") from None
    addresses = addresses_of(parts.hostname)
    inside = are_inside(addresses)
    if not inside:
        _allow_outside(parts.hostname)
        if parts.scheme != "https":
            raise UsageError(
                "The language model {name} is outside this hospital, and http would send it texts that "
                "anybody on the way can read; give an address that begins with https.",
                name=parts.hostname,
            )
    images = chosen.llm_images is ImageSharing.OUTSIDE or (
        inside and chosen.llm_images is ImageSharing.INSIDE
    )
    return OpenAIServer(
        url, addresses, chosen.llm_model, key, max_tokens=chosen.llm_max_tokens, images=images
    )


def _allow_outside(name: str) -> None:
    if not settings().llm_outside:
        raise PermissionNeeded(
            "The language model {name} is outside this hospital, and nothing may leave it; an administrator "
            "can allow it with the setting llm_outside.",
            name=name,
        )


def _parts(url: str) -> SplitResult | None:
    """The parts of an address that a client can be given, else None."""
    try:
        parts = urlsplit(url)
        port_is_one = parts.port != 0  # to ask for it raises where it is no number up to 65535
    except ValueError:
        return None
    plain = parts.scheme in {"http", "https"} and parts.hostname and port_is_one
    return parts if plain and not (parts.username or parts.password or parts.query) else None


def _without_secrets(url: str) -> str:
    """What can be shown of an address that is none: no name or password before an @, no query."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        scheme, rest = "", url
    return scheme + mark + rest.rpartition("@")[2].partition("?")[0].partition("#")[0]
