"""From an image to what it shows."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from tetkik.bundle import CachedModel, ModelCache
from tetkik.values import CaptionResult, FindingsResult, Radiograph

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    from tetkik.caption.predict import Captioner
    from tetkik.findings.heatmaps import Heatmaps
    from tetkik.findings.predict import Findings


_PREVIEW = 320
"""Longer side of a preview, in pixels."""
_PNG_COLOURS = MappingProxyType({1: 0, 3: 2, 4: 6})
"""Colour types of PNG by the bytes of a pixel."""
_UP = 2
"""The filter type of the row above."""


@dataclass(frozen=True, eq=False)
class FindingsModel:
    """A model of findings as it is loaded, with everything around it."""

    findings: Findings

    @cached_property
    def heatmaps(self) -> Heatmaps:
        """The best way to say where it looked: found out once, for that takes a run of the network."""
        from tetkik.findings.heatmaps import heatmaps_for

        return heatmaps_for(self.findings.model)


def _load_findings(model: str) -> FindingsModel:
    # Reading images takes libraries that triage does without.
    from tetkik.findings.predict import load_findings

    return FindingsModel(load_findings(model))


_FINDINGS: ModelCache[FindingsModel] = ModelCache(_load_findings)


def load_findings_model(model: str) -> CachedModel[FindingsModel]:
    """A model of findings as it is on the disk now, loaded once and kept; whoever has it goes on with it."""
    return _FINDINGS.get(model)


def read_radiograph(path: Path | str, model: str) -> FindingsResult:
    """Answer one image: what kind it is, whether it may be read, what it shows."""
    return load_findings_model(model).model.findings.predict(path)


def _load_caption(model: str) -> Captioner:
    # Captioners run on torch, which nothing else here needs.
    from tetkik.caption.predict import load_caption

    return load_caption(model)


_CAPTIONERS: ModelCache[Captioner] = ModelCache(_load_caption)


def caption_image(path: Path | str, model: str) -> CaptionResult:
    """What a captioner says of one image: an input of low authority.

    A report may quote it, as what a machine has said; it never adds a finding, confirms one, or takes one
    away. No captioner ships with Tetkik, and a report does without.
    """
    return _CAPTIONERS.get(model).model.predict(path)


def preview_of(image: Radiograph) -> bytes:
    """The image as a small 8-bit PNG, for lists."""
    from PIL import Image

    from tetkik.findings.preprocess import picture_of

    if image.display is not None and image.display.is_colour:
        picture = Image.fromarray(image.display.values)
        picture.thumbnail((_PREVIEW, _PREVIEW))
        return png_of(picture)
    return png_of(Image.fromarray(picture_of(image, _PREVIEW)))


def png_of(picture: Picture) -> bytes:
    """A picture in grey, RGB or RGBA, of 8 bits, as PNG.

    Every row is filtered by the row above and packed in runs (W3C PNG, 9.2): Pillow, which tries each filter
    on each row, takes several times as long for the same size.
    """
    pixels = np.asarray(picture)
    rows, columns = pixels.shape[:2]
    flat = pixels.reshape(rows, -1)
    step = flat.shape[1] // columns
    lines = np.full((rows, 1 + flat.shape[1]), _UP, np.uint8)
    lines[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=lines[1:, 1:])
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    head = struct.pack(">2I5B", columns, rows, 8, _PNG_COLOURS[step], 0, 0, 0)
    packed = packer.compress(lines.data) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", head) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
