"""A QR code as a part of a page, drawn as squares: sharp at any size."""

from __future__ import annotations

import segno
from reportlab.platypus import Flowable

_QUIET_ZONE = 2


class QrCode(Flowable):  # type: ignore[misc]
    """A QR code (ISO/IEC 18004) of `content`."""

    def __init__(self, content: str, side: float) -> None:
        super().__init__()
        self._rows = [bytes(row) for row in segno.make_qr(content, error="m").matrix]
        self.width = self.height = side

    def wrap(self, *_: object) -> tuple[float, float]:
        """Its width and height in points."""
        return self.width, self.height

    def draw(self) -> None:
        """Each run of dark modules as one rectangle."""
        cell = self.width / (len(self._rows) + 2 * _QUIET_ZONE)
        for down, row in enumerate(self._rows):
            bottom = self.height - (down + 1 + _QUIET_ZONE) * cell
            start = None
            for place, dark in enumerate([*row, 0]):
                if dark and start is None:
                    start = place
                elif not dark and start is not None:
                    left = (start + _QUIET_ZONE) * cell
                    self.canv.rect(left, bottom, (place - start) * cell, cell, stroke=0, fill=1)
                    start = None
