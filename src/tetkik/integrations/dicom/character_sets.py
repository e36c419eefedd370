"""Text in the character set that its bytes are in, whatever its sender declares.

Scanners declare ISO_IR 100 (Latin-1) and write ISO_IR 148 (Latin-5, Turkish), UTF-8 or Windows-1254: `ŞAHİN`
then reads `ÞAHÝN`. Bytes that are UTF-8 are hardly ever anything else, so they are read as such; the others
follow the setting of the peer (`character_set`), and nothing but a setting overrides a declaration that can
be true. Declarations are those of DICOM (Specific Character Set, PS3.3 C.12.1.1.2) or of HL7 (table 0211).
"""

from __future__ import annotations

import codecs
from contextlib import suppress
from dataclasses import dataclass, field

from pydicom.charset import python_encoding

TURKISH = "ISO_IR 148"
_TURKISH_CODEC = "cp1254"
"""Windows-1254 holds ISO 8859-9, and has signs where that has control characters."""
_LATIN_1 = frozenset({"latin_1", "iso8859"})
_CODECS = {
    **{name: codec for name, codec in python_encoding.items() if name},
    "ISO_IR 6": "ascii",  # pydicom reads Latin-1, which is more than the standard has there
    "ISO 2022 IR 6": "ascii",
    TURKISH: _TURKISH_CODEC,
    "ISO 2022 IR 148": _TURKISH_CODEC,
    "WINDOWS-1254": _TURKISH_CODEC,
    "CP1254": _TURKISH_CODEC,
    "UTF-8": "utf-8",
    "ASCII": "ascii",
    "8859/9": _TURKISH_CODEC,
    "8859/1": "latin_1",
    **{f"8859/{part}": f"iso8859_{part}" for part in (2, 3, 4, 5, 6, 7, 8, 15)},
    "UNICODE UTF-8": "utf-8",
}
_OTHER_IN_TURKISH = frozenset("ÝýÞþÐð")
"""What Latin-1 has in the places where Latin-5 has İ ı Ş ş Ğ ğ; the two differ in nothing else."""


@dataclass(frozen=True, slots=True)
class DecodedText:
    text: str = field(repr=False)
    repaired: bool = False
    """Whether the declaration makes another text of the bytes, or none."""
    proposed: str | None = None
    """What the bytes seem to be in, where the text stands as declared and looks wrong."""


def codec_of(name: str) -> str | None:
    """The codec of a character set by its name in DICOM or HL7; None for one that is not known."""
    return _CODECS.get(" ".join(name.upper().split()))


def load_codecs() -> None:
    """Have every codec at hand: where a process may open no file any more, Python cannot import one."""
    for codec in set(_CODECS.values()):
        codecs.lookup(codec)


def decode_text(raw: bytes, declared: str | None, really: str | None = None) -> DecodedText:
    """The text of bytes.

    Args:
        declared: the first character set that the sender names; None or empty for none.
        really: what the setting of the peer says that its text is in.
    """
    if raw.isascii():
        return DecodedText(raw.decode("ascii"))
    stated = _decoded(raw, codec_of(declared or "ASCII"))
    actual = _decoded(raw, "utf-8")
    if actual is None and really:
        actual = _decoded(raw, codec_of(really))
    if actual is not None:
        return DecodedText(actual, repaired=actual != stated)
    if stated is None:
        return DecodedText(raw.decode(_TURKISH_CODEC, "replace"), repaired=True, proposed=TURKISH)
    is_suspect = codec_of(declared or "") in _LATIN_1 and not _OTHER_IN_TURKISH.isdisjoint(stated)
    return DecodedText(stated, proposed=TURKISH if is_suspect else None)


def repair_text(raw: bytes, declared: str | None, really: str | None = None) -> str:
    """The text alone."""
    return decode_text(raw, declared, really).text


def _decoded(raw: bytes, codec: str | None) -> str | None:
    with suppress(UnicodeDecodeError):
        return raw.decode(codec) if codec is not None else None
    return None
