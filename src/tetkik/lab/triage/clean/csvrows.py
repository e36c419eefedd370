"""CSV that was never quite CSV: unclosed and stray quotes, a delimiter too many, lines cut short.

A parser that believes every quote lets one unclosed quote swallow thousands of rows. Here a record may go
on over several lines only where it then closes as the format says (RFC 4180), has the header's columns, and
has swallowed no line that is a row of its own; else its first line is read alone, its quotes as letters.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tetkik.csv_rows import split_row
from tetkik.lab.triage.clean.decode import lines
from tetkik.lab.triage.clean.rows import Columns, RawRow, Reason, Repair

_DELIMITERS = ",;\t|"
_MOST_LINES = 200
"""A quoted text of more lines than this is taken for an unclosed quote."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """The header's delimiter, its number of columns, and where text and label stand."""

    delimiter: str
    width: int
    text: int
    label: int

    def split(self, record: str) -> list[str] | None:
        """The cells of a record that keeps to the format, else None."""
        if '"' not in record:
            return record.split(self.delimiter)
        cells = split_row(record, self.delimiter)
        if cells is None and '\\"' in record:
            cells = split_row(record, self.delimiter, backslash=True)
        return cells

    def fitted(self, cells: list[str]) -> list[str] | None:
        """As many cells as the header has, surplus delimiters in the text; None if a cell is missing."""
        while len(cells) > self.width and not cells[-1].strip():
            cells = cells[:-1]
        extra = len(cells) - self.width
        if extra > 0:
            end = self.text + extra + 1
            cells = [*cells[: self.text], self.delimiter.join(cells[self.text : end]), *cells[end:]]
        return cells if len(cells) > max(self.text, self.label) else None

    def forced(self, record: str) -> list[str] | None:
        """The cells of a record that does not keep to the format: its quotes are letters."""
        cells = self.fitted(record.split(self.delimiter))
        return None if cells is None else [_unquoted(cell) for cell in cells]

    def label_in(self, line: str) -> str:
        """What stands in the label's place of a line taken by itself."""
        cells = line.split(self.delimiter)
        place = self.label - self.width if self.label > self.text else self.label
        return _unquoted(cells[place]) if -len(cells) <= place < len(cells) and len(cells) > 1 else ""


def csv_rows(path: Path, columns: Columns, is_label: Callable[[str], bool]) -> Iterator[RawRow]:
    """The rows of a CSV file, the broken ones with their fault.

    The delimiter is `,` `;` `|` or a tab, the encoding any of `decode.lines`. Whether a cell is the name of a
    department, `is_label` says; labels seen in sound rows count as well.
    """
    source = str(path)
    ahead = _Ahead(lines(path))
    shape = _header(ahead, columns, source)
    seen: set[str] = set()

    def known(label: str) -> bool:
        return label in seen or is_label(label)

    while (item := ahead.next()) is not None:
        number, line, encoding = item
        if line is None:
            yield RawRow(source, number, "", "", Reason.TOO_LONG)
            continue
        if not line.strip():
            continue
        repairs = (encoding,) if encoding else ()
        cells = shape.split(line)
        if cells is not None and len(cells) == shape.width:
            seen.add(cells[shape.label].strip())
            yield RawRow(source, number, cells[shape.text], cells[shape.label], None, repairs)
            continue
        cells, sound = _assembled(shape, line, ahead, known)
        if not sound:
            repairs = (*repairs, Repair.QUOTING)
        if cells is None:
            yield RawRow(source, number, line, "", Reason.BROKEN_ROW, repairs[:-1])
        else:
            yield RawRow(source, number, cells[shape.text], cells[shape.label], None, repairs)


class _Ahead:
    """Lines with a look at those to come."""

    def __init__(self, items: Iterator[tuple[int, str | None, Repair | None]]) -> None:
        self._items = items
        self._waiting: deque[tuple[int, str | None, Repair | None]] = deque()

    def next(self) -> tuple[int, str | None, Repair | None] | None:
        """The next line; None at the end."""
        return self._waiting.popleft() if self._waiting else next(self._items, None)

    def peek(self, count: int) -> Iterator[str]:
        """The next lines, at most `count`, up to one that could not be read."""
        for place in range(count):
            if place == len(self._waiting):
                item = next(self._items, None)
                if item is None:
                    return
                self._waiting.append(item)
            text = self._waiting[place][1]
            if text is None:
                return
            yield text

    def skip(self, count: int) -> None:
        """Take the next `count` lines away."""
        for _ in range(count):
            self._waiting.popleft()


def _header(ahead: _Ahead, columns: Columns, source: str) -> _Shape:
    names: list[str] = []
    for _ in range(20):
        item = ahead.next()
        if item is None or item[1] is None:
            break
        line = item[1].strip("\x00")
        if not line.strip() or line.lower().startswith("sep="):
            continue
        for delimiter in _DELIMITERS:
            found = next(csv.reader([line], delimiter=delimiter), [])
            if (places := columns.places(found)) is not None:
                return _Shape(delimiter, len(found), *places)
            names = max(names, found, key=len)
        break
    raise columns.missing(source, names)


def _assembled(
    shape: _Shape, first: str, ahead: _Ahead, known: Callable[[str], bool]
) -> tuple[list[str] | None, bool]:
    """The cells of the record that begins with `first`, and whether it kept to the format."""
    label_last = shape.label > shape.text
    if first.count('"') % 2 and not (label_last and known(shape.label_in(first))):
        record = first
        for count, line in enumerate(ahead.peek(_MOST_LINES), 1):
            record += "\n" + line
            row_of_its_own = known(shape.label_in(line))
            closed = record.count('"') % 2 == 0
            if row_of_its_own and not (label_last and closed):
                break
            if not closed:
                continue
            cells = shape.split(record)
            if cells is not None and len(cells) == shape.width:
                ahead.skip(count)
                return cells, True
            forced = shape.forced(record)
            if forced is not None and known(forced[shape.label]) and shape.forced(first) is None:
                ahead.skip(count)
                return forced, False
            break
    cells = shape.split(first)
    if cells is not None and (fitted := shape.fitted(cells)) is not None:
        return fitted, len(cells) <= shape.width
    return shape.forced(first), False


def _unquoted(cell: str) -> str:
    return cell.strip().removeprefix('"').removesuffix('"').replace('""', '"')
