"""A report's pictures, opened as what every document can hold: 8 bits, grey or RGB."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def opened(content: bytes) -> Image.Image:
    """A PNG or JPEG in the mode `L` or `RGB`: of 16 bits the upper 8, transparency shows white."""
    with Image.open(io.BytesIO(content)) as picture:
        if picture.mode in {"1", "L"}:
            return picture.convert("L")
        if picture.mode.startswith("I"):
            return Image.fromarray((np.asarray(picture, np.uint32) >> 8).astype(np.uint8))
        if "A" in picture.getbands() or "transparency" in picture.info:
            clear = picture.convert("RGBA")
            return Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB")
        return picture.convert("RGB")
