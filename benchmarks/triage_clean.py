"""`tetkik triage clean` at 300,000 rows: time of each step and peak memory.

    python benchmarks/triage_clean.py --data complaints.csv [--rows 300000] [--out DIR]

The rows are resampled from a labelled table (`text,label`): 80% are the head of one complaint and the tail of
another with the same label, so that nearly all differ; 10% are exact copies and 10% have one word changed,
so that duplicates of both kinds have to be found. A tenth carries HTML, a telephone, a name or an identity
number, and one in fifty has the label of another row.
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tetkik.lab.triage.clean import Options, clean_files, departments
from tetkik.lab.triage.data import read_complaints

_MARKS = (
    "{text}<br>Telefonum 0532 123 45 67",
    "Merhaba adım Ayşe Yılmaz, {text}",
    "{text} &amp; geçmiyor",
    "TC 10000000146 {text}",
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--out", type=Path, help="keep the table and its report here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        table = Path(scratch) / "rows.csv"
        letters = _resample(arguments.data, table, arguments.rows)
        before = _peak()
        watch = _Watch()
        summary = clean_files(
            [table], folder / "clean.csv", folder / "report", Options(departments()), progress=watch
        )
        total = time.perf_counter() - watch.start
    shown = Table(title=f"{arguments.rows:,} rows, {letters / arguments.rows:.0f} characters a row", box=None)
    shown.add_column("step")
    shown.add_column("seconds", justify="right")
    for step, seconds in watch.seconds().items():
        shown.add_row(step, f"{seconds:.1f}")
    shown.add_row("in all", f"{total:.1f}", style="bold")
    shown.add_row("peak memory", f"{_peak():,.0f} MB (before: {before:,.0f})", style="bold")
    for name, count in (
        ("kept", summary.kept),
        ("groups", summary.groups),
        ("suspects", len(summary.suspects)),
    ):
        shown.add_row(name, f"{count:,}", style="dim")
    Console().print(shown)


class _Watch:
    """A progress callback that keeps when each step was first and last heard of."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self._last: dict[str, float] = {}

    def __call__(self, step: str, done: int, total: int | None) -> None:
        self._last[step] = time.perf_counter()

    def seconds(self) -> dict[str, float]:
        ends = [self.start, *self._last.values()]
        return {step: end - begin for (step, end), begin in zip(self._last.items(), ends, strict=False)}


def _peak() -> float:
    """Peak resident memory of this process in MB."""
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / (1 << 20 if sys.platform == "darwin" else 1 << 10)


def _resample(data: Path, table: Path, count: int) -> int:
    """Write `count` rows to `table`; returns their characters."""
    draw = random.Random(2026)
    complaints = read_complaints(data)
    words: defaultdict[str, list[list[str]]] = defaultdict(list)
    for text, label in zip(complaints.texts, complaints.labels, strict=True):
        words[label].append(text.split())
    earlier: list[tuple[str, str]] = []
    letters = 0
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("text", "label"))
        for number in range(count):
            text, label = _row(draw, complaints.labels, words, earlier)
            if number % 10 == 0:
                text = draw.choice(_MARKS).format(text=text)
            if number % 50 == 7:
                label = draw.choice(complaints.labels)
            if len(earlier) < 50_000:
                earlier.append((text, label))
            letters += len(text)
            writer.writerow((text, label))
    return letters


def _row(
    draw: random.Random,
    labels: tuple[str, ...],
    words: dict[str, list[list[str]]],
    earlier: list[tuple[str, str]],
) -> tuple[str, str]:
    chance = draw.random()
    if earlier and chance < 0.2:
        text, label = draw.choice(earlier)
        if chance < 0.1:
            return text, label
        parts = text.split() or ["?"]
        parts[draw.randrange(len(parts))] = "falan"
        return " ".join(parts), label
    label = draw.choice(labels)
    head, tail = draw.choice(words[label]), draw.choice(words[label])
    cut = draw.randrange(len(head) + 1)
    return " ".join([*head[:cut], *tail[max(0, len(tail) - (len(head) - cut)) :]]), label


if __name__ == "__main__":
    main()
