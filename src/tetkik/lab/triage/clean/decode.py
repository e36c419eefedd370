"""Bytes into lines of text, whatever encoding each line is in, and letters that were decoded wrongly.

Files grow by appending, so one file may hold UTF-8 and Windows-1254 lines: each line is decoded alone.
ISO-8859-9 has the letters of Windows-1254 in the same places.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tetkik.lab.triage.clean.rows import Repair

LONGEST_LINE = 4_000_000
"""A line longer than this, in bytes, is not read: only that line is lost."""

_BOMS = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}


def wide_encoding(head: bytes) -> str | None:
    """The encoding of a file with two or four bytes a letter, by its first bytes; else None."""
    for bom, name in _BOMS.items():
        if head.startswith(bom):
            return name
    sample = head[: len(head) // 2 * 2]
    zeros = [sample[start::2].count(0) / max(1, len(sample) // 2) for start in (0, 1)]
    # Turkish in UTF-16: nearly every second byte is 0 or 1, and none of the others is.
    if zeros[1] > 0.6 and zeros[0] < 0.05:
        return "utf-16-le"
    return "utf-16-be" if zeros[0] > 0.6 and zeros[1] < 0.05 else None


def lines(path: Path) -> Iterator[tuple[int, str | None, Repair | None]]:
    """Of each line the number from 1, the text (None where it is too long) and what it was mended from."""
    with path.open("rb") as file:
        head = file.read(65536)
    wide = wide_encoding(head)
    if wide:
        with path.open(encoding=wide, errors="replace", newline=_newline(head.replace(b"\0", b""))) as text:
            for number, line in enumerate(_capped(text), 1):
                whole = None if line is None else line.rstrip("\r\n").removeprefix("\ufeff")
                yield number, whole, Repair.UTF_16
        return
    with path.open(encoding="latin-1", newline=_newline(head)) as text:
        # Latin-1 maps each byte to one character and back: it splits lines without deciding anything.
        for number, line in enumerate(_capped(text), 1):
            if line is None:
                yield number, None, None
                continue
            decoded, repair = decode(line.rstrip("\r\n").encode("latin-1"))
            yield number, decoded.removeprefix("\ufeff") if number == 1 else decoded, repair


def _newline(head: bytes) -> str:
    return "\r" if b"\n" not in head and b"\r" in head else "\n"


def _capped(file: IO[str]) -> Iterator[str | None]:
    while line := file.readline(LONGEST_LINE):
        if len(line) < LONGEST_LINE or line.endswith(("\n", "\r")):
            yield line
            continue
        while (rest := file.readline(LONGEST_LINE)) and not rest.endswith(("\n", "\r")):
            pass
        yield None


def decode(line: bytes) -> tuple[str, Repair | None]:
    """One line as UTF-8, else as Windows-1254, else byte by byte where both stand in it."""
    try:
        return line.decode("utf-8"), None
    except UnicodeDecodeError:
        mixed = line.decode("utf-8", "surrogateescape")
    strays = sum("\udc80" <= char <= "\udcff" for char in mixed)
    good = sum(char > "\x7f" for char in mixed) - strays
    if strays >= good:
        return "".join(_CP1254[byte] for byte in line), Repair.WINDOWS_1254
    restored = (_CP1254[ord(char) - 0xDC00] if "\udc80" <= char <= "\udcff" else char for char in mixed)
    return "".join(restored), Repair.WINDOWS_1254


def _byte_table(encoding: str) -> list[str]:
    """The character of each byte; where the encoding has none, that of Latin-1."""
    decoded = (bytes([byte]).decode(encoding, "ignore") for byte in range(256))
    return [character or chr(byte) for byte, character in enumerate(decoded)]


_CP1254 = _byte_table("cp1254")
_CONTINUATION = {
    table[byte]: byte
    for table in (_CP1254, _byte_table("cp1252"), _byte_table("latin-1"))
    for byte in range(128, 192)
}
_LETTERS = frozenset("çğıöşüÇĞİÖŞÜâîûÂÎÛéÉ’‘“”–—…°•·²³´«»½€\u00a0\u200b\u200c\u200d")
_TAIL = "[" + re.escape("".join(_CONTINUATION)) + "]"
_MOJIBAKE = re.compile(f"[ÂÃÄÅ]{_TAIL}|â{_TAIL}{{2}}")
_LEAD = {"Â": 0xC2, "Ã": 0xC3, "Ä": 0xC4, "Å": 0xC5, "â": 0xE2}
_WESTERN = str.maketrans("þýðÞÝÐ", "şığŞİĞ")


def restore(text: str) -> str:
    """Letters that were decoded wrongly before the file was written, put right.

    UTF-8 read as Windows-1252 or -1254 (`"ÅŸiÅŸ"` → `"şiş"`), even twice over, and Windows-1254 read as
    Windows-1252 (`"þiþ"` → `"şiş"`). Only sequences that give a letter or sign in Turkish use are touched.
    """
    for _ in range(3):
        if not _MOJIBAKE.search(text):
            break
        text, before = _MOJIBAKE.sub(_restored, text), text
        if text == before:
            break
    if any(char in text for char in "þýðÞÝÐ") and not any(char in text for char in "şığŞİĞ"):
        text = text.translate(_WESTERN)
    return text


def _restored(match: re.Match[str]) -> str:
    piece = match[0]
    raw = bytes([_LEAD[piece[0]], *(_CONTINUATION[char] for char in piece[1:])])
    try:
        letter = raw.decode("utf-8")
    except UnicodeDecodeError:
        return piece
    # Wrongly decoded twice, the first turn gives signs that only the second makes letters.
    return letter if letter in _LETTERS or letter in _LEAD or letter in _CONTINUATION else piece
