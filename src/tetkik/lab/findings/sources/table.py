"""A table of labels as text: delimited, perhaps compressed, as spreadsheets and scripts write it.

A row that is broken costs itself alone. A record may go on over several lines only where its quote then
closes as the format says (RFC 4180) and it has the header's columns; else its first line is left out and
reading goes on at the next.
"""

from __future__ import annotations

import csv
import gzip
import io
import math
import zlib
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tetkik.errors import DataError
from tetkik.lab.findings.sources.rows import LeftOut

_LONGEST_LINE = 1 << 20
_MOST_LINES = 50
"""A cell of more lines than this is taken for a quote that is not closed."""
_CHUNK = 20_000
_BLOCK = 1 << 18
_BROKEN = '""'
"""A line with one empty cell: what is read in place of a line that is broken. An empty line has no cell."""
_CONTROLS = bytes([*range(9), *range(14, 27), 28, 29, 30, 31])


@dataclass(frozen=True, slots=True)
class Table:
    """The sound rows of a table, column by column; cells have no outer blanks."""

    path: Path
    columns: dict[str, list[str]]
    rows: int
    broken: int
    places: list[int]
    """Which row of the file each is, as a spreadsheet numbers them."""

    def __getitem__(self, name: str) -> list[str]:
        return self.columns[name]

    def get(self, name: str) -> list[str]:
        """A column; empty cells where the table has none of that name."""
        return self.columns.get(name) or [""] * self.rows

    def numbers(self, name: str) -> list[float]:
        """A column as numbers; NaN where a cell is none."""
        return [_number(cell) for cell in self[name]]

    def left_out(self) -> Counter[str]:
        """The broken rows under their reason."""
        return Counter({LeftOut.BROKEN.value: self.broken} if self.broken else {})

    def first_of(self, names: Sequence[str]) -> str | None:
        """The first of `names` that is a column."""
        return next((name for name in names if name in self.columns), None)


def read_table(path: Path, *, need: Sequence[str] = (), wanted: Sequence[str] | None = None) -> Table:
    """Read a delimited text file, UTF-8 with or without a byte order mark, `.gz` or not.

    The delimiter (comma, semicolon, tab, bar) is the header's most frequent; lines end in LF, CRLF or CR. Of
    `wanted` columns those that are there are kept; None keeps all.
    """
    with path.open("rb") as raw:
        packed = raw.peek(2)[:2] == b"\x1f\x8b"
        try:
            with gzip.GzipFile(fileobj=raw) if packed else raw as binary:
                head = binary.peek(1 << 12)[: 1 << 12]
                if head.translate(None, _CONTROLS) != head:
                    raise DataError("{path} is not a text file; give a table as CSV.", path=path)
                with io.TextIOWrapper(binary, "utf-8-sig", errors="surrogateescape", newline=None) as text:
                    return _read(path, text, need, wanted)
        except (EOFError, zlib.error, gzip.BadGzipFile):
            raise DataError("{path} is a damaged gzip file; fetch it again.", path=path) from None


def _read(path: Path, text: io.TextIOWrapper, need: Sequence[str], wanted: Sequence[str] | None) -> Table:
    lines = _lines(text)
    first, header = next(((at, line) for at, line in enumerate(lines, 1) if line.strip()), (0, ""))
    delimiter = max(",;\t|", key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter), [])]
    while names and not names[-1]:
        names.pop()
    if len(names) < 2:
        raise DataError("{path} has no header with two columns or more; give a table as CSV.", path=path)
    for column in need:
        if column not in names:
            raise no_column(path, column, names)
    kept = [name for name in dict.fromkeys(names) if name and (wanted is None or name in wanted)]
    for name in kept:
        if names.count(name) > 1:
            raise DataError("{path} has two columns {column}; rename one.", path=path, column=name)
    columns: dict[str, list[str]] = {name: [] for name in kept}
    places = [(columns[name], names.index(name)) for name in kept]
    kept_at: list[int] = []
    broken, at = 0, first + 1
    records = csv.reader(_whole(lines, delimiter, len(names)), delimiter=delimiter, strict=True)
    for chunk in _chunks(records):
        sound = [row for row in chunk if _fits(row, len(names))]
        broken += sum(map(bool, chunk)) - len(sound)
        kept_at.extend(place for place, row in enumerate(chunk, at) if _fits(row, len(names)))
        at += len(chunk)
        by_column = list(zip(*sound, strict=False))
        for cells, place in places:
            cells.extend(map(str.strip, by_column[place] if by_column else ()))
    return Table(path, columns, len(kept_at), broken, kept_at)


def no_column(path: Path, column: str, names: Iterable[str]) -> DataError:
    return DataError(
        "{path} has no column {column} (its columns are: {names}); rename one or give another file.",
        path=path,
        column=column,
        names=", ".join(names)[:200],
    )


def _fits(cells: list[str], width: int) -> bool:
    """Whether a row has the header's cells; empty ones too many do no harm."""
    return len(cells) == width or (len(cells) > width and not any(cells[width:]))


def _chunks(reader: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    """The records in blocks; one that the parser refuses is a record of one empty cell."""
    while True:
        block: list[list[str]] = []
        try:
            block.extend(islice(reader, _CHUNK))
        except csv.Error:
            block.append([""])
        if not block:
            return
        yield block


def _lines(text: io.TextIOWrapper) -> Iterator[str]:
    """The lines without their ends; of one that is too long no more than its beginning is kept."""
    rest = ""
    while block := text.read(_BLOCK):
        *whole, rest = (rest + block).split("\n")
        yield from whole
        rest = rest[:_LONGEST_LINE]
    if rest:
        yield rest


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _whole(lines: Iterator[str], delimiter: str, width: int) -> Iterator[str]:
    """One string a record: lines joined where a quoted cell goes on, `_BROKEN` where nothing can be made."""
    waiting: deque[str] = deque()
    while (line := waiting.popleft() if waiting else next(lines, None)) is not None:
        if len(line) >= _LONGEST_LINE or not (line.isascii() or _is_text(line)):
            yield _BROKEN
        elif '"' not in line or line.count('"') % 2 == 0 or _is_record(line, delimiter, width):
            yield line
        else:
            parts = [line]
            while len(parts) < _MOST_LINES:
                following = waiting.popleft() if waiting else next(lines, None)
                if following is None:
                    break
                parts.append(following)
                if following.count('"') % 2:
                    break
            joined = "\n".join(parts)
            if _is_text(joined) and _is_record(joined, delimiter, width):
                yield joined
            else:
                yield _BROKEN
                waiting.extendleft(reversed(parts[1:]))


def _is_text(line: str) -> bool:
    """Whether every byte of the line was UTF-8."""
    try:
        line.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _is_record(joined: str, delimiter: str, width: int) -> bool:
    try:
        return [len(cells) for cells in csv.reader([joined], delimiter=delimiter, strict=True)] == [width]
    except csv.Error:
        return False
