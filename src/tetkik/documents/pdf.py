"""A report as PDF: A4, an embedded typeface with Turkish letters, the image beside its heatmap."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfmetrics import stringWidth
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    Image,
    KeepTogether,
    PageBreak,
    PageTemplate,
    Spacer,
    Table,
    TableStyle,
)

from tetkik.documents import pdf_layout
from tetkik.documents.parts import (
    DocumentPart,
    about,
    cited,
    date_words,
    heatmap_words,
    judged_words,
    moment_words,
    not_assessed_words,
    number_words,
    parts_of,
    percent_words,
    replaced_words,
    state_words,
    statements,
    withdrawal_words,
)
from tetkik.documents.pdf_layout import WIDTH, QrCode, paragraph, style
from tetkik.documents.picture import Drawing, drawing_of
from tetkik.language import Language, translate
from tetkik.values.common import one_line
from tetkik.values.document import ReportDocument, ReportState
from tetkik.values.finding import Finding, ThresholdOn
from tetkik.values.finding_labels import label_name
from tetkik.values.measurement import Point
from tetkik.values.report import KeyImage

# The key images of a report on pages of their own, with what was measured and drawn in them.


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


# Paper and ink of the banner; its words say the same.
_BANNERS = MappingProxyType(
    {
        ReportState.DRAFT: (HexColor(0xFBEFDC), pdf_layout.CAUTION),
        ReportState.FINAL: (HexColor(0xE3F1EA), HexColor(0x14532D)),
        ReportState.AMENDED: (HexColor(0xE3EEF5), HexColor(0x123F5A)),
        ReportState.WITHDRAWN: (HexColor(0xFBE3E1), pdf_layout.STOP),
    }
)
# In two columns: whose it is, and what it is about.
_PERSON = ("patient", "national", "hospital", "born", "sex")
_STUDY = ("examined", "number", "accession", "referrer", "department")
_PICTURE_HEIGHT = 56 * mm
_GAP = 4 * mm
_BESIDE = 52 * mm
"""The width that the model's findings need beside the pictures."""
_WIDEST_BESIDE = 80 * mm
_MOST_BESIDE = 8
_NARROWEST = 24 * mm
_TITLE = style(13, bold=True)
_VALUE = style(9.5, bold=True)
_BODY = style(9.5, spaceAfter=0.8 * mm)
_NOTICE = style(8.5, colour=pdf_layout.CAUTION)
_OBJECTION = style(8, colour=pdf_layout.CAUTION, leftIndent=4 * mm, spaceAfter=1 * mm)
_JUDGED = style(8, spaceBefore=1 * mm)
_HEADING_PDF = style(10, bold=True, colour=pdf_layout.MAIN, spaceBefore=3 * mm, spaceAfter=0.8 * mm)
_PLAIN: list[tuple[Any, ...]] = [
    ("VALIGN", (0, 0), (-1, -1), "TOP"),
    *((f"{side}PADDING", (0, 0), (-1, -1), 0) for side in ("LEFT", "RIGHT", "TOP", "BOTTOM")),
]

_Shown = tuple[Image, str]
"""A picture in its size, and its name."""


def to_pdf(document: ReportDocument) -> bytes:
    """The report as PDF 1.4 with embedded subsets of its typeface."""
    pdf_layout.register_typefaces()
    buffer = io.BytesIO()
    language = document.draft.language
    pages = BaseDocTemplate(
        buffer,
        pagesize=A4,
        leftMargin=pdf_layout.MARGIN,
        rightMargin=pdf_layout.MARGIN,
        topMargin=pdf_layout.TOP,
        bottomMargin=pdf_layout.BOTTOM,
        title=translate("Radiology report", language),
        author=one_line(document.hospital.name),
        subject=state_words(document),
        creator="Tetkik",
        lang=language.value,
        invariant=True,
    )
    frame = Frame(pdf_layout.MARGIN, pdf_layout.BOTTOM, WIDTH, pdf_layout.HEIGHT, 0, 0, 0, 0)
    pages.addPageTemplates(PageTemplate("page", [frame]))
    pages.build(_flowables(document), canvasmaker=pdf_layout.canvas_of(document))
    return buffer.getvalue()


def _flowables(document: ReportDocument) -> list[Flowable]:
    """Everything from the letterhead to the signature, which never stands alone on a sheet."""
    language = document.draft.language
    flowables = [_letterhead(document), Spacer(0, 3 * mm), _banner(document), Spacer(0, 3 * mm)]
    flowables += _about(document)
    flowables += [paragraph(notice.in_language(language), _NOTICE) for notice in document.draft.notices]
    shown = _shown(document)
    beside = _stands_beside(document, shown)
    flowables += _pictures(document, shown, beside=beside)
    blocks = [block for part in parts_of(document.content) for block in _part(part)]
    if not beside:
        blocks += _below(document)
    sources = dict.fromkeys(item.source for item in cited(document))
    blocks += _under(translate("Sources", language), [[paragraph(source)] for source in sources])
    last = blocks.pop() if blocks else []
    flowables += [KeepTogether(block) for block in blocks]
    ending = KeepTogether([*last, Spacer(0, 5 * mm), _ending(document)])
    return [*flowables, ending, *key_image_pages(document)]


def _letterhead(document: ReportDocument) -> Flowable:
    hospital, language = document.hospital, document.draft.language
    lines = [paragraph(hospital.name or translate("Radiology report", language), _TITLE)]
    under = " · ".join(part for part in (hospital.department, hospital.address) if part)
    if under:
        lines.append(paragraph(under))
    logo = pdf_layout.picture(hospital.logo, 40 * mm, 14 * mm) if hospital.logo else ""
    return _table(
        [[lines, logo]],
        [WIDTH - 42 * mm, 42 * mm],
        ("BOTTOMPADDING", (0, 0), (-1, 0), 2 * mm),
        ("VALIGN", (0, 0), (-1, -1), "MIDDLE"),
        ("ALIGN", (1, 0), (1, 0), "RIGHT"),
        ("LINEBELOW", (0, 0), (-1, 0), 1.2, pdf_layout.MAIN),
    )


def _banner(document: ReportDocument) -> Flowable:
    paper, ink = _BANNERS[document.standing]
    content = [paragraph(state_words(document), style(9.5, bold=True, colour=ink))]
    content += [
        paragraph(words, style(8.5, colour=ink))
        for words in (*withdrawal_words(document), *replaced_words(document))
    ]
    styles = [("BACKGROUND", (0, 0), (-1, -1), paper), ("LEFTPADDING", (0, 0), (-1, -1), 8)]
    return Table([[content]], [WIDTH], style=TableStyle(styles))


def _about(document: ReportDocument) -> list[Flowable]:
    """Whose report it is, in two columns; nothing for a file without a patient."""
    known = about(document)
    beside = zip_longest(*([known[name] for name in column if name in known] for column in (_PERSON, _STUDY)))
    cells = [
        [paragraph(row[0]), paragraph(row[1], _VALUE)] if row else ["", ""] for pair in beside for row in pair
    ]
    if not cells:
        return []
    table = _table(
        [[*cells[place], *cells[place + 1]] for place in range(0, len(cells), 2)],
        [WIDTH * share for share in (0.215, 0.285, 0.195, 0.305)],
        ("RIGHTPADDING", (0, 0), (-1, -1), 2 * mm),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.5),
        # The small name sits on the line of its larger value.
        ("TOPPADDING", (0, 0), (0, -1), 1.7),
        ("TOPPADDING", (2, 0), (2, -1), 1.7),
    )
    return [table, Spacer(0, 2 * mm)]


def _shown(document: ReportDocument) -> list[_Shown]:
    """The original, and beside it the same with the heatmap; each with its name."""
    language, width = document.draft.language, (WIDTH - _GAP) / 2
    pairs = ((document.image, translate("Image", language)), (document.heatmap, heatmap_words(document)))
    return [(pdf_layout.picture(content, width, _PICTURE_HEIGHT), name) for content, name in pairs if content]


def _pictures(document: ReportDocument, shown: list[_Shown], *, beside: bool) -> list[Flowable]:
    """The pictures, and to their right what the model found where it fits."""
    if not shown:
        return []
    below = style(8, colour=pdf_layout.QUIET, spaceBefore=1 * mm)
    cells = [[picture, paragraph(name, below)] for picture, name in shown]
    widths = [_column(picture) for picture, _ in shown]
    if beside:
        found = _found_table(document, min(WIDTH - sum(widths), _WIDEST_BESIDE))
        cells.append([found, *_about_model(document)])
        widths.append(WIDTH - sum(widths))
    between = ("RIGHTPADDING", (0, 0), (len(shown) - 1, 0), _GAP)
    table = _table([cells], widths, between)
    return [Spacer(0, 2 * mm), table]


def _part(part: DocumentPart) -> list[list[Flowable]]:
    """A part of the report: sentences with what is objected to them, or a row for each of a list."""
    if part.numbered:
        return _under(part.label, [[_rows(part)]])
    blocks = [
        [paragraph(line.text, _BODY), *(paragraph(words, _OBJECTION) for words in line.objections)]
        for line in part.lines
    ]
    return _under(part.label, blocks)


def _rows(part: DocumentPart) -> Flowable:
    rows = [
        [
            paragraph(f"{number}.", style(8.5, colour=pdf_layout.QUIET)),
            paragraph(line.cells[0], style(8.5)),
            paragraph(line.cells[1], style(8.5, bold=True)),
            paragraph(line.cells[2], style(8, colour=pdf_layout.QUIET)),
        ]
        for number, line in enumerate(part.lines, 1)
    ]
    return _table(
        rows,
        [WIDTH * share for share in (0.04, 0.3, 0.15, 0.51)],
        ("RIGHTPADDING", (0, 0), (-1, -1), 2 * mm),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    )


def _under(title: str, blocks: list[list[Flowable]]) -> list[list[Flowable]]:
    """The blocks beneath a heading, which never ends a page; no heading without a block."""
    return [[paragraph(title, _HEADING_PDF), *blocks[0]], *blocks[1:]] if blocks else []


def _found(document: ReportDocument) -> list[Finding]:
    """What the model found and nobody rejected, the likeliest first: the evidence beneath the sentences."""
    stated = (item.finding for item in statements(document) if item.present)
    found = (finding for finding in stated if finding is not None and finding.positive)
    return sorted(found, key=lambda item: -(item.probability or 0))


def _stands_beside(document: ReportDocument, shown: list[_Shown]) -> bool:
    """Whether the model's findings stand to the right of the pictures."""
    if not 0 < len(_found(document)) <= _MOST_BESIDE:
        return False
    taken = sum(_column(picture) for picture, _ in shown)
    return bool(0 < taken <= WIDTH - _BESIDE)


def _column(picture: Image) -> float:
    return float(max(picture.drawWidth, _NARROWEST) + _GAP)


def _below(document: ReportDocument) -> list[list[Flowable]]:
    if not _found(document):
        title = translate("Judgement of the radiologist", document.draft.language)
        return _under(title, [judged] if (judged := _judged(document)) else [])
    return [[Spacer(0, 4 * mm), _found_table(document, WIDTH), *_about_model(document)]]


def _found_table(document: ReportDocument, width: float) -> Flowable:
    language = document.draft.language
    head = ("Finding of the model", "Probability", "Threshold")
    rows = [
        [paragraph(translate(name, language), style(7, colour=pdf_layout.QUIET)) for name in head],
        *(
            [
                paragraph(label_name(item.label, language), style(8.5)),
                # A score that nobody has calibrated is no probability.
                paragraph(
                    "–" if item.probability is None else percent_words(item.probability, language),
                    style(8.5, bold=True),
                ),
                paragraph(_threshold(item, language), style(8.5, colour=pdf_layout.QUIET)),
            ]
            for item in _found(document)
        ),
    ]
    return _table(
        rows,
        [width * share for share in (0.44, 0.28, 0.28)],
        ("TOPPADDING", (0, 1), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
        ("LINEABOVE", (0, 1), (-1, -1), 0.4, pdf_layout.LINE),
        ("LINEBELOW", (0, -1), (-1, -1), 0.4, pdf_layout.LINE),
    )


def _about_model(document: ReportDocument) -> list[Flowable]:
    if document.result is None:
        return _judged(document)
    words = translate("Model: {model}", document.draft.language, model=document.result.model)
    return [*_judged(document), paragraph(words, style(7, colour=pdf_layout.QUIET, spaceBefore=1 * mm))]


def _judged(document: ReportDocument) -> list[Flowable]:
    return [paragraph(words, _JUDGED) for words in judged_words(document)]


def _threshold(finding: Finding, language: Language) -> str:
    if finding.threshold is None:
        return "–"
    if finding.threshold_on is ThresholdOn.PROBABILITY:
        return percent_words(finding.threshold, language)
    return translate("score {value}", language, value=number_words(finding.threshold, language))


def _ending(document: ReportDocument) -> Flowable:
    """Who signed, and the code that a copy is verified by."""
    language, signed = document.draft.language, document.signature
    lines: list[Flowable] = []
    if signed is not None:
        lines.append(paragraph(" ".join(part for part in (signed.title, signed.name) if part), _VALUE))
        when = moment_words(signed.signed_at)
        lines.append(paragraph(" · ".join(part for part in (signed.registration, when) if part)))
    else:
        lines.append(paragraph(translate("Signature of the radiologist: none", language)))
    if words := not_assessed_words(document.draft):
        lines.append(paragraph(words, style(6.5, colour=pdf_layout.QUIET)))
    code = document.verification
    broken = " ".join(code[place : place + 16] for place in range(0, len(code), 16))
    lines.append(
        paragraph(f"{translate('Verification', language)}: {broken}", style(6.5, colour=pdf_layout.QUIET))
    )
    side = 20 * mm
    return _table(
        [[lines, QrCode(code, side)]],
        [WIDTH - side, side],
        ("TOPPADDING", (0, 0), (-1, -1), 1.5 * mm),
        ("LINEABOVE", (0, 0), (-1, 0), 0.6, pdf_layout.LINE),
    )


def _table(rows: list[list[Any]], widths: list[float], *styles: tuple[Any, ...]) -> Flowable:
    """A table without the padding that reportlab gives by itself, each cell at its top."""
    return Table(rows, colWidths=widths, hAlign="LEFT", style=TableStyle([*_PLAIN, *styles]))
