"""A hospital's own table as Parquet, or as a folder of `datasets`: labels beside the images themselves.

The columns are those of a CSV. Images lie in a column `image`, as bytes or as `datasets` keeps them (a
structure of `bytes` and `path`), or in files beside. Bytes are unpacked into files once, a few rows at a
time, since a training reads single images in any order.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

from tetkik.errors import DataError, OutputError
from tetkik.files import inside
from tetkik.lab.engine.checkpoint import room_on_disk
from tetkik.lab.engine.splits import Split
from tetkik.lab.engine.tables import Table, arrow_batches, files_by_split, schema_of, values_of
from tetkik.lab.findings.sources.files import ImageFolder, Reading, SourceSpec
from tetkik.lab.findings.sources.hospital_table import FILE_COLUMNS, OPTIONS, rows_of, split_named
from tetkik.lab.findings.sources.rows import Rows

__all__ = ["OPTIONS", "is_dataset", "read_parquet"]

_IMAGE_COLUMNS = ("image", "img", "picture", "pixels", "dicom")
_LONGEST = 4096
"""Letters of a cell; more are no label."""


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the columns of a file are."""

    image: str | None
    """The column with images inside."""
    bytes_: bool
    """Whether it is plain bytes, not a structure."""
    cells: tuple[str, ...]
    classes: Mapping[str, tuple[str, ...]]
    """The names of the numbers of a column, where `datasets` says them (`ClassLabel`)."""


def is_dataset(path: Path) -> bool:
    """Whether it is a Parquet file, or a folder with some, or of `save_to_disk`."""
    return path.suffix.lower() == ".parquet" or (path.is_dir() and bool(_files(path)))


def read_parquet(spec: SourceSpec, how: Reading) -> Rows:
    """Read a Parquet file or a folder of `datasets`; splits that files name are kept where they differ."""
    files = _files(spec.path) if spec.path.is_dir() else [(spec.path, None)]
    if not files or not spec.path.exists():
        raise DataError(
            "{path} is neither a Parquet file nor a folder with some; give one, or a table as CSV.",
            path=spec.path,
        )
    unpacked = Path(spec.options.get("images", spec.path.with_name(f"{spec.path.stem}.images")))
    beside = ImageFolder(spec.path if spec.path.is_dir() else spec.path.parent, check=how.check_files)
    columns: dict[str, list[str]] = {}
    found: dict[str, Path | None] = {}
    for path, split in files:
        shape = _shape(path)
        if columns and (differing := set(columns) ^ {*shape.cells, "file", "original", "split"}):
            raise DataError(
                "{path} and the files before it differ in the column {column}; give files of one kind.",
                path=path,
                column=min(differing),
            )
        store = _unpacked(path, shape, unpacked) if how.check_files else unpacked
        name = path.relative_to(spec.path).with_suffix("").as_posix() if spec.path.is_dir() else path.stem
        for number, (row, inner) in enumerate(_rows(path, shape)):
            file = f"{name}/{number:07d}"
            held = store / f"{number:07d}"
            original = inner or next((row[key] for key in FILE_COLUMNS if row.get(key)), "")
            cells = {**row, "original": row.get("original") or original, "file": file}
            cells["split"] = split.value if split else row.get("split", "")
            if not columns:
                columns.update({key: [] for key in cells})
            for key, column in columns.items():
                column.append(cells.get(key, ""))
            if shape.image and (not how.check_files or held.is_file()):
                found[file] = held
            else:
                relative = inside(original) if original else None
                found[file] = beside.find(relative) if relative else None
    rows = len(columns.get("file", ()))
    table = Table(spec.path, columns, rows, 0, list(range(1, rows + 1)))
    return rows_of(table, "file", spec, how, found.__getitem__)


def _files(folder: Path) -> list[tuple[Path, Split | None]]:
    files = files_by_split(folder, split_named, Split.TRAIN)
    if not files:
        return [(path, None) for path in sorted(folder.glob("*.parquet"))]
    if unnamed := sorted({*folder.rglob("*.parquet")} - {path for path, _ in files}):
        raise DataError(
            "The name of {path} says no split, and those of other files do; rename it, such as {example}.",
            path=unnamed[0],
            example=f"train-{unnamed[0].name}",
        )
    # One split alone is no division of the data.
    divided = len({split for _, split in files}) > 1
    return [(path, split if divided else None) for path, split in files]


def _shape(path: Path) -> _Shape:
    schema = schema_of(path)
    from pyarrow import types

    image, plain = None, False
    cells = []
    for field in schema:
        kind = field.type
        packed = types.is_binary(kind) or types.is_large_binary(kind)
        if packed or (types.is_struct(kind) and any(one.name == "bytes" for one in kind)):
            if field.name.lower() in _IMAGE_COLUMNS and image is None:
                image, plain = field.name, packed
        elif not types.is_nested(kind) or types.is_list(kind) or types.is_large_list(kind):
            cells.append(field.name)
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        classes = {name: names for name, feature in features.items() if (names := _names(feature))}
    except (ValueError, KeyError, TypeError, AttributeError):
        classes = {}
    return _Shape(image, plain, tuple(cells), classes)


def _names(feature: Any) -> tuple[str, ...]:
    """The names of a `ClassLabel`, or of those in a list."""
    while isinstance(feature, dict) and "feature" in feature:
        feature = feature["feature"]
    if isinstance(feature, list) and len(feature) == 1:
        feature = feature[0]
    names = feature.get("names") if isinstance(feature, dict) else None
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _rows(path: Path, shape: _Shape) -> Iterator[tuple[dict[str, str], str]]:
    """The cells of each row as a CSV would have them, and the name that its image had."""
    named = [] if shape.image is None or shape.bytes_ else [f"{shape.image}.path"]
    for batch in arrow_batches(path, [*shape.cells, *named]):
        for row in values_of(path, batch):
            inner = row.get(shape.image) if shape.image else None
            cells = {name: _cell(row[name], shape.classes.get(name, ())) for name in shape.cells}
            yield cells, str((inner or {}).get("path") or "").strip()


def _cell(value: Any, classes: Sequence[str]) -> str:
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return ""
    if isinstance(value, list):
        return ";".join(_cell(one, classes) for one in value)[:_LONGEST]
    if isinstance(value, bool):
        return str(int(value))
    if isinstance(value, int) and 0 <= value < len(classes):
        return classes[value]
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()[:_LONGEST]


def _unpacked(path: Path, shape: _Shape, folder: Path) -> Path:
    """The folder with the images of a file, one a row by its number; made where it is not there yet."""
    stat = path.stat()
    key = hashlib.sha256(f"{path.name} {stat.st_size} {stat.st_mtime_ns}".encode()).hexdigest()[:12]
    store = folder / f"{path.stem}-{key}"
    if shape.image is None or store.is_dir():
        return store
    # Several processes may do this at once: each has a folder of its own until it is whole.
    part = folder / f".{store.name}.{os.getpid()}"
    try:
        with room_on_disk(folder):
            part.mkdir(parents=True)
            for number, content in enumerate(_contents(path, shape)):
                if content:
                    (part / f"{number:07d}").write_bytes(content)
            if not store.is_dir():
                part.rename(store)
    except OSError:
        if not store.is_dir():
            raise OutputError(
                "The images of {path} cannot be unpacked into {folder}; name another folder with --images, "
                "or with the option images of the source.",
                path=path,
                folder=folder,
            ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return store


def _contents(path: Path, shape: _Shape) -> Iterator[bytes | None]:
    assert shape.image is not None
    for batch in arrow_batches(path, [shape.image]):
        for held in values_of(path, batch.column(0)):
            yield held if shape.bytes_ or held is None else held.get("bytes")
