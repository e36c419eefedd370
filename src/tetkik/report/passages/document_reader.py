"""A hospital's document as blocks, whatever kind of file it is."""

from __future__ import annotations

import stat
from pathlib import Path

from tetkik.errors import InputError
from tetkik.report.passages.blocks import Block, blocks_of_lines, blocks_of_markdown

LARGEST_FILE = 20_000_000
LONGEST_TEXT = 2_000_000
"""Characters of one document: a book has fewer, and what has more is no guideline."""

KINDS = (".md", ".markdown", ".txt", ".pdf", ".docx")


def read_blocks(path: Path) -> tuple[Block, ...]:
    """The headings and paragraphs of a document, in order.

    Raises InputError where it is of another kind, damaged, encrypted, far too large, or without words.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise InputError("{file} is no Markdown, text, PDF or DOCX file; save it as one of these.", file=path)
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise InputError("{file} is no file; name the document itself.", file=path)
    if state.st_size > LARGEST_FILE:
        raise _too_large(path)
    if kind == ".pdf":
        from tetkik.report.passages.pdf import read_pdf

        blocks = tuple(blocks_of_lines(read_pdf(path)))
    elif kind == ".docx":
        from tetkik.report.passages.docx import read_docx

        blocks = read_docx(path)
    else:
        text = _decoded(path)
        blocks = tuple(blocks_of_markdown(text) if kind != ".txt" else blocks_of_lines(text.splitlines()))
    if sum(len(block.text) for block in blocks) > LONGEST_TEXT:
        raise _too_large(path)
    if not any(char.isalpha() for block in blocks for char in block.text):
        raise InputError(
            "{file} has no text that can be read; a scanned document needs text recognition first.", file=path
        )
    return blocks


def _too_large(path: Path) -> InputError:
    return InputError("{file} is too large for a document of passages; add the part that matters.", file=path)


def _decoded(path: Path) -> str:
    """UTF-8, or what Turkish Windows writes."""
    content = path.read_bytes()
    if b"\0" in content:
        raise InputError("{file} is no text; save it as UTF-8 text, PDF or DOCX.", file=path)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1254", "replace")
