"""The key images of a report on pages of their own, with what was measured and drawn in them."""

from __future__ import annotations

from collections.abc import Iterator

from reportlab.lib.colors import HexColor
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import Flowable, KeepTogether, PageBreak, Spacer

from tetkik.documents import pdf_layout
from tetkik.documents.drawn import Drawing, drawing_of
from tetkik.documents.pdf_layout import WIDTH, paragraph, style
from tetkik.documents.report_phrases import date_words
from tetkik.language import Language, translate
from tetkik.values import KeyImage, ReportDocument
from tetkik.values.common import one_line
from tetkik.values.measurement import Point

_HEIGHT = 100 * mm
_INK, _HALO = HexColor(0xFFD24D), HexColor(0x000000)
_SIZE = 8
_HEADING = style(10, bold=True, colour=pdf_layout.MAIN, spaceAfter=2 * mm)
_CAPTION = style(8.5, spaceBefore=1 * mm)


def key_image_pages(document: ReportDocument) -> Iterator[Flowable]:
    """Nothing where the report has no key image, or no pictures were given."""
    language, found = document.draft.language, document.content.key_images
    if not found or len(found) != len(document.key_pictures):
        return
    yield PageBreak()
    yield paragraph(translate("Key images", language), _HEADING)
    for number, (item, png) in enumerate(zip(found, document.key_pictures, strict=True), 1):
        drawings = [
            drawing_of(one, language)
            for one in document.content.measurements
            if (one.image.id, one.image.frame) == (item.image.id, item.image.frame)
        ]
        caption = paragraph(_caption(number, item, language), _CAPTION)
        yield KeepTogether([AnnotatedPicture(png, item, drawings), caption, Spacer(0, 5 * mm)])


def _caption(number: int, item: KeyImage, language: Language) -> str:
    parts = [translate("Key image {number}", language, number=number)]
    if item.image.earlier:
        parts.append(translate("earlier image", language))
    parts.append(date_words(item.image.study_date))
    if item.image.frame is not None:
        parts.append(translate("Frame {frame}", language, frame=item.image.frame))
    parts.append(one_line(item.note))
    return " · ".join(part for part in parts if part)


class AnnotatedPicture(Flowable):  # type: ignore[misc]
    """A picture as wide as its page allows, and over it drawings in the pixels of the image."""

    def __init__(self, png: bytes, item: KeyImage, drawings: list[Drawing]) -> None:
        super().__init__()
        self._picture = pdf_layout.picture(png, WIDTH, _HEIGHT)
        self.width, self.height = self._picture.drawWidth, self._picture.drawHeight
        self._drawings = drawings
        self._across, self._down = self.width / item.image.columns, self.height / item.image.rows

    def wrap(self, *_available: float) -> tuple[float, float]:
        """Its size, whatever room there is."""
        return self.width, self.height

    def draw(self) -> None:
        """Draw each line twice: a dark one beneath shows it on any grey."""
        self._picture.drawOn(self.canv, 0, 0)
        for width, ink in ((2.4, _HALO), (1.0, _INK)):
            self.canv.setLineWidth(width)
            self.canv.setStrokeColor(ink)
            for drawing in self._drawings:
                self._outline(drawing)
        self.canv.setFont(pdf_layout.BOLD, _SIZE)
        for drawing in self._drawings:
            self._words(drawing)

    def _place(self, point: Point) -> Point:
        return point[0] * self._across, self.height - point[1] * self._down

    def _outline(self, drawing: Drawing) -> None:
        for line in drawing.lines:
            path = self.canv.beginPath()
            path.moveTo(*self._place(line[0]))
            for point in line[1:]:
                path.lineTo(*self._place(point))
            self.canv.drawPath(path)
        if drawing.ellipse is not None:
            self.canv.ellipse(*self._place(drawing.ellipse[0]), *self._place(drawing.ellipse[1]))

    def _words(self, drawing: Drawing) -> None:
        if not drawing.words:
            return
        x, y = self._place(drawing.anchor)
        wide = stringWidth(drawing.words, pdf_layout.BOLD, _SIZE)
        x = max(2, min(x + 4, self.width - wide - 2))
        y = max(3, min(y + 3, self.height - _SIZE - 1))
        self.canv.setFillColor(_HALO, 0.65)
        self.canv.rect(x - 1.5, y - 2, wide + 3, _SIZE + 2, stroke=0, fill=1)
        self.canv.setFillColor(_INK, 1)
        self.canv.drawString(x, y, drawing.words)
