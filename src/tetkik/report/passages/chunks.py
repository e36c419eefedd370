"""A document cut into passages along its structure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tetkik.report.passages.blocks import Block

MOST_WORDS = 120
_LONGEST_WORD = 60
_END = re.compile(r"(?<=[.!?;:])\s+")


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
            made += _of(title, gathered)
            title, gathered = block.text[:120], ""
            continue
        for piece in _pieces(block.text):
            if gathered and _count(gathered) + _count(piece) > MOST_WORDS:
                made += _of(title, gathered)
                gathered = ""
            gathered = f"{gathered} {piece}".strip()
    return tuple(made)


def _of(title: str, text: str) -> list[Chunk]:
    return [Chunk(title, text)] if any(char.isalpha() for char in text) else []


def _pieces(text: str) -> Iterator[str]:
    """A paragraph, or its sentences where it is too long, or runs of words where a sentence is."""
    if _count(text) <= MOST_WORDS and len(text) <= MOST_WORDS * _LONGEST_WORD:
        yield text
        return
    for sentence in _END.split(text):
        words = [
            word[start : start + _LONGEST_WORD]
            for word in sentence.split()
            for start in range(0, len(word), _LONGEST_WORD)
        ]
        for start in range(0, len(words), MOST_WORDS):
            yield " ".join(words[start : start + MOST_WORDS])


def _count(text: str) -> int:
    return len(text.split())
