"""What de-identification leaves of identifiers, and what it takes of the rest: Turkish texts, and DICOM files.

    python benchmarks/deidentification.py [--file judges.jsonl]... [--files 500]

The texts are one JSON object a line, {"text": ..., "spans": [[substring, kind], ...]}, or the CSV of
data/deidentification, by writers who had not seen the rules. A span counts as found where none of its letters
and digits is left, signs between them aside. Of the words outside every span (runs of letters or digits) those
that went are the loss; an ending written together with a span belongs to neither.

Without --file the development texts are read: all figures of them are flattered, since the rules were written
with them in view and the tagger was trained on them. `--leave-out` trains it anew without each writer in turn.

The DICOM files are made by tests/imaging/planted.py: identifiers, each used once, in every attribute that can
hold one and in every place beside the attributes; they are looked for in the bytes written, in five encodings.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from figures import interval, judged, record
from tetkik.statistics import wilson_interval

sys.path.insert(0, str(Path(__file__).parent.parent))

Spans = Sequence[tuple[int, int]]
Finder = Callable[[str], Spans]
DEVELOPMENT = Path(__file__).parents[1] / "data" / "deidentification" / "development.csv"


@dataclass(frozen=True)
class Text:
    """A text and what identifies in it: (start, end, kind), in order."""

    writer: str
    text: str
    spans: tuple[tuple[int, int, str], ...]


def read_texts(path: Path) -> list[Text]:
    if path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as lines:
            return [marked(row["writer"], row["text"], json.loads(row["spans"])) for row in csv.DictReader(lines)]
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
