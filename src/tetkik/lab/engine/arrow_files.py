"""Parquet files, and what `datasets` saves, read a batch at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tetkik.errors import DataError, MissingExtra

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
