"""Headings and paragraphs out of Markdown and out of plain lines, and passages along them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

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
