"""A hospital's document as blocks: headings and paragraphs, whatever kind of file it is."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tetkik.errors import InputError

LARGEST_FILE = 20_000_000
LONGEST_TEXT = 2_000_000
"""Characters of one document: a book has fewer, and what has more is no guideline."""

KINDS = (".md", ".markdown", ".txt", ".pdf", ".docx")


@dataclass(frozen=True, slots=True)
class Block:
    """A heading or a paragraph.

    Attributes:
        text: on one line.
        heading: whether it names what follows.
    """

    text: str
    heading: bool = False


def read_blocks(path: Path) -> tuple[Block, ...]:
    """The headings and paragraphs of a document, in order.

    Args:
        path: Markdown, text, PDF or DOCX.

    Raises:
        InputError: another kind of file, one that is damaged, encrypted, far too large, or without words.
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
        blocks = tuple(_of_markdown(text) if kind != ".txt" else blocks_of_lines(text.splitlines()))
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


_SCRIPT = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>")
_LINK = re.compile(r"!?\[([^\]\n]{0,300})\]\([^)\s]{0,500}\)")
_HEADING = re.compile(r"#{1,6} (.*)")
_BULLET = re.compile(r"^(?:[-*+•]|\d{1,3}[.)])\s+")
_MARKS = re.compile(r"(?<!\w)[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}(?!\w)")


def _of_markdown(text: str) -> Iterator[Block]:
    """Headings by `#` or by a line of `=` or `-` below; HTML is taken out, and so is what it would run."""
    plain = _TAG.sub(" ", _SCRIPT.sub(" ", _COMMENT.sub(" ", text)))
    gathered: list[str] = []
    for raw in (*_LINK.sub(r"\1", plain).splitlines(), ""):
        line = " ".join(raw.split())
        heading = _HEADING.match(line)
        underlined = len(gathered) == 1 and line and not line.strip("=-") and line[0] in "=-"
        if heading or underlined or not line.strip("-=|:*_ `~") or _BULLET.match(line):
            yield from _paragraph(gathered, heading=bool(underlined))
            gathered = []
        if heading:
            yield from _paragraph([_MARKS.sub("", heading[1].rstrip("# "))], heading=True)
        elif line.strip("-=|:*_ `~"):
            gathered.append(_MARKS.sub("", _BULLET.sub("", line)).replace("|", " "))


_NUMBERED = re.compile(r"(?:\d{1,2}\.){1,4}\d{0,2}\s+\S|[IVX]{1,5}\.\s+\S")
_LONGEST_HEADING = 80


def blocks_of_lines(lines: Iterable[str]) -> Iterator[Block]:
    """Lines as blocks.

    An empty line ends a paragraph; a short line that stands alone, is numbered or in capitals, and ends
    without a full stop, is a heading. A word cut at the end of a line is joined again.
    """
    gathered: list[str] = []
    for line in (*lines, ""):
        words = " ".join(line.split())
        if not words:
            yield from _paragraph(gathered, heading=len(gathered) == 1 and _is_title(gathered[0]))
            gathered = []
        elif _is_title(words) and (_NUMBERED.match(words) or words.isupper()):
            yield from _paragraph(gathered)
            gathered = []
            yield from _paragraph([words], heading=True)
        elif _BULLET.match(words):
            yield from _paragraph(gathered)
            gathered = [_BULLET.sub("", words)]
        else:
            gathered.append(words)


def _is_title(words: str) -> bool:
    return len(words) <= _LONGEST_HEADING and words[-1] not in ".,;:!?" and any(map(str.isalpha, words))


def _paragraph(lines: list[str], *, heading: bool = False) -> Iterator[Block]:
    pieces: list[str] = []
    for line in lines:
        last = pieces[-1] if pieces else ""
        if last.endswith("-") and last[-2:-1].isalpha() and line[:1].islower():
            pieces[-1] = last[:-1]
        else:
            pieces.append(" ")
        pieces.append(line)
    text = "".join(char if char.isprintable() else " " for char in "".join(pieces))
    if words := " ".join(text.split()):
        yield Block(words, heading)
