"""Rows out of CSV, JSON lines, XLSX and Parquet, recognised by their content, one row at a time."""

from __future__ import annotations

import json
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from tetkik.errors import DataError, MissingExtra
from tetkik.lab.engine.arrow_files import arrow_batches, schema_of
from tetkik.lab.triage.clean.csvrows import csv_rows
from tetkik.lab.triage.clean.decode import decode, lines, wide_encoding
from tetkik.lab.triage.clean.rows import Columns, RawRow, Reason

_MOST_UNPACKED = 2 << 30
"""A workbook that unpacks to more, in bytes, is refused: a zip bomb, or no table of complaints."""
_MOST_RATIO = 300
_SAMPLE = 65536


class _Kind(StrEnum):
    CSV = "csv"
    JSON = "json"
    XLSX = "xlsx"
    PARQUET = "parquet"


def read_rows(path: Path, columns: Columns, is_label: Callable[[str], bool]) -> Iterator[RawRow]:
    """The rows of one file, in order; one that cannot be used comes with its fault.

    The content of CSV, JSON lines (or one JSON list), XLSX or Parquet decides, not the name. Whether a cell
    is the name of a department helps with CSV whose quotes are broken.

    Raises:
        DataError: not such a file, damaged, or without the columns.
        MissingExtra: a workbook or Parquet file, and its reader is not installed.
    """
    kind = _kind(path)
    if kind is _Kind.CSV:
        return csv_rows(path, columns, is_label)
    return {_Kind.JSON: _json_rows, _Kind.XLSX: _xlsx_rows, _Kind.PARQUET: _parquet_rows}[kind](path, columns)


def _kind(path: Path) -> _Kind:
    with path.open("rb") as file:
        head = file.read(_SAMPLE)
    if head.startswith(b"PAR1"):
        return _Kind.PARQUET
    if head.startswith(b"PK\x03\x04"):
        return _Kind.XLSX
    if head.startswith(b"\xd0\xcf\x11\xe0"):
        raise DataError("{path} is an old Excel file (.xls); save it as .xlsx or CSV.", path=path)
    if not head.strip(b"\x00\r\n\t \xef\xbb\xbf"):
        raise DataError("{path} is empty; give a file with a header and rows.", path=path)
    controls = sum(head.count(bytes([byte])) for byte in (*range(1, 9), *range(14, 32)))
    if wide_encoding(head) is None and (controls + head.count(0) > 0.1 * len(head)):
        raise DataError("{path} is not a table; give CSV, JSON lines, XLSX or Parquet.", path=path)
    start = head.replace(b"\x00", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n")[:200].lstrip()
    listed = start.startswith(b"[") and b"{" in start[:20]
    return _Kind.JSON if listed or start.startswith(b"{") else _Kind.CSV


def _cell(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else str(value)


def _json_rows(path: Path, columns: Columns) -> Iterator[RawRow]:
    source = str(path)
    places_of = lru_cache(columns.places)
    unlike: list[RawRow] = []
    names: list[str] = []
    usable = False
    for number, item, text in _json_items(path):
        keys = tuple(item or ())
        places = places_of(keys)
        if item is None or places is None:
            names = names or list(keys)
            row = RawRow(source, number, text, "", Reason.BROKEN_ROW)
            # Held back until one row shows that the columns are there at all.
            if usable:
                yield row
            elif len(unlike) < 10_000:
                unlike.append(row)
            continue
        if not usable:
            usable = True
            yield from unlike
        text_key, label_key = (keys[place] for place in places)
        yield RawRow(source, number, _cell(item[text_key]), _cell(item[label_key]))
    if not usable:
        raise columns.missing(source, names)


def _json_items(path: Path) -> Iterator[tuple[int, dict[str, Any] | None, str]]:
    """The objects of a JSON file with their line (or place in a list), None for what is no object."""
    with path.open("rb") as file:
        listed = file.read(_SAMPLE).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")
    if listed:
        try:
            items = json.loads("\n".join(line or "" for _, line, _ in lines(path)))
        except (ValueError, RecursionError):
            raise DataError(
                "{path} is a JSON list with a fault in it; write one object a line (JSON lines).", path=path
            ) from None
        for number, item in enumerate(items, 1):
            yield (number, item, "") if isinstance(item, dict) else (number, None, _cell(item))
        return
    for number, line, _ in lines(path):
        if line is None:
            yield number, None, ""
        if not line or not line.strip():
            continue
        try:
            item = json.loads(line.strip().strip("\x00").removesuffix(","))
        except (ValueError, RecursionError):
            item = None
        yield number, item if isinstance(item, dict) else None, line


def _xlsx_rows(path: Path, columns: Columns) -> Iterator[RawRow]:
    try:
        import openpyxl
    except ImportError:
        raise MissingExtra(
            "Reading {path} needs {package}, which is not installed; run `pip install 'tetkik[data]'`.",
            path=path,
            package="openpyxl",
        ) from None

    damaged = DataError(
        "{path} is not a sound workbook; open it, save it again as .xlsx, or give CSV.", path=path
    )
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(item.file_size for item in archive.infolist())
    except (zipfile.BadZipFile, OSError):
        raise damaged from None
    if unpacked > max(_MOST_RATIO * path.stat().st_size, 50 << 20) or unpacked > _MOST_UNPACKED:
        raise DataError(
            "{path} unpacks to {size} MB, far more than a table of complaints; give it as CSV.",
            path=path,
            size=unpacked >> 20,
        )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # extensions of Excel that do not concern the cells
        try:
            book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        except Exception:  # openpyxl raises whatever its parsers do
            raise damaged from None
        try:
            found = False
            names: Sequence[object] = ()
            for sheet in book.worksheets:
                sheet.reset_dimensions()
                rows = sheet.iter_rows(values_only=True, max_col=500)
                for number, header in enumerate(rows, 1):
                    names = names or [cell for cell in header if cell is not None]
                    places = columns.places([_cell(cell) for cell in header])
                    if places is not None or number == 10:
                        break
                else:
                    places = None
                if places is None:
                    continue
                found = True
                source = f"{path}#{sheet.title}"
                for place, row in enumerate(rows, number + 1):
                    text, label = (_cell(row[i]) if i < len(row) else "" for i in places)
                    if text or label or any(cell is not None for cell in row):
                        yield RawRow(source, place, text, label)
            if not found:
                raise columns.missing(str(path), [_cell(name) for name in names])
        except DataError:
            raise
        except Exception:  # a damaged sheet
            raise damaged from None
        finally:
            book.close()


def _parquet_rows(path: Path, columns: Columns) -> Iterator[RawRow]:
    source, names = str(path), schema_of(path).names
    places = columns.places(names)
    if places is None:
        raise columns.missing(source, names)
    chosen = [names[place] for place in places]
    number = 0
    for batch in arrow_batches(path, chosen, 8192):
        for text, label in zip(*(_arrow_cells(batch.column(name)) for name in chosen), strict=True):
            number += 1
            yield RawRow(source, number, text, label)


def _arrow_cells(column: Any) -> list[str]:
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    try:
        values = column.to_pylist()
    except UnicodeDecodeError:  # a string column of bytes that are not UTF-8
        values = column.cast(pa.binary()).to_pylist()
    return [decode(value)[0] if isinstance(value, bytes) else _cell(value) for value in values]
