"""Documents of every kind read along their structure; hostile ones answered with one sentence."""

from __future__ import annotations

import io
import os
import zipfile
import zlib
from pathlib import Path
from typing import cast

import docx
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reportlab.pdfgen.canvas import Canvas

from tetkik.errors import InputError
from tetkik.language import Language
from tetkik.report.passages.documents import (
    MOST_WORDS,
    Block,
    blocks_of_lines,
    chunks_of,
    language_of,
    read_blocks,
    read_docx,
)

MARKDOWN = """# Protocol

Some words at
the beginning.

Fluid
-----
* An **ultrasound** first.
* Then [aspiration](https://example.org/x).

| step | who |
|------|-----|
| one  | nurse |

<script>alert("x")</script><b>Bold</b> text. <!-- hidden -->
"""


def written(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_markdown_is_cut_at_its_headings(tmp_path):
    blocks = read_blocks(written(tmp_path / "a.md", MARKDOWN))
    assert [block.text for block in blocks if block.heading] == ["Protocol", "Fluid"]
    texts = [block.text for block in blocks if not block.heading]
    assert texts[:3] == ["Some words at the beginning.", "An ultrasound first.", "Then aspiration."]
    assert texts[-1] == "Bold text."
    assert not any(word in " ".join(texts) for word in ("alert", "hidden", "example.org", "|"))
    first, second = chunks_of(blocks)
    assert (first.title, first.text) == ("Protocol", "Some words at the beginning.")
    assert second.title == "Fluid" and second.text.startswith("An ultrasound first. Then aspiration.")


def test_text_is_cut_at_numbered_lines_and_lines_that_stand_alone(tmp_path):
    text = "1. Amaç\nBu belge kısa-\ndır ve yeter.\n\nKapsam\n\nTüm klinikler.\n\nGENEL KURAL\nBir kural.\n"
    blocks = read_blocks(written(tmp_path / "a.txt", text))
    assert [(block.text, block.heading) for block in blocks] == [
        ("1. Amaç", True),
        ("Bu belge kısadır ve yeter.", False),
        ("Kapsam", True),
        ("Tüm klinikler.", False),
        ("GENEL KURAL", True),
        ("Bir kural.", False),
    ]


def test_text_of_a_turkish_windows_is_read(tmp_path):
    (block,) = read_blocks(written(tmp_path / "a.txt", "Göğüs ağrısı için şart.".encode("cp1254")))
    assert block.text == "Göğüs ağrısı için şart."


def test_docx_by_its_styles_and_tables(tmp_path):
    document = docx.Document()
    document.add_heading("Plevra", level=1)
    document.add_paragraph("Sıvı için ultrasonografi.")
    table = document.add_table(rows=1, cols=2)
    table.rows[0].cells[0].text, table.rows[0].cells[1].text = "adım", "kim"
    document.add_heading("Nodül", level=2)
    document.add_paragraph("Konseyde görüşülür.")
    document.save(str(tmp_path / "a.docx"))
    assert read_blocks(tmp_path / "a.docx") == (
        Block("Plevra", True),
        Block("Sıvı için ultrasonografi."),
        Block("adım kim"),
        Block("Nodül", True),
        Block("Konseyde görüşülür."),
    )


def pdf(path: Path, pages: list[list[str]]) -> Path:
    canvas = Canvas(str(path))
    for lines in pages:
        for number, line in enumerate(lines):
            canvas.drawString(72, 760 - 20 * number, line)
        canvas.showPage()
    canvas.save()
    return path


def test_pdf_without_its_running_heads_and_page_numbers(tmp_path):
    pages = [["Hospital X", f"Page {number} speaks of fluid.", str(number)] for number in range(1, 5)]
    blocks = read_blocks(pdf(tmp_path / "a.pdf", pages))
    text = " ".join(block.text for block in blocks)
    assert "Page 3 speaks of fluid." in text
    assert "Hospital X" not in text
    assert not any(block.text.isdecimal() for block in blocks)


def test_an_encrypted_pdf(tmp_path):
    plain = pdf(tmp_path / "plain.pdf", [["A secret line."]])
    writer = pypdf.PdfWriter(clone_from=str(plain))
    writer.encrypt("secret", algorithm="RC4-128")
    writer.write(tmp_path / "a.pdf")
    with pytest.raises(InputError, match="protected by a password"):
        read_blocks(tmp_path / "a.pdf")


def test_a_pdf_that_grows_without_end(tmp_path):
    packed = zlib.compress(b"0 0 m " * 15_000_000, 9)
    body = (
        b"%%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n"
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>endobj\n"
        b"4 0 obj<</Filter/FlateDecode/Length %d>>stream\n" % len(packed)
    )
    body += packed + b"\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF"
    with pytest.raises(InputError, match=r"cannot be read as PDF|has no text"):
        read_blocks(written(tmp_path / "a.pdf", body))


def zipped(path: Path, parts: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
BODY = f'<w:document xmlns:w="{W}"><w:body>%s</w:body></w:document>'
ENTITIES = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + BODY % "&b;"


@pytest.mark.parametrize(
    "parts",
    [
        {"word/document.xml": b" " * 50_000_000},
        {"word/document.xml": ENTITIES.encode()},
        {"word/document.xml": ENTITIES.encode("utf-16")},
        {"word/document.xml": b"<a>"},
        {"other.xml": b"<a/>"},
    ],
    ids=["bomb", "entities", "entities in UTF-16", "cut", "no document"],
)
def test_a_hostile_docx(tmp_path, parts):
    with pytest.raises(InputError, match="cannot be read as DOCX"):
        read_blocks(zipped(tmp_path / "a.docx", parts))


@pytest.mark.attack
def test_an_entry_of_a_docx_that_begins_before_the_file(tmp_path):
    """The error of the system that this was is nobody's disk."""
    path = zipped(tmp_path / "a.docx", {"word/document.xml": (BODY % "").encode()})
    content = bytearray(path.read_bytes())
    content[-6:-2] = (int.from_bytes(content[-6:-2], "little") + 4).to_bytes(4, "little")
    path.write_bytes(content)
    with pytest.raises(InputError, match="cannot be read as DOCX"):
        read_blocks(path)


def test_a_docx_writes_nothing_outside_itself(tmp_path):
    run = BODY % "<w:p><w:r><w:t>Words.</w:t></w:r></w:p>"
    parts = {"word/document.xml": run.encode(), "../../evil.txt": b"x", "/evil.txt": b"x"}
    (tmp_path / "in").mkdir()
    assert read_docx(zipped(tmp_path / "in" / "a.docx", parts)) == (Block("Words."),)
    assert [item.name for item in tmp_path.rglob("*") if item.is_file()] == ["a.docx"]


def test_styles_in_a_circle_are_no_heading(tmp_path):
    styles = f'<w:styles xmlns:w="{W}">' + "".join(
        f'<w:style w:styleId="{one}"><w:basedOn w:val="{other}"/></w:style>' for one, other in ("ab", "ba")
    )
    run = BODY % '<w:p><w:pPr><w:pStyle w:val="a"/></w:pPr><w:r><w:t>Words.</w:t></w:r></w:p>'
    parts = {"word/document.xml": run.encode(), "word/styles.xml": f"{styles}</w:styles>".encode()}
    assert read_docx(zipped(tmp_path / "a.docx", parts)) == (Block("Words."),)


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        ("a.doc", b"\xd0\xcf\x11\xe0", "no Markdown, text, PDF or DOCX"),
        ("a.txt", b"a\0b", "is no text"),
        ("a.txt", b"  \n 12 \n", "no text that can be read"),
        ("a.pdf", b"%PDF-1.4 garbage", "cannot be read as PDF"),
        ("a.docx", b"PK garbage", "cannot be read as DOCX"),
        ("a.txt", b"word " * 500_000, "too large"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_sentence(tmp_path, name, content, fault):
    with pytest.raises(InputError, match=fault) as caught:
        read_blocks(written(tmp_path / name, content))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "# a" + " " * 900_000 + "b",
        "# a" + "#" * 900_000 + "b",
        "a\n" * 400_000,
        "<a" * 400_000 + "b",
        "[" * 400_000 + " b",
        "<!--" * 200_000 + "\n",
        "*" * 900_000 + "b",
        "</script " * 100_000 + "b",
    ],
    ids=["spaces", "hashes", "lines", "tags", "links", "comments", "stars", "scripts"],
)
def test_no_text_makes_reading_endless(tmp_path, text):
    # Each would take minutes where work grows with the square of the length.
    read_blocks(written(tmp_path / "a.md", f"Words.\n\n{text}"))


def test_content_controls_within_each_other_without_end(tmp_path):
    deep = "<w:sdt>" * 20_000 + "</w:sdt>" * 20_000
    run = BODY % f"<w:sdt><w:sdtContent><w:p><w:r><w:t>Words.</w:t></w:r></w:p></w:sdtContent></w:sdt>{deep}"
    assert read_docx(zipped(tmp_path / "a.docx", {"word/document.xml": run.encode()})) == (Block("Words."),)


def test_a_pipe_or_a_folder_is_no_document(tmp_path):
    (tmp_path / "folder.md").mkdir()
    os.mkfifo(tmp_path / "pipe.md")
    for name in ("folder.md", "pipe.md"):
        with pytest.raises(InputError, match="is no file"):
            read_blocks(tmp_path / name)


def test_a_module_in_the_working_folder_is_not_run(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit(1)")
    monkeypatch.chdir(tmp_path)
    assert read_blocks(pdf(tmp_path / "a.pdf", [["A line of words."]])) == (Block("A line of words."),)


def test_a_long_line_and_a_long_word_are_cut(tmp_path):
    path = written(tmp_path / "a.txt", "x" * 100_000 + " " + "word " * 100_000)
    chunks = chunks_of(read_blocks(path))
    assert max(len(chunk.text.split()) for chunk in chunks) <= MOST_WORDS
    assert max(len(chunk.text) for chunk in chunks) < 10_000


def test_a_paragraph_is_cut_at_sentences():
    sentence = "one two three four five six seven eight nine ten."
    chunks = chunks_of([Block(" ".join([sentence] * 30))])
    assert len(chunks) == 3
    assert all(chunk.text.endswith("ten.") and chunk.text.startswith("one") for chunk in chunks)


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=300), st.booleans()), max_size=20))
def test_no_word_is_lost_or_repeated_by_cutting(parts):
    blocks = [Block(" ".join(text.split()), heading) for text, heading in parts if text.split()]
    chunks = chunks_of(blocks)
    assert all(len(chunk.text.split()) <= MOST_WORDS for chunk in chunks)
    kept = "".join("".join(chunk.text.split()) for chunk in chunks)
    runs: list[str] = [""]
    for block in blocks:
        if block.heading:
            runs.append("")
        else:
            runs[-1] += "".join(block.text.split())
    assert sum(map(str.isalpha, kept)) == sum(map(str.isalpha, "".join(runs)))


@settings(deadline=None)
@given(st.text(max_size=400))
def test_any_text_has_blocks_without_control_characters(text):
    for block in blocks_of_lines(text.splitlines()):
        assert block.text == " ".join(block.text.split())
        assert block.text.isprintable()


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_as_docx_end_in_one_sentence(content):
    with pytest.raises(InputError):
        read_docx(cast(Path, _InMemory(content)))


class _InMemory(io.BytesIO):
    """Bytes where a path is expected."""

    def read_bytes(self) -> bytes:
        return self.getvalue()

    def __str__(self) -> str:
        return "a.docx"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The patient should be seen at once and the film repeated.", Language.EN),
        ("Hasta hemen görülmeli ve film tekrarlanmalıdır.", Language.TR),
        ("Hasta icin gerekli olan tetkik bir gun sonra da istenir.", Language.TR),
        ("12 34", Language.EN),
    ],
)
def test_the_language_of_a_document(text, language):
    assert language_of(text, Language.EN) is language
