"""DOCX, read with the standard library: nothing is unpacked to disk, and no more is read than a text needs.

ECMA-376 part 1, WordprocessingML: paragraphs `w:p` with runs of text `w:t`; a paragraph is a heading when its
style, or one that the style is based on, has an outline level (`w:outlineLvl` below 9). The names of styles
differ with the language of Word (`Heading1`, `Balk1`), the levels do not.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from tetkik.errors import InputError
from tetkik.report.passages.blocks import Block
from tetkik.values.common import one_line

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_DAMAGED = (zipfile.BadZipFile, zlib.error, ElementTree.ParseError, EOFError, ValueError)
_UNREADABLE = (KeyError, RuntimeError, NotImplementedError)
"""No such part; encrypted; packed by a method that no DOCX uses."""
_LARGEST_PART = 40_000_000
_BODY_LEVEL = 9
_DEEPEST = 10
"""How many styles may be based on each other, and how many controls lie within each other."""


def read_docx(path: Path) -> tuple[Block, ...]:
    """The headings and paragraphs of a DOCX file; of a table, each row as a paragraph.

    Raises InputError where it is no DOCX, damaged, encrypted, or larger unpacked than any document.
    """
    try:
        # From memory, where a place before the file is no error of a disk.
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
            body = _part(archive, "word/document.xml")
            styles = _part(archive, "word/styles.xml") if "word/styles.xml" in archive.namelist() else None
    except (*_DAMAGED, *_UNREADABLE) as error:
        raise InputError(
            "{file} cannot be read as DOCX (damaged, encrypted or far too large); save it again.", file=path
        ) from error
    levels = _levels(styles)
    return tuple(block for part in body.iter(f"{_W}body") for block in _blocks(part, levels))


def _part(archive: zipfile.ZipFile, name: str) -> Element:
    """A part as XML; never more bytes than the limit, whatever the file says of itself.

    A document type would allow entities that grow without end; Word writes none. It writes UTF-8, so that
    another encoding cannot hide one.
    """
    with archive.open(name) as file:
        content = file.read(_LARGEST_PART + 1)
    text = content.decode("utf-8-sig")
    if len(content) > _LARGEST_PART or "<!DOCTYPE" in text:
        raise zipfile.BadZipFile(name)
    return ElementTree.fromstring(text)  # noqa: S314 - without a document type there is nothing to expand


def _levels(styles: Element | None) -> dict[str, bool]:
    own: dict[str, int | None] = {}
    based: dict[str, str] = {}
    for style in styles.iter(f"{_W}style") if styles is not None else ():
        name = style.get(f"{_W}styleId", "")
        own[name] = _number(style.find(f"{_W}pPr/{_W}outlineLvl"))
        parent = style.find(f"{_W}basedOn")
        if parent is not None:
            based[name] = parent.get(f"{_W}val", "")
    return {name: _is_heading(name, own, based) for name in own}


def _number(level: Element | None) -> int | None:
    value = "" if level is None else level.get(f"{_W}val", "")
    return int(value) if value.isdecimal() and len(value) == 1 else None


def _is_heading(name: str, own: dict[str, int | None], based: dict[str, str]) -> bool:
    for _ in range(_DEEPEST):
        level = own.get(name)
        if level is not None:
            return level < _BODY_LEVEL
        if name not in based:
            return False
        name = based[name]
    return False


def _blocks(body: Element, levels: dict[str, bool], depth: int = 0) -> Iterator[Block]:
    """What stands in a body; content controls (`w:sdt`) may hold others, within reason."""
    for child in body if depth < _DEEPEST else ():
        if child.tag == f"{_W}p":
            yield from _paragraph(child, levels)
        elif child.tag == f"{_W}tbl":
            for row in child.findall(f"{_W}tr"):
                if words := _text(row):
                    yield Block(words)
        elif child.tag in {f"{_W}sdt", f"{_W}sdtContent"}:
            yield from _blocks(child, levels, depth + 1)


def _paragraph(paragraph: Element, levels: dict[str, bool]) -> Iterator[Block]:
    words = _text(paragraph)
    if not words:
        return
    style = paragraph.find(f"{_W}pPr/{_W}pStyle")
    level = _number(paragraph.find(f"{_W}pPr/{_W}outlineLvl"))
    named = levels.get(style.get(f"{_W}val", ""), False) if style is not None else False
    yield Block(words, named if level is None else level < _BODY_LEVEL)


def _text(element: Element) -> str:
    """The words of an element; text that was deleted under tracked changes is `w:delText` and not read."""
    pieces = []
    for item in element.iter():
        if item.tag == f"{_W}t":
            pieces.append(item.text or "")
        elif item.tag in {f"{_W}tab", f"{_W}br", f"{_W}tc", f"{_W}p"}:
            pieces.append(" ")
    return one_line("".join(pieces))
