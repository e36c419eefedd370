"""A report as PDF: read back, rendered, looked at by a program."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pypdf
import pypdfium2
import pytest
import segno
from numpy.typing import NDArray
from reportlab.pdfgen.canvas import Canvas

from tests.documents.sample import IDENTITY, RESULT, document, draft, picture
from tetkik.documents.pdf import to_pdf
from tetkik.documents.pdf_layout import QrCode
from tetkik.language import Language
from tetkik.values import DraftSentence, Finding, Hospital, Identity, ReportState, Section, ThresholdOn


def pages(content: bytes) -> list[str]:
    return [" ".join(page.extract_text().split()) for page in pypdf.PdfReader(io.BytesIO(content)).pages]


def rendered(content: bytes, scale: float = 1.0, page: int = 0) -> NDArray[np.uint8]:
    pixels: NDArray[np.uint8] = pypdfium2.PdfDocument(content)[page].render(scale=scale).to_numpy()
    return pixels


def test_every_sentence_and_every_turkish_letter_comes_back():
    (page,) = pages(to_pdf(document(image=picture(shade=0), heatmap=picture(shade=128))))
    for sentence in document().draft.sentences:
        assert sentence.text in page
    for text in (
        "Gülçin Işıl ŞAHİN",
        "Örnek Üniversitesi Hastanesi",
        "Kadın, 64",
        "%83",
        "& sonrası",
        "1 / 1",
    ):
        assert text in page
    assert document().verification in page.replace(" ", "")
    assert "tıbbi cihaz değildir" in page


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (ReportState.DRAFT, "not signed by a radiologist"),
        (ReportState.FINAL, "Signed report"),
        (ReportState.AMENDED, "Amended report"),
    ],
)
def test_the_banner_says_how_far_it_is(state: ReportState, words: str):
    (page,) = pages(to_pdf(document(state, Language.EN)))
    assert words in page
    assert ("Ömer Çağrı Ünsal" in page) is (state is not ReportState.DRAFT)


def test_an_exercise_is_marked_as_one():
    assert "Alıştırma: hiçbir hastaya ait değildir" in pages(to_pdf(document(draft=draft(exercise=True))))[0]


def test_a4_with_embedded_typefaces():
    reader = pypdf.PdfReader(io.BytesIO(to_pdf(document())))
    assert [round(float(side)) for side in reader.pages[0].mediabox[2:]] == [595, 842]
    resources: Any = reader.pages[0]["/Resources"]
    fonts = [font.get_object() for font in resources["/Font"].values()]
    used = {font["/BaseFont"]: "/FontFile2" in font.get("/FontDescriptor", {}) for font in fonts}
    assert all(embedded for name, embedded in used.items() if "DejaVu" in name)
    assert any("DejaVuSans-Bold" in name for name in used)
    root: Any = reader.trailer["/Root"]
    assert root["/Lang"] == "tr"


def test_a_long_report_counts_its_pages():
    many = tuple(DraftSentence(f"Cümle {n}.", Section.FINDINGS) for n in range(120))
    texts = pages(to_pdf(document(draft=replace(draft(), sentences=many))))
    assert len(texts) > 1
    for number, text in enumerate(texts, 1):
        assert f"{number} / {len(texts)}" in text and "tıbbi cihaz değildir" in text and "imzalanmadı" in text
    assert "Cümle 119." in texts[-1] or "Cümle 119." in texts[-2]


def test_the_original_stands_left_of_its_heatmap():
    page = rendered(to_pdf(document(image=picture(shade=0), heatmap=picture(shade=128))))
    grey = page[..., :3].mean(axis=2)
    columns = np.arange(grey.shape[1])
    black = (grey < 10).sum(axis=0) > 100
    middle = (np.abs(grey - 128) < 10).sum(axis=0) > 100
    assert black.any() and middle.any() and columns[black].max() < columns[middle].min()


def test_the_code_is_drawn_module_by_module():
    buffer = io.BytesIO()
    canvas = Canvas(buffer, pagesize=(100, 100))
    QrCode(document().verification, 100).drawOn(canvas, 0, 0)
    canvas.save()
    dark = rendered(buffer.getvalue(), scale=8)[..., :3].mean(axis=2) < 100
    matrix = np.array([list(row) for row in segno.make_qr(document().verification, error="m").matrix], bool)
    cell = 800 / (len(matrix) + 4)
    centres = ((np.arange(len(matrix)) + 2.5) * cell).astype(int)
    assert (dark[np.ix_(centres, centres)] == matrix).all()
    assert not dark[: int(cell)].any() and not dark[:, : int(cell)].any()


def test_a_later_page_says_whose_it_is_and_the_signature_has_company():
    for lines in range(28, 60):
        many = tuple(DraftSentence(f"Cümle {n}.", Section.FINDINGS) for n in range(lines))
        report = document(ReportState.FINAL, draft=replace(draft(), sentences=many, passages=()), result=None)
        texts = pages(to_pdf(report))
        assert f"Cümle {lines - 1}." in texts[-1] and "Ömer Çağrı Ünsal" in texts[-1]
        if len(texts) == 2:
            break
    assert len(texts) == 2
    assert "Uzm. Gülçin Işıl ŞAHİN · 4711|A^B · 04.03.2026" in texts[1]


def test_the_models_findings_stand_beside_the_pictures_where_there_is_room():
    tall, wide = picture(shade=0, size=(300, 400)), picture(shade=0, size=(800, 200))
    (beside,) = pages(to_pdf(document(image=tall, heatmap=tall)))
    (below,) = pages(to_pdf(document(image=wide, heatmap=wide)))
    assert beside.index("%95") < beside.index("Teknik") and below.index("%95") > below.index("Öneri")


def test_a_score_that_nobody_calibrated_is_no_probability():
    plain = Finding("Mass", True, 0.37, None, 0.12, ThresholdOn.SCORE, positive=True)
    (page,) = pages(to_pdf(document(result=replace(RESULT, findings=(plain,)))))
    assert "Kitle – skor 0,12" in page and "37" not in page


def test_a_transparent_logo_stands_on_white():
    logo = picture("RGBA", (0, 0, 0, 0), (300, 100))
    page = rendered(to_pdf(document(hospital=Hospital("Örnek", logo=logo))))
    assert page[45:75, 420:540, :3].min() > 240


def test_markup_in_a_name_is_only_text():
    hostile = replace(IDENTITY, patient_name="<b>X</b>^<u>&amp;")
    (page,) = pages(to_pdf(document(identity=hostile)))
    assert "<u>&amp;" in page and "<b>X</b>" in page


def test_a_word_without_end_and_a_file_without_a_patient():
    endless = replace(draft(), sentences=(DraftSentence("x" * 5000, Section.FINDINGS),))
    text = " ".join(pages(to_pdf(document(draft=endless, identity=Identity()))))
    assert "Dosya numarası" in " ".join(pages(to_pdf(document())))
    assert "Dosya numarası" not in text and text.count("x") >= 5000


def test_the_same_report_gives_the_same_bytes():
    assert to_pdf(document()) == to_pdf(document())
