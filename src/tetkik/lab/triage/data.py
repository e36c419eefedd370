"""What triage learns from: complaints with a department each, their duplicate groups and folds."""

from __future__ import annotations

import codecs
import csv
import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader, FileIO
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tetkik.errors import DataError
from tetkik.lab.engine.duplicate_texts import canonical
from tetkik.statistics import Ints
from tetkik.values import DEPARTMENTS

if TYPE_CHECKING:
    from _csv import Reader as _Reader

_LONGEST_LINE = 1 << 24
csv.field_size_limit(_LONGEST_LINE)
_SAMPLE = 1 << 16
_CONTROLS = bytes([*range(2, 9), *range(14, 27), 28, 29])
"""Bytes that are in no text; 0, 1, 30 and 31 are in Turkish in UTF-16, and 27 begins a terminal's escapes."""
_NOT_UTF8 = (
    "{path} is not UTF-8 in line {line}; save it as UTF-8, as `tetkik triage clean` does with a labelled "
    "table."
)
_MOST_LINES = 200
"""A quoted text of more lines than this is taken for a quote that is not closed."""


@dataclass(frozen=True, slots=True)
class Complaints:
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    left_out: dict[str, int]

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels):
            raise ValueError("texts and labels differ in length")

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, rows: Sequence[int] | Ints) -> Complaints:
        """These rows, in this order."""
        return Complaints(
            tuple(self.texts[row] for row in rows), tuple(self.labels[row] for row in rows), self.left_out
        )


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels: the built-in departments in their order, then any others by name."""
    found = set(labels)
    return (*(name for name in DEPARTMENTS if name in found), *sorted(found - set(DEPARTMENTS)))


def numbered(labels: Sequence[str], order: Sequence[str]) -> Ints:
    """The index of each label in `order`, (labels,), int64."""
    place = {label: index for index, label in enumerate(order)}
    return np.array([place[label] for label in labels], dtype=np.int64)


def fingerprint(complaints: Complaints) -> str:
    """SHA-256 that tells the same rows again, in whatever order; no text can be led back from it."""
    rows = sorted(
        hashlib.sha256(f"{label}\x00{text}".encode()).digest()
        for text, label in zip(complaints.texts, complaints.labels, strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def read_complaints(path: Path, *, labels: Sequence[str] | None = None) -> Complaints:
    """Read the columns `text` and `label` (CSV, UTF-8 with or without BOM, comma or semicolon or tab).

    With `labels`, rows of other labels are left out and counted.

    Raises:
        DataError: not UTF-8, a column is missing, or no row is left.
    """
    kept: list[tuple[str, str]] = []
    left_out: Counter[str] = Counter()
    for text, written in read_columns(path, ("text", "label")):
        label = _tidy(written)
        if not text.strip():
            left_out["empty text"] += 1
        elif is_missing(label):
            left_out["no label"] += 1
        elif labels is not None and label not in labels:
            left_out["label not among the departments"] += 1
        else:
            kept.append((text, label))
    if not kept:
        raise DataError(
            "{path} has no row with a text and a usable label; check the columns {text} and {label}.",
            path=path,
            text="text",
            label="label",
        )
    texts, departments = zip(*kept, strict=True)
    return Complaints(texts, departments, dict(left_out))


def read_invented(path: Path, *, labels: Collection[str]) -> Complaints:
    """Read the training split of a table like data/invented-complaints: `text`, `departments`, `split`.

    The label is the first of the departments, which `;` divides; rows with another are left out.

    Raises:
        DataError: not UTF-8, a column is missing, or no row is left.
    """
    rows = [
        (text, _tidy(departments.partition(";")[0]))
        for text, departments, split in read_columns(path, ("text", "departments", "split"))
        if split.strip() == "train"
    ]
    kept = [(text, label) for text, label in rows if text.strip() and label in labels]
    if not kept:
        raise DataError(
            "{path} has no row of the split {split} with a department of the model; check the columns.",
            path=path,
            split="train",
        )
    texts, departments = zip(*kept, strict=True)
    return Complaints(texts, departments, {})


def is_missing(label: str) -> bool:
    """Whether a cell stands for "no label"."""
    return label.strip().lower() in {"", "nan", "none", "null"}


def _tidy(label: str) -> str:
    """A label in NFC, with single spaces, and without what cannot be printed."""
    plain = "".join(char if char.isprintable() else " " for char in unicodedata.normalize("NFC", label))
    return " ".join(plain.split())


def read_columns(path: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The named columns of a CSV file, row by row; raises what `each_row` yields."""
    rows = []
    for row in each_row(path, columns):
        if isinstance(row, DataError):
            raise row
        rows.append(row)
    return rows


def each_row(path: Path, columns: Sequence[str]) -> Iterator[tuple[str, ...] | DataError]:
    """The named columns of each row; a `DataError` for a row that is not UTF-8 or has surplus cells.

    A missing cell is an empty string. The file is read line by line, so that one without an end (a device, a
    line of gigabytes) ends in an error.

    Raises:
        DataError: empty, not a table, or a column is missing; or nothing tells where the next row begins.
    """
    with BufferedReader(FileIO(path), _SAMPLE) as file:
        lines = _lines(file, path)
        first = next((line for line in lines if line.strip()), None)
        if first is None:
            raise DataError("{path} is empty; give a file with a header and rows.", path=path)
        marks = {mark: first.count(mark) for mark in ",;\t"}
        reader = csv.reader(chain([first], lines), delimiter=max(marks, key=lambda mark: marks[mark]))
        try:
            yield from _cells(reader, columns, path)
        except csv.Error as error:
            raise DataError(
                "{path} is not readable CSV at line {line} ({fault}); "
                "`tetkik triage clean` reads broken files.",
                path=path,
                line=reader.line_num,
                fault=error,
            ) from None


def _cells(reader: _Reader, columns: Sequence[str], path: Path) -> Iterator[tuple[str, ...] | DataError]:
    names = [name.strip() for name in next(reader)]
    if fault := _fault(names, len(names)):
        raise DataError(fault, path=path, line=reader.line_num)
    for column in columns:
        if column not in names:
            raise DataError(
                "{path} has no column {column} (its columns are: {names}); rename one, or let "
                "`tetkik triage clean` find the columns.",
                path=path,
                column=column,
                names=", ".join(names)[:200],
            )
    places = [names.index(column) for column in columns]
    begin = reader.line_num + 1
    for row in reader:
        if reader.line_num - begin > _MOST_LINES:
            raise DataError(
                "{path} has a quote in line {line} that is not closed; "
                "`tetkik triage clean` reads broken files.",
                path=path,
                line=begin,
            )
        if row:
            fault = _fault(row, len(names))
            yield (
                DataError(fault, path=path, line=begin)
                if fault
                else tuple(row[place] if place < len(row) else "" for place in places)
            )
        begin = reader.line_num + 1


def _fault(row: list[str], columns: int) -> str | None:
    """What makes a row unreadable, though the next one begins where it ends."""
    if any("\udc80" <= char <= "\udcff" for cell in row if not cell.isascii() for char in cell):
        return _NOT_UTF8
    if any(cell.strip() for cell in row[columns:]):
        # What is behind an unquoted comma is not to be lost: it may be the red flag.
        return (
            "{path} has more cells than columns in line {line}; put a text with a comma, semicolon or "
            "tab in it between quotation marks."
        )
    return None


def _lines(file: BufferedReader[FileIO], path: Path) -> Iterator[str]:
    """The lines of a CSV file with their ends."""
    head = file.peek(_SAMPLE)
    controls = len(head) - len(head.translate(None, _CONTROLS))
    if head and (controls > len(head) / 50 or not head.strip(b"\x00")):
        raise DataError(
            "{path} is not a text file; give a CSV file, or make one with `tetkik triage clean`.", path=path
        )
    file.read(3 if head.startswith(codecs.BOM_UTF8) else 0)
    for number, raw in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
        if len(raw) == _LONGEST_LINE and not raw.endswith(b"\n"):
            raise DataError(
                "{path} has a line of more than {most} MB, line {line}; shorten it, or let "
                "`tetkik triage clean` leave it out.",
                path=path,
                line=number,
                most=_LONGEST_LINE >> 20,
            )
        if b"\x00" in raw:  # text in UTF-16 is full of them
            raise DataError(_NOT_UTF8, path=path, line=number)
        # Bytes that are not UTF-8 cost their row alone; `_fault` finds them.
        line = raw.decode("utf-8", "surrogateescape")
        # Old Macs end a line with a carriage return alone.
        yield from (piece for piece in re.split(r"(?<=\r)(?!\n)", line) if piece)


def folds(texts: Iterable[str], groups: Ints, count: int = 5) -> Ints:
    """The fold of each row, 0 to count - 1, the same on every machine and whatever the order of the rows.

    A group's fold is `int(sha256(t), 16) % count`, with t its smallest canonical text (UTF-8).

    Args:
        groups: the duplicate group of each, (texts,), int64.
    """
    smallest: dict[int, str] = {}
    for text, group in zip(texts, groups.tolist(), strict=True):
        plain = canonical(text)
        smallest[group] = min(plain, smallest.get(group, plain))
    digests = {group: hashlib.sha256(plain.encode()).hexdigest() for group, plain in smallest.items()}
    return np.array([int(digests[group], 16) % count for group in groups.tolist()], dtype=np.int64)
