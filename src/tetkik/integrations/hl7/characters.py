"""The character set of a message: what MSH-18 declares (table 0211), and what the bytes really are."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType

_DECLARED = MappingProxyType(
    {
        "": "utf-8",
        "ASCII": "utf-8",
        "UNICODE": "utf-8",
        "UNICODE UTF-8": "utf-8",
        "UTF-8": "utf-8",
        "8859/1": "latin-1",
        "8859/9": "iso8859_9",
        "ISO IR192": "utf-8",
        "ISO IR100": "latin-1",
        "ISO IR148": "iso8859_9",
        "WINDOWS-1254": "cp1254",
        "CP1254": "cp1254",
    }
)
"""Codecs by MSH-18; without one a message is ASCII, of which UTF-8 holds all."""
_REALLY = MappingProxyType(
    {"ISO_IR 6": "utf-8", "ISO_IR 100": "latin-1", "ISO_IR 148": "iso8859_9", "ISO_IR 192": "utf-8"}
)
_TURKISH = re.compile(rb"[\xd0\xdd\xde\xf0\xfd\xfe]")
"""Where Latin-5 has Ğ İ Ş ğ ı ş and Latin-1 the Icelandic Ð Ý Þ ð ý þ, which no Turkish name has."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How bytes were read, and whether that is not what was declared."""

    name: str
    repaired: bool


def decoded(data: bytes, declared: str, really: str | None) -> tuple[str, Codec]:
    """The text of a message, and how it was read.

    A sender whose setting says what it really writes is read so, unless the bytes are UTF-8 beyond ASCII,
    which no other text is by chance. Any other is believed where its bytes can be what it declares and are
    no Turkish under a wrong name; else they are UTF-8 where they can be, and Turkish Windows' (cp1254).
    """
    said = _DECLARED.get(declared.upper().replace("_", " "))
    if data.isascii():
        return data.decode("ascii"), Codec(said or "utf-8", False)
    try:
        return data.decode("utf-8"), Codec("utf-8", said != "utf-8" or not declared)
    except UnicodeDecodeError:
        pass
    known = _REALLY.get(really or "", said)
    if known in (None, "utf-8") or (known == "latin-1" and _TURKISH.search(data)):
        known = "cp1254"
    codec = Codec(known or "cp1254", known != said)
    return data.decode(codec.name, "replace"), codec
