"""A table as text, column by column: labels, captions, reports, as spreadsheets and scripts write them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tetkik.csv_rows import open_rows
from tetkik.errors import DataError

BROKEN_ROW = "broken row: a quote that is not closed, too few or too many cells, or not UTF-8"


@dataclass(frozen=True, slots=True)
class Table:
    """The sound rows of a table; cells have no outer blanks."""

    path: Path
    columns: dict[str, list[str]]
    rows: int
    broken: int
    places: list[int]
    """Which row of the file each is, as a spreadsheet numbers them."""

    def __getitem__(self, name: str) -> list[str]:
        return self.columns[name]

    def get(self, name: str | None) -> list[str]:
        """A column; empty cells where the table has none of that name."""
        return self.columns.get(name or "") or [""] * self.rows

    def numbers(self, name: str) -> list[float]:
        """A column as numbers; NaN where a cell is none."""
        return [_number(cell) for cell in self[name]]

    def left_out(self) -> Counter[str]:
        """The broken rows under their reason."""
        return Counter({BROKEN_ROW: self.broken} if self.broken else {})

    def named(self, aliases: Sequence[str], *, need: bool = False) -> list[str]:
        """The column that has one of these names (see `column_named`); empty cells where there is none."""
        return self.get(column_named(self.path, self.columns, aliases, need=need))

    def first_of(self, names: Sequence[str]) -> str | None:
        """The first of `names` that is a column."""
        return next((name for name in names if name in self.columns), None)


def read_table(
    path: Path, *, need: Sequence[str] = (), wanted: Sequence[str] | None = None, complete: bool = False
) -> Table:
    """Read a delimited text file as `csv_rows.open_rows` does; None of `wanted` columns keeps all.

    A broken row, and one with fewer cells than columns, is left out and counted. Where the table must be
    `complete`, a broken row is raised; one that is short is filled with empty cells.
    """
    names, rows = open_rows(path, exact=not complete)
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
    cells_of = [(columns[name], names.index(name)) for name in kept]
    places: list[int] = []
    broken = 0
    for place, row in rows:
        if isinstance(row, DataError):
            if complete:
                raise row
            broken += 1
        elif row and not (complete and not any(map(str.strip, row))):
            places.append(place)
            for cells, column_place in cells_of:
                cells.append(row[column_place].strip())
    return Table(path, columns, len(places), broken, places)


def column_named(
    path: Path, names: Iterable[str], aliases: Sequence[str], *, need: bool = False
) -> str | None:
    """The column that has the first of these names that any has, whatever the case."""
    names = list(names)
    lower = {name.lower(): name for name in reversed(names)}
    found = next((lower[alias] for alias in aliases if alias in lower), None)
    if found is None and need:
        raise no_column(path, aliases[0], names)
    return found


def no_column(path: Path, column: str, names: Iterable[str]) -> DataError:
    return DataError(
        "{path} has no column {column} (its columns are: {names}); rename one or give another file.",
        path=path,
        column=column,
        names=", ".join(names)[:200],
    )


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan
