"""Rows of CSV files, read line by line; a row that cannot be used is an error in its place."""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from io import BufferedReader, FileIO, RawIOBase
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tetkik.errors import DataError

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


def read_columns(path: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The named columns of a CSV file, row by row; raises what `each_row` yields."""
    rows = []
    for row in each_row(path, columns):
        if isinstance(row, DataError):
            raise row
        rows.append(row)
    return rows


def each_row(
    path: Path | str, columns: Sequence[str], source: RawIOBase | None = None
) -> Iterator[tuple[str, ...] | DataError]:
    """The named columns of each row; a `DataError` for a row that is not UTF-8 or has surplus cells.

    A missing cell is an empty string. The file is read line by line, so that one without an end (a device, a
    line of gigabytes) ends in an error.

    Args:
        source: what is read where `path` is only the name that errors give it.

    Raises:
        DataError: empty, not a table, or a column is missing; or nothing tells where the next row begins.
    """
    with BufferedReader(source or FileIO(path), _SAMPLE) as file:
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


def _cells(
    reader: _Reader, columns: Sequence[str], path: Path | str
) -> Iterator[tuple[str, ...] | DataError]:
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


def _lines(file: BufferedReader[RawIOBase], path: Path | str) -> Iterator[str]:
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
