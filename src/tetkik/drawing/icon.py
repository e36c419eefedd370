"""The mark of Tetkik as a PNG, for home screens: the drawing of `service/static/favicon.svg`, in any size."""

from __future__ import annotations

from functools import cache
from io import BytesIO

from PIL import Image, ImageDraw

TEAL = "#16707a"
_SIDE = 84
"""Of the drawing, in its own units."""
_FINER = 4
_SAFE = 0.72
"""The share of a maskable icon that the drawing takes: launchers may cut to a circle of 80% (W3C)."""


@cache
def icon(side: int, *, maskable: bool = False) -> bytes:
    """A square PNG of `side` pixels; maskable: without corners, and with room for a launcher to cut."""
    shown = _SAFE if maskable else 1.0
    scale = side * _FINER / _SIDE * shown
    shift = side * _FINER * (1 - shown) / 2

    def at(*numbers: float) -> list[float]:
        return [number * scale + shift for number in numbers]

    image = Image.new("RGBA", (side * _FINER, side * _FINER), TEAL if maskable else (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    if not maskable:
        draw.rounded_rectangle(at(0, 0, _SIDE, _SIDE), 18 * scale, fill=TEAL)
    draw.rounded_rectangle(at(12, 18, 72, 58), 10 * scale, fill="#ffffff")
    draw.polygon(at(30, 57, 43, 57, 30, 69), fill="#ffffff")
    for across, colour in ((28, "#d9534f"), (42, "#e0a030"), (56, "#3fa66b")):
        draw.ellipse(at(across - 5.5, 32.5, across + 5.5, 43.5), fill=colour)
    written = BytesIO()
    image.resize((side, side), Image.Resampling.LANCZOS).save(written, "PNG", optimize=True)
    return written.getvalue()
