"""The inputs of a run, listed once: a rerun reads the same inputs in the same parts, whatever came since.

A row group of the list is a part. The list holds paths and texts, and is removed when every part is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import RawIOBase
from typing import IO, Any, cast

import pyarrow as pa
from pyarrow import fs, parquet

from tetkik.bundle import Task
from tetkik.csv_rows import each_row
from tetkik.errors import DataError, InputError, TetkikError, file_fault
from tetkik.files import inside
from tetkik.fleet.bulk.job import TABLES, Job
from tetkik.fleet.bulk.location import Storage, unreachable

SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("source", pa.string()),
        ("source_row", pa.int64()),
        ("path", pa.string()),
        ("group", pa.int32()),
        ("column", pa.string()),
        ("text", pa.large_string()),
        ("error", pa.string()),
    ]
)
"""The number of the input; the file that it lies in, and the row there if that is a table; then one of: a
path below `Job.images`, a row group and column of the table, a text, what is wrong."""
_IMAGE_COLUMNS = ("image", "img", "picture", "pixels", "dicom")
_PATH_COLUMNS = ("path", "file", "filename", "file_name")
_TEXT_COLUMNS = ("text",)
_NO_IMAGES = (*TABLES[1:], ".txt", ".json", ".jsonl", ".xml", ".html", ".md", ".pdf")
"""What lies beside images and describes them; a file without an ending may be DICOM."""
_MOST_BYTES = 32 << 20
"""Of the texts in a part."""
_BATCH = 1024


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the list, without its number."""

    source: str
    source_row: int | None = None
    path: str | None = None
    group: int | None = None
    column: str | None = None
    text: str | None = None
    error: str | None = None


def write_listing(job: Job, target: IO[bytes], part_rows: int) -> int:
    """List the inputs as Parquet, in row groups of `part_rows`; the number of inputs.

    Raises:
        InputError: nothing is there, or it cannot be reached.
    """
    count, size = 0, 0
    rows: list[dict[str, object]] = []
    with parquet.ParquetWriter(target, SCHEMA) as writer:
        for entry in entries(job):
            rows.append({"row": count, **{name: getattr(entry, name) for name in SCHEMA.names[1:]}})
            count, size = count + 1, size + len(entry.text or "")
            if len(rows) == part_rows or size > _MOST_BYTES:
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                rows, size = [], 0
        if rows:
            writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
    if not count:
        raise InputError("There is nothing to score in {input}; check the path.", input=job.input.address)
    return count


def entries(job: Job) -> Iterator[Entry]:
    """Every input, in order; an entry with an error for a table, or a row of one, that cannot be read."""
    storage = job.input.open()
    try:
        kind = storage.kind()
        if kind == fs.FileType.NotFound:
            raise InputError("There is no file {file}; check the path.", file=job.input.address)
        names = storage.walk() if kind == fs.FileType.Directory else iter([""])
        for name in names:
            shown = name or storage.root.rsplit("/", 1)[-1]
            ending = shown.lower()
            images = job.task is Task.FINDINGS
            if ending.endswith(TABLES[:1] if images and name else TABLES):
                yield from _table(job, storage, name, shown)
            elif images and not ending.endswith((*_NO_IMAGES, "dicomdir")):
                yield Entry(shown, path=name)
    except OSError as error:
        raise (file_fault(error) if storage.local else unreachable(job.input.address)) from None


def _table(job: Job, storage: Storage, name: str, shown: str) -> Iterator[Entry]:
    try:
        if shown.lower().endswith(TABLES[0]):
            yield from _parquet(job, storage, name, shown)
        else:
            yield from _csv(job, storage, name, shown)
    except DataError as fault:  # what came before it is listed
        yield Entry(shown, error=_sentence(job, fault))


def _csv(job: Job, storage: Storage, name: str, shown: str) -> Iterator[Entry]:
    column = job.column or ("text" if job.task is Task.TRIAGE else "path")
    with storage.stream(name) as file:
        for number, row in enumerate(each_row(job.shown(shown), (column,), cast(RawIOBase, file))):
            yield _cell(job, shown, number, row if isinstance(row, DataError) else row[0])


def _parquet(job: Job, storage: Storage, name: str, shown: str) -> Iterator[Entry]:
    try:
        with storage.random_access(name) as opened, parquet.ParquetFile(opened) as file:
            column, packed = _column(job, file.schema_arrow, shown)
            number = 0
            if packed:
                for group in range(file.num_row_groups):
                    for _ in range(file.metadata.row_group(group).num_rows):
                        yield Entry(shown, number, path=name, group=group, column=column)
                        number += 1
                return
            for batch in file.iter_batches(_BATCH, columns=[column]):
                for value in batch.column(0).to_pylist():
                    yield _cell(job, shown, number, value)
                    number += 1
    except (pa.ArrowException, ValueError):
        raise damaged(job.shown(shown)) from None


def damaged(shown: str) -> DataError:
    return DataError("{path} is damaged or cut short; fetch it again.", path=shown)


def _column(job: Job, schema: Any, shown: str) -> tuple[str, bool]:
    """The column that is read, and whether it holds images and not their paths."""
    known = _TEXT_COLUMNS if job.task is Task.TRIAGE else (*_IMAGE_COLUMNS, *_PATH_COLUMNS)
    for name in (job.column,) if job.column else known:
        place = schema.get_field_index(name)
        kind = schema.field(place).type if place >= 0 else pa.null()
        if job.task is Task.FINDINGS and _holds_bytes(kind):
            return name, True
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return name, False
    raise DataError(
        "{path} has no column {column} that can be read (its columns are: {names}); name one with --column.",
        path=job.shown(shown),
        column=job.column or known[0],
        names=", ".join(schema.names)[:200],
    )


def _holds_bytes(kind: Any) -> bool:
    """Plain bytes, or a structure with them as `datasets` keeps images."""
    if pa.types.is_struct(kind):
        place = kind.get_field_index("bytes")
        return place >= 0 and _holds_bytes(kind.field(place).type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _cell(job: Job, shown: str, number: int, value: str | DataError | None) -> Entry:
    if isinstance(value, DataError):
        return Entry(shown, number, error=_sentence(job, value))
    if job.task is Task.TRIAGE and value is not None:
        return Entry(shown, number, text=value)
    path = inside(value or "")
    if path is not None:
        return Entry(shown, number, path=path)
    fault = DataError(
        "Row {row} of {path} has no text and no path below the folder of the images; correct it.",
        row=number + 1,
        path=job.shown(shown),
    )
    return Entry(shown, number, error=_sentence(job, fault))


def _sentence(job: Job, fault: TetkikError) -> str:
    return fault.in_language(job.language)
