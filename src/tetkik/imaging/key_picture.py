"""An image as a report shows it: in the window that the radiologist looked through, as a PNG of 8 bits."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np

from tetkik.values import Radiograph

_LONGEST = 1200
"""Pixels of the longer side: a hundred millimetres of paper at 300 to the inch."""


@dataclass(frozen=True, slots=True)
class ShownWindow:
    """What a viewer shows of an image, in parts of its white; the whole range by itself."""

    centre: float = 0.5
    width: float = 1.0
    inverted: bool = False


def key_picture(image: Radiograph, window: ShownWindow | None = None) -> bytes:
    """The image with square pixels, at most 1,200 on its longer side."""
    from PIL import Image

    window = window or ShownWindow()
    levels = np.arange(image.white + 1) / image.white
    shades = np.clip((levels - window.centre) / max(window.width, 1e-4) + 0.5, 0, 1)
    table = np.round((1 - shades if window.inverted else shades) * 255).astype(np.uint8)
    picture = Image.fromarray(table[image.pixels])
    row, column = image.spacing or (1.0, 1.0)
    width, height = image.columns * max(1.0, column / row), image.rows * max(1.0, row / column)
    scale = min(1.0, _LONGEST / max(width, height))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    if size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
    packed = io.BytesIO()
    picture.save(packed, "PNG", compress_level=3)
    return packed.getvalue()
