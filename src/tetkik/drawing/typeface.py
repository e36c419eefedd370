"""The typeface of legends and documents: a part of DejaVu Sans that has every Turkish letter.

Pillow's own typeface lacks ğ, ş and ı, and a hospital's server may have no other.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from io import BytesIO

from PIL import ImageFont


def font_file(*, bold: bool) -> Traversable:
    """DejaVu Sans for Latin, Greek and Cyrillic letters as a TrueType file."""
    return resources.files("tetkik.drawing") / "font" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


@cache
def typeface(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans in `size` pixels."""
    return ImageFont.truetype(BytesIO(font_file(bold=False).read_bytes()), size)


def wrapped(text: str, size: int, width: int) -> list[str]:
    """`text` in lines that are at most `width` pixels wide, as far as its words allow."""
    lines: list[str] = []
    for word in text.split():
        if lines and typeface(size).getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines
