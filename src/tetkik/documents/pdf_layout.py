"""The sheet that a report is printed on: typeface, colours, styles, and what stands on every page.

Dark ink on white, one column of text, nothing that only colour tells: made for paper as well as for a screen.
"""

from __future__ import annotations

import io
import math
from functools import cache
from typing import Any
from xml.sax.saxutils import escape

import segno
from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor, white
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.lib.utils import simpleSplit
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import Flowable, Image, Paragraph

from tetkik.documents.parts import (
    WITHDRAWN,
    date_words,
    disclaimer,
    identifiers_of,
    patient_name,
    state_words,
    withdrawal_words,
)
from tetkik.documents.picture import opened
from tetkik.drawing.typeface import font_file
from tetkik.values import ReportDocument, ReportState
from tetkik.values.common import one_line

REGULAR, BOLD = "DejaVuSans", "DejaVuSans-Bold"
INK, QUIET, LINE = HexColor(0x22303C), HexColor(0x5F6B76), HexColor(0xD9DEE3)
MAIN, CAUTION = HexColor(0x1F6F8B), HexColor(0x8A4B00)
STOP = HexColor(0x9B1C1C)
MARGIN, TOP, BOTTOM = 18 * mm, 15 * mm, 21 * mm
WIDTH = A4[0] - 2 * MARGIN
HEIGHT = A4[1] - TOP - BOTTOM
_QUIET_ZONE = 2
_DOTS = 10
"""Pixels a millimetre of a picture: 254 to the inch."""


@cache
def register_typefaces() -> None:
    """Make the typeface known to reportlab, which embeds of it what a document uses.

    Streams go into the file as bytes: as ASCII they would be a quarter larger and take half of the time.
    """
    rl_config.useA85 = 0
    for name, bold in ((REGULAR, False), (BOLD, True)):
        pdfmetrics.registerFont(TTFont(name, io.BytesIO(font_file(bold=bold).read_bytes())))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)


def style(size: float, *, bold: bool = False, colour: Color = INK, **more: Any) -> ParagraphStyle:
    """A style of text in points."""
    return ParagraphStyle(
        "", fontName=BOLD if bold else REGULAR, fontSize=size, leading=size * 1.4, textColor=colour, **more
    )


SMALL = style(8, colour=QUIET)


def paragraph(text: str, look_style: ParagraphStyle = SMALL) -> Flowable:
    """A paragraph of plain text: nothing in it is markup."""
    return Paragraph(escape(one_line(text)), look_style)


def picture(content: bytes, width: float, height: float) -> Image:
    """The picture as large as it fits, as JPEG: a page needs no lossless copy, and it is quicker to write."""
    small = opened(content)
    scale = min(width / small.width, height / small.height)
    shown = small.width * scale, small.height * scale
    small.thumbnail((shown[0] / mm * _DOTS + 1, shown[1] / mm * _DOTS + 1), reducing_gap=2)
    packed = io.BytesIO()
    small.save(packed, "JPEG", quality=90)
    return Image(io.BytesIO(packed.getvalue()), *shown)


def canvas_of(document: ReportDocument) -> type[Canvas]:
    """A canvas whose pages end with the disclaimer and their number of how many.

    From the second on they begin with whose report it is: a sheet that has left its stack must not be taken
    for another patient's.
    """

    class Pages(Canvas):  # type: ignore[misc]
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self._ended: list[dict[str, Any]] = []

        def showPage(self) -> None:  # noqa: N802 - reportlab's name
            """Keep the page until the number of pages is known."""
            self._ended.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            """Write all pages, each with its head and its foot."""
            for number, page in enumerate(self._ended, 1):
                self.__dict__.update(page)
                if number > 1:
                    _head(self, document)
                _foot(self, document, f"{number} / {len(self._ended)}")
                if document.withdrawal is not None:
                    _taken_back(self, document)
                super().showPage()
            super().save()

    return Pages


def _head(canvas: Canvas, document: ReportDocument) -> None:
    identity = document.identity
    number = next((item.value for item in identifiers_of(identity, document.hospital)), "")
    parts = (patient_name(identity.patient_name), number, date_words(identity.study_date))
    whose = " · ".join(one_line(part) for part in parts if one_line(part))
    place = A4[1] - TOP + 4 * mm
    canvas.setFillColor(QUIET)
    canvas.setFont(REGULAR, 7)
    canvas.drawString(MARGIN, place, _cut(whose, WIDTH * 0.6))
    canvas.drawRightString(A4[0] - MARGIN, place, _cut(one_line(document.hospital.name), WIDTH * 0.38))
    canvas.setStrokeColor(LINE)
    canvas.line(MARGIN, place - 1.5 * mm, A4[0] - MARGIN, place - 1.5 * mm)


def _foot(canvas: Canvas, document: ReportDocument, number: str) -> None:
    canvas.setFillColor(QUIET)
    canvas.setStrokeColor(LINE)
    canvas.line(MARGIN, BOTTOM - 4 * mm, A4[0] - MARGIN, BOTTOM - 4 * mm)
    canvas.setFont(REGULAR, 7)
    canvas.drawString(MARGIN, BOTTOM - 8 * mm, disclaimer(document.draft.language))
    canvas.drawString(MARGIN, BOTTOM - 11.5 * mm, f"Tetkik · {one_line(document.id)} · v{document.version}")
    canvas.drawRightString(A4[0] - MARGIN, BOTTOM - 8 * mm, number)
    if document.state is ReportState.DRAFT:
        canvas.setFont(BOLD, 7)
        canvas.drawRightString(A4[0] - MARGIN, BOTTOM - 11.5 * mm, state_words(document))


def _taken_back(canvas: Canvas, document: ReportDocument) -> None:
    """A bar across the head of the page, and the same words across all of it: no copy can be taken for valid.

    The words across the page let what lies beneath be read, for whoever has to find out what was said.
    """
    width, height = A4
    bar = 9 * mm
    canvas.setFillColor(STOP)
    canvas.rect(0, height - bar, width, bar, stroke=0, fill=1)
    canvas.setFillColor(white)
    canvas.setFont(BOLD, 10)
    canvas.drawString(MARGIN, height - 4.4 * mm, WITHDRAWN)
    canvas.setFont(REGULAR, 7)
    banner = _cut(one_line(withdrawal_words(document)[0]), WIDTH)
    canvas.drawString(MARGIN, height - 7.5 * mm, banner)
    canvas.saveState()
    canvas.translate(width / 2, height / 2)
    canvas.rotate(math.degrees(math.atan2(height, width)))
    canvas.setFillColor(STOP)
    canvas.setFillAlpha(0.22)
    canvas.setFont(BOLD, 44)
    canvas.drawCentredString(0, -16, WITHDRAWN)
    canvas.restoreState()


def _cut(text: str, width: float) -> str:
    """The first line of what fits into `width` points."""
    lines = simpleSplit(text, REGULAR, 7, width)
    first = lines[0] if lines else ""
    while first and pdfmetrics.stringWidth(first, REGULAR, 7) > width:
        first = first[:-1]
    return f"{first}…" if first != text else first


class QrCode(Flowable):  # type: ignore[misc]
    """A QR code (ISO/IEC 18004) of `content`."""

    def __init__(self, content: str, side: float) -> None:
        super().__init__()
        self._rows = [bytes(row) for row in segno.make_qr(content, error="m").matrix]
        self.width = self.height = side

    def wrap(self, *_: object) -> tuple[float, float]:
        return self.width, self.height

    def draw(self) -> None:
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
