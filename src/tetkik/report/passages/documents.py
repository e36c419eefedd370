"""A hospital's document as headings, paragraphs and passages: Markdown, plain text, DOCX, PDF."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
import tomllib
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from tetkik.errors import InputError, MissingExtra
from tetkik.language import Language
from tetkik.turkish import fold
from tetkik.values.common import one_line


@dataclass(frozen=True, slots=True)
class Block:
    """A heading, which names what follows, or a paragraph."""

    text: str
    heading: bool = False


_SCRIPT = re.compile(r"<(script|style)\b.*?(?:</\1\s*>|\Z)", re.IGNORECASE | re.DOTALL)
_COMMENT = re.compile(r"<!--.*?(?:-->|\Z)", re.DOTALL)
_TAG = re.compile(r"</?[A-Za-z][^<>]{0,300}>")
_LINK = re.compile(r"!?\[([^\]\n]{0,300})\]\([^)\s]{0,500}\)")
_HEADING = re.compile(r"#{1,6} (.*)")
_BULLET = re.compile(r"^(?:[-*+•]|\d{1,3}[.)])\s+")
_MARKS = re.compile(r"(?<!\w)[*_`]{1,3}(?=\S)|(?<=\S)[*_`]{1,3}(?!\w)")


def blocks_of_markdown(text: str) -> Iterator[Block]:
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
    if words := one_line("".join(pieces)):
        yield Block(words, heading)


MOST_WORDS = 120
_LONGEST_WORD = 60
_SENTENCE_END = re.compile(r"(?<=[.!?;:])\s+")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A passage to be, of at most `MOST_WORDS` words; its title is empty before the first heading."""

    title: str
    text: str


def chunks_of(blocks: Iterable[Block]) -> tuple[Chunk, ...]:
    """Neighbouring paragraphs under one heading together, as long as they stay short enough.

    A longer one is cut at the end of a sentence, and only a sentence that is itself too long within it.
    """
    made: list[Chunk] = []
    title, gathered = "", ""
    for block in (*blocks, Block("", heading=True)):
        if block.heading:
            made += _chunk(title, gathered)
            title, gathered = block.text[:120], ""
            continue
        for piece in _pieces_of(block.text):
            if gathered and _count(gathered) + _count(piece) > MOST_WORDS:
                made += _chunk(title, gathered)
                gathered = ""
            gathered = f"{gathered} {piece}".strip()
    return tuple(made)


def _chunk(title: str, text: str) -> list[Chunk]:
    return [Chunk(title, text)] if any(char.isalpha() for char in text) else []


def _pieces_of(text: str) -> Iterator[str]:
    """A paragraph, or its sentences where it is too long, or runs of words where a sentence is."""
    if _count(text) <= MOST_WORDS and len(text) <= MOST_WORDS * _LONGEST_WORD:
        yield text
        return
    for sentence in _SENTENCE_END.split(text):
        words = [
            word[start : start + _LONGEST_WORD]
            for word in sentence.split()
            for start in range(0, len(word), _LONGEST_WORD)
        ]
        for start in range(0, len(words), MOST_WORDS):
            yield " ".join(words[start : start + MOST_WORDS])


def _count(text: str) -> int:
    return len(text.split())


# The little words of the two languages, and which of the two a document is in.


_LETTERS = re.compile(r"[ğşıİçöü]")
_LETTER = 0.25
"""What a Turkish letter counts beside a little word: a name with one can stand in an English text."""
_ENOUGH = 20_000


@cache
def little_words(language: Language) -> frozenset[str]:
    """Words that say nothing of what a text is about, folded."""
    text = resources.files(__package__).joinpath("little_words.toml").read_text("utf-8")
    return frozenset(tomllib.loads(text)[language.value])


def language_of(text: str, otherwise: Language) -> Language:
    """The language of a text, by its little words and its letters; without any it is `otherwise`."""
    begin = text[:_ENOUGH]
    words = fold(begin).split()
    turkish, english = little_words(Language.TR), little_words(Language.EN)
    for_turkish = sum(word in turkish - english for word in words) + _LETTER * len(_LETTERS.findall(begin))
    for_english = sum(word in english - turkish for word in words)
    if for_turkish == for_english:
        return otherwise
    return Language.TR if for_turkish > for_english else Language.EN


# DOCX, read with the standard library: nothing is unpacked to disk, and no more is read than a text needs.
#
# ECMA-376 part 1, WordprocessingML: paragraphs `w:p` with runs of text `w:t`; a paragraph is a heading when
# its style, or one that the style is based on, has an outline level (`w:outlineLvl` below 9). The names of
# styles differ with the language of Word (`Heading1`, `Balk1`), the levels do not.


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
            yield from _paragraph_of_docx(child, levels)
        elif child.tag == f"{_W}tbl":
            for row in child.findall(f"{_W}tr"):
                if words := _text(row):
                    yield Block(words)
        elif child.tag in {f"{_W}sdt", f"{_W}sdtContent"}:
            yield from _blocks(child, levels, depth + 1)


def _paragraph_of_docx(paragraph: Element, levels: dict[str, bool]) -> Iterator[Block]:
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


# PDF, read by pypdf in a process of its own, which a hostile file may exhaust without harm.
#
# python -m tetkik.report.passages.documents FILE
#
# prints the lines of the document as a JSON list, or an object with a `fault`.


SECONDS = 60
_MEMORY = 2 << 30
_MOST_PAGES = 500
_MOST_CHARACTERS = 2_500_000


def read_pdf(path: Path) -> list[str]:
    """The lines of a PDF; an empty one after each page and between blocks.

    Raises MissingExtra without pypdf, and InputError for a file that is damaged, protected by a password, too
    long, or not read within a minute.
    """
    if find_spec("pypdf") is None:
        raise MissingExtra("Reading PDF needs the package pypdf; `{extra}`.", extra="passages")
    # The parent's path of modules, and not the working folder: a file there must not pass for a module.
    modules = os.pathsep.join(place for place in sys.path if place)
    command = [sys.executable, "-P", "-m", "tetkik.report.passages.documents", str(path.absolute())]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command,
            capture_output=True,
            timeout=SECONDS,
            check=False,
            env={**os.environ, "PYTHONPATH": modules},
        )
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        answer = {"fault": "damaged"}
    if isinstance(answer, list):
        return [str(line) for line in answer]
    if answer["fault"] == "password":
        raise InputError(
            "{file} is protected by a password; save it without one and add it again.", file=path
        )
    if answer["fault"] == "long":
        raise InputError(
            "{file} is too large for a document of passages; add the part that matters.", file=path
        )
    raise InputError("{file} cannot be read as PDF; save it again, or as DOCX or text.", file=path)


def _lines(path: Path) -> list[str] | dict[str, str]:
    import pypdf
    from pypdf.errors import DependencyError, PyPdfError

    _bound_memory()
    try:
        reader = pypdf.PdfReader(path)
        if reader.is_encrypted and not reader.decrypt(""):
            return {"fault": "password"}
        if len(reader.pages) > _MOST_PAGES:
            return {"fault": "long"}
        pages: list[list[str]] = []
        size = 0
        for page in reader.pages:
            text = page.extract_text() or ""
            pages.append(text.splitlines())
            size += len(text)
            if size > _MOST_CHARACTERS:
                return {"fault": "long"}
    except DependencyError:
        return {"fault": "password"}
    # What a damaged file can raise inside the parser is not bounded by a list of classes.
    except (PyPdfError, Exception, RecursionError, MemoryError):
        return {"fault": "damaged"}
    return _without_running_heads(pages)


def _without_running_heads(pages: list[list[str]]) -> list[str]:
    """The lines of all pages without numbers of pages and without what stands on most of them."""
    often = Counter(line.strip() for page in pages for line in dict.fromkeys(page))
    most = max(3, len(pages) // 2 + 1)
    kept = []
    for page in pages:
        kept += [line for line in page if not line.strip().isdecimal() and often[line.strip()] < most]
        kept.append("")
    return kept


def _bound_memory() -> None:
    """What a packed stream may grow to is bounded by pypdf itself; this bounds all of it together."""
    try:
        import resource
    except ImportError:  # Windows, where the time limit has to do
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(_lines(Path(sys.argv[1]))))


# A hospital's document as blocks, whatever kind of file it is.


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
        blocks = tuple(blocks_of_lines(read_pdf(path)))
    elif kind == ".docx":
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
