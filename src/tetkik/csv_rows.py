"""Rows of CSV files, read line by line; a row that cannot be used is an error in its place.

A row may go on over several lines only where its quote then closes as the format says (RFC 4180) and it has
the header's columns; else its first line alone is the fault, and reading goes on at the next.
"""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from io import BufferedReader, FileIO, RawIOBase, TextIOWrapper
from pathlib import Path

from tetkik.errors import DataError

_LONGEST_LINE = 1 << 24
csv.field_size_limit(_LONGEST_LINE)
_SAMPLE = 1 << 16
_CONTROLS = bytes([*range(2, 9), *range(14, 27), 28, 29])
"""Bytes that are in no text; 0, 1, 30 and 31 are in Turkish in UTF-16, and 27 begins a terminal's escapes."""
_NOT_UTF8 = (
    "{path} is not UTF-8 in line {line}; save it as UTF-8, as `tetkik triage clean` does with a labelled "
    "table."
)
_TOO_MANY = (
    "{path} has more cells than columns in line {line}; put a text with a comma, semicolon or "
    "tab in it between quotation marks."
)
_TOO_FEW = "{path} has fewer cells than columns in line {line}; complete that line."
_OPEN_QUOTE = (
    "{path} has a quote in line {line} that is not closed; `tetkik triage clean` reads broken files."
)
_MOST_LINES = 200
"""A quoted text of more lines than this is taken for a quote that is not closed."""

Row = list[str] | DataError


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

    A missing cell is an empty string.

    Args:
        source: what is read where `path` is only the name that errors give it.

    Raises:
        DataError: empty, not a table, or a column is missing.
    """
    names, rows = open_rows(path, source)
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
    for _, row in rows:
        if row:
            yield row if isinstance(row, DataError) else tuple(row[place] for place in places)


def open_rows(
    path: Path | str, source: RawIOBase | None = None, *, exact: bool = False
) -> tuple[list[str], Iterator[tuple[int, Row]]]:
    """The columns of a table, and its rows with their numbers, as a spreadsheet has them.

    The text is UTF-8 with or without a byte order mark, `.gz` or not; the delimiter (comma, semicolon, tab,
    bar) is the header's most frequent; lines end in LF, CRLF or CR. An empty line is a row without cells,
    every other has as many as there are columns: a row that is too short is filled up, or is a fault where
    rows are to be `exact`. The file is read line by line, so that one without an end (a device, a line of
    gigabytes) ends in an error.
    """
    rows = _rows(_lines(path, source), path, exact=exact)
    _, names = next(rows)
    if isinstance(names, DataError):
        raise names
    return names, rows


def split_row(record: str, delimiter: str, *, backslash: bool = False) -> list[str] | None:
    """The cells of one row by RFC 4180, or with backslashes before quotes; None if it breaks the rules."""
    escape = "\\" if backslash else None
    reader = csv.reader(
        [record], delimiter=delimiter, strict=True, doublequote=not backslash, escapechar=escape
    )
    try:
        found = list(reader)
    except csv.Error:
        return None
    return found[0] if len(found) == 1 else None


def read_lines(path: Path) -> Iterator[str]:
    """The lines of a list without a header; one that is not UTF-8 is raised."""
    for number, line in enumerate(_lines(path, None), 1):
        if not _is_text(line):
            raise DataError(_NOT_UTF8, path=path, line=number)
        yield line


def _lines(path: Path | str, source: RawIOBase | None) -> Iterator[str]:
    """The lines without their ends."""
    with BufferedReader(source or FileIO(path), _SAMPLE) as raw:
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        try:
            with gzip.GzipFile(fileobj=raw) if packed else raw as binary:
                head = binary.peek(_SAMPLE)[:_SAMPLE]
                controls = len(head) - len(head.translate(None, _CONTROLS))
                if head and (controls > len(head) / 50 or not head.strip(b"\x00")):
                    raise DataError(
                        "{path} is not a text file; give a CSV file, or make one with `tetkik triage clean`.",
                        path=path,
                    )
                with TextIOWrapper(binary, "utf-8-sig", "surrogateescape") as text:
                    for number, line in enumerate(iter(lambda: text.readline(_LONGEST_LINE), ""), 1):
                        if len(line) == _LONGEST_LINE and not line.endswith("\n"):
                            raise DataError(
                                "{path} has a line of more than {most} MB, line {line}; shorten it, or let "
                                "`tetkik triage clean` leave it out.",
                                path=path,
                                line=number,
                                most=_LONGEST_LINE >> 20,
                            )
                        yield line.removesuffix("\n")
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise DataError("{path} is a damaged gzip file; fetch it again.", path=path) from None


def _rows(lines: Iterator[str], path: Path | str, *, exact: bool) -> Iterator[tuple[int, Row]]:
    """The header, then each row."""
    at, header = next(((at, line) for at, line in enumerate(lines, 1) if line.strip()), (0, ""))
    if not header:
        raise DataError("{path} is empty; give a file with a header and rows.", path=path)
    if not _is_text(header):
        raise DataError(_NOT_UTF8, path=path, line=at)
    delimiter = max(",;\t|", key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter))]
    while names and not names[-1]:
        names.pop()
    yield at, names
    width, row, line_number = len(names), at, at
    waiting: deque[str] = deque()
    while (line := waiting.popleft() if waiting else next(lines, None)) is not None:
        row, line_number = row + 1, line_number + 1
        begin, fault, cells = line_number, "", None
        if not _is_text(line):
            fault = _NOT_UTF8
        elif '"' not in line:
            cells = line.split(delimiter) if line else []
        elif (cells := split_row(line, delimiter)) is None:
            parts = [line]
            while len(parts) < _MOST_LINES and parts[-1].count('"') % 2 == (len(parts) == 1):
                if (following := waiting.popleft() if waiting else next(lines, None)) is None:
                    break
                parts.append(following)
            joined = "\n".join(parts)
            cells = split_row(joined, delimiter) if _is_text(joined) else None
            if cells is not None and (len(cells) == width or (len(cells) < width and not exact)):
                line_number += len(parts) - 1
            else:
                waiting.extendleft(reversed(parts[1:]))
                fault, cells = _OPEN_QUOTE, None
                if not exact and line.count('"') % 2 == 0:  # quotes within a cell that are not doubled
                    fault, cells = "", next(csv.reader([line], delimiter=delimiter))
        if cells and any(cell.strip() for cell in cells[width:]):
            # What is behind an unquoted comma is not to be lost: it may be the red flag.
            fault = _TOO_MANY
        elif cells and exact and len(cells) < width:
            fault = _TOO_FEW
        if fault or cells is None:
            yield row, DataError(fault, path=path, line=begin)
        else:
            yield row, [*cells, *[""] * (width - len(cells))][:width] if cells else cells


def _is_text(line: str) -> bool:
    """Whether every byte of a line was UTF-8, and none is 0, as half of UTF-16's are."""
    if line.isascii():
        return "\x00" not in line
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return "\x00" not in line
