"""A table as text, column by column: labels, captions, reports, as spreadsheets and scripts write them."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tetkik.csv_rows import open_rows
from tetkik.errors import DataError, MissingExtra

# Parquet files, and what `datasets` saves, read a batch at a time.


SplitName = TypeVar("SplitName")


def files_by_split(
    folder: Path, split_of: Callable[[str], SplitName | None], train: SplitName
) -> list[tuple[Path, SplitName]]:
    """The Parquet and Arrow files of a folder that name their split, in order of their names.

    A split is named by the file (`train-00000-of-00027`), by a folder that it is in, or by the state of
    `save_to_disk`; a data set that was saved by itself and says nothing is for training.
    """
    found = []
    for path in sorted((*folder.rglob("*.parquet"), *folder.rglob("*.arrow"))):
        split = _split_of_file(path, folder, split_of, train)
        if split is not None and not path.name.startswith("cache-"):
            found.append((path, split))
    return found


def _split_of_file(
    path: Path, folder: Path, split_of: Callable[[str], SplitName | None], train: SplitName
) -> SplitName | None:
    inner = path.relative_to(folder)
    for part in (path.stem, *reversed(inner.parts[:-1])):
        split = split_of(re.split(r"[-_.]", part)[0])
        if split is not None:
            return split
    state = path.parent / "state.json"
    if path.suffix == ".arrow" and state.is_file():
        try:
            split_name = json.loads(state.read_text("utf-8")).get("_split")
        except (ValueError, AttributeError):
            return None
        return split_of(str(split_name)) if split_name is not None else train
    return None


def arrow_library(path: Path) -> Any:
    """The package pyarrow, for reading `path`."""
    try:
        import pyarrow
    except ImportError:
        raise MissingExtra(
            "Reading {path} needs pyarrow, which is not installed; run `{extra}`.",
            extra="tables",
            path=path,
        ) from None
    return pyarrow


def damaged(path: Path) -> DataError:
    return DataError("{path} is damaged or cut short; fetch it again.", path=path)


def schema_of(path: Path) -> Any:
    """The schema of a file, with the metadata of `datasets` where that wrote it."""
    pa = arrow_library(path)
    try:
        if path.suffix == ".arrow":
            with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
                return stream.schema
        from pyarrow import parquet

        return parquet.read_schema(path)
    except (pa.ArrowException, OSError, ValueError):
        raise damaged(path) from None


def count_rows(path: Path) -> int:
    """Rows of a Parquet file by its footer; of an Arrow file by its batches, which are not decoded."""
    pa = arrow_library(path)
    try:
        if path.suffix == ".arrow":
            return sum(batch.num_rows for batch in arrow_batches(path))
        from pyarrow import parquet

        with parquet.ParquetFile(path) as file:
            return int(file.metadata.num_rows)
    except (pa.ArrowException, OSError, ValueError):
        raise damaged(path) from None


def arrow_batches(path: Path, columns: Sequence[str] | None = None, rows: int = 32) -> Iterator[Any]:
    """The rows, so many at a time, of these columns or of all; a field of a structure is `image.path`."""
    pa = arrow_library(path)
    try:
        if path.suffix != ".arrow":
            from pyarrow import parquet

            with parquet.ParquetFile(path) as file:
                yield from file.iter_batches(
                    batch_size=rows, columns=None if columns is None else list(columns)
                )
            return
        with pa.memory_map(str(path)) as source, pa.ipc.open_stream(source) as stream:
            for batch in stream:
                for start in range(0, batch.num_rows, rows):
                    part = batch.slice(start, rows)
                    yield part if columns is None else part.select([one.split(".")[0] for one in columns])
    except (pa.ArrowException, OSError, ValueError):
        raise damaged(path) from None


def values_of(path: Path, held: Any) -> list[Any]:
    """A batch or a column of `path` as Python's own values."""
    try:
        values: list[Any] = held.to_pylist()
    except ValueError:  # a text that is not UTF-8
        raise damaged(path) from None
    return values


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
