"""Texts with what identifies in them marked, and how much of it a finder finds (data/deidentification)."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

Spans = Sequence[tuple[int, int]]
Finder = Callable[[str], Spans]
_WORD = re.compile(r"[^\W_]+")
DEVELOPMENT = Path(__file__).parents[2] / "data" / "deidentification" / "development.csv"


@dataclass(frozen=True)
class Text:
    """A text and what identifies in it: (start, end, kind), in order."""

    writer: str
    text: str
    spans: tuple[tuple[int, int, str], ...]


def read_texts(path: Path) -> list[Text]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            return [
                marked(row["writer"], row["text"], json.loads(row["spans"])) for row in csv.DictReader(lines)
            ]
    rows = (json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip())
    return [marked(path.stem, row["text"], row["spans"]) for row in rows]


def marked(writer: str, text: str, spans: Iterable[Sequence[str]]) -> Text:
    """With every place where a marked substring stands."""
    from tetkik.report.deidentify import normal

    plain = normal(text)
    places = []
    for substring, kind in spans:
        part, start = normal(substring), -1
        while (start := plain.find(part, start + 1)) >= 0:
            places.append((start, start + len(part), kind))
    return Text(writer, plain, tuple(sorted(places)))


@dataclass
class Score:
    """Spans found and all of them by kind, words lost and all that were to stay."""

    found: Counter[str]
    spans: Counter[str]
    lost: int = 0
    words: int = 0
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)

    def add(self, text: Text, finder: Finder) -> None:
        hidden, marks = bytearray(len(text.text)), bytearray(len(text.text))
        for start, end in finder(text.text):
            hidden[start:end] = b"\1" * (end - start)
        for start, end, kind in text.spans:
            marks[start:end] = b"\1" * (end - start)
            whole = all(hidden[i] or not text.text[i].isalnum() for i in range(start, end))
            self.spans[kind] += 1
            self.found[kind] += whole
            if not whole:
                self.missed.append((kind, text.text[start:end], text.text))
        for match in _WORD.finditer(text.text):
            if any(marks[match.start() : match.end()]):
                continue
            self.words += 1
            if any(hidden[match.start() : match.end()]):
                self.lost += 1
                self.gone.append((match[0], text.text))


def measure(texts: Iterable[Text], finder: Finder) -> Score:
    score = Score(Counter(), Counter())
    for text in texts:
        score.add(text, finder)
    return score


def whole(text: str) -> Spans:
    """What a prompt, an export and a log lose, of a text in its normal form."""
    from tetkik.report.deidentify import identifying_places

    return identifying_places(text)
