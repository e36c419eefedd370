"""Tables of text as the sources have them: CSV with any of four delimiters, and the lists of ROCO."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

from tetkik.errors import DataError

_DELIMITERS = ",;\t|"
_LONGEST_CELL = 1 << 20
_LONGEST_LINE = 4 << 20


@dataclass(frozen=True, slots=True)
class Table:
    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def place(self, aliases: Sequence[str]) -> int | None:
        """The place of the first column that has one of these names, whatever the case."""
        lower = [name.lower() for name in self.columns]
        return next((lower.index(alias) for alias in aliases if alias in lower), None)

    def needed(self, aliases: Sequence[str]) -> int:
        """As `place`, where there must be such a column."""
        place = self.place(aliases)
        if place is None:
            raise DataError(
                "{path} has no column {column} (its columns are: {names}); rename the one that holds it.",
                path=self.path,
                column=aliases[0],
                names=", ".join(self.columns)[:200],
            )
        return place


def read_table(path: Path) -> Table:
    """A CSV file with a header; the delimiter is the one that its header has most of.

    Rows that are too short are filled with empty cells, and surplus cells are dropped.
    """
    csv.field_size_limit(_LONGEST_CELL)
    lines = _lines(path)
    header = next((line for line in lines if line.strip()), None)
    if header is None:
        raise DataError("{path} is empty; give a table with a header and rows.", path=path)
    delimiter = max(_DELIMITERS, key=header.count)

    reader = csv.reader(chain([header], lines), delimiter=delimiter)
    try:
        columns = tuple(name.strip() for name in next(reader))
        width = len(columns)
        rows = [tuple((row + [""] * width)[:width]) for row in reader if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise DataError(
            "{path} is not readable as CSV at line {line} ({fault}); correct that line.",
            path=path,
            line=reader.line_num,
            fault=error,
        ) from None
    return Table(path, columns, rows)


def listed(path: Path, delimiter: str = "\t") -> Iterator[tuple[str, list[str]]]:
    """The lines of a list without a header: a name, and the cells behind it; none where there is no file."""
    for line in _lines(path) if path.is_file() else ():
        name, *cells = line.rstrip("\r\n").split(delimiter)
        if name.strip():
            yield name.strip(), [cell.strip() for cell in cells]


def _lines(path: Path) -> Iterator[str]:
    with path.open("rb") as file:
        for number, raw in enumerate(iter(lambda: file.readline(_LONGEST_LINE), b""), 1):
            if len(raw) == _LONGEST_LINE:
                raise DataError(
                    "{path} has a line of more than {most} MB, line {line}; it is no table of captions.",
                    path=path,
                    most=_LONGEST_LINE >> 20,
                    line=number,
                )
            try:
                text = raw.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise DataError(
                    "{path} is not UTF-8 in line {line}; save it as UTF-8.", path=path, line=number
                ) from None
            if "\0" in text:
                raise DataError("{path} is not a text file; give a table as CSV or TSV.", path=path)
            yield text
