"""Prepared pictures and columns on disk: NumPy's own files, read through memory maps.

A shard is a row of uint8: one square after another, (size, size) where its three channels are equal, else
(size, size, 3); the column `colour` says which. Nothing is lost by it, and most radiology is grey.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle.store import sha256_of
from tetkik.errors import DataError

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A file of a prepared folder as `prepared.json` lists it."""

    name: str
    rows: int
    bytes: int
    sha256: str


def write_array(path: Path, values: NDArray[Any], rows: int) -> ShardFile:
    """Write a file with the values of so many rows."""
    np.save(path, values, allow_pickle=False)
    return ShardFile(path.name, rows, path.stat().st_size, sha256_of(path))


def map_array(folder: Path, file: ShardFile) -> NDArray[Any]:
    """What `write_array` wrote, memory-mapped and read-only; its size and header are checked."""
    path = folder / file.name
    check_file(path, file)
    try:
        values: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        raise damaged(path) from None
    return values


class ShardWriter:
    """Takes squares one at a time and writes a shard whenever `limit` bytes of pixels have come."""

    def __init__(self, folder: Path, limit: int) -> None:
        self._folder = folder
        self._limit = limit
        self._squares: list[Bytes] = []
        self._bytes = 0
        self.colour: list[bool] = []
        self.files: list[ShardFile] = []

    def add(self, square: Bytes) -> None:
        """One picture, (size, size), uint8, where it is grey; else (size, size, 3)."""
        self._squares.append(square.reshape(-1))
        self.colour.append(square.ndim == 3)
        self._bytes += square.nbytes
        if self._bytes >= self._limit:
            self.close()

    def close(self) -> None:
        if self._squares:
            path = self._folder / f"shard-{len(self.files):05d}.npy"
            self.files.append(write_array(path, np.concatenate(self._squares), len(self._squares)))
            self._squares, self._bytes = [], 0


class Shards:
    """The squares of one split, in order, over all its shards; `colour`, (rows,), is that of the writer."""

    def __init__(
        self, folder: Path, files: Sequence[ShardFile], size: int, colour: NDArray[np.bool_]
    ) -> None:
        self._size = size
        self._parts = [map_array(folder, file) for file in files]
        self._starts = np.cumsum([0, *(file.rows for file in files)])
        if len(colour) != len(self):
            raise damaged(folder)
        self._lengths = np.where(colour, 3, 1) * size**2
        ends = np.cumsum([0, *self._lengths])
        self._begins = ends[:-1] - np.repeat(ends[self._starts[:-1]], np.diff(self._starts))
        lengths = np.diff(ends[self._starts])
        for file, part, length in zip(files, self._parts, lengths, strict=True):
            if part.dtype != np.uint8 or part.shape != (length,):
                raise damaged(folder / file.name)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def squares(self, rows: NDArray[np.int64]) -> Bytes:
        """(rows, size, size, 3), uint8, of rows in any order."""
        rows = np.asarray(rows, np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows must be 0 to {len(self) - 1}")
        found = np.empty((len(rows), self._size, self._size, 3), np.uint8)
        shards = np.searchsorted(self._starts, rows, side="right") - 1
        places = zip(shards.tolist(), self._begins[rows].tolist(), self._lengths[rows].tolist(), strict=True)
        for square, (shard, begin, length) in zip(found, places, strict=True):
            square[:] = self._parts[shard][begin : begin + length].reshape(self._size, self._size, -1)
        return found


def damaged(path: Path) -> DataError:
    """What to say of a prepared file that is not as it was written."""
    return DataError("{path} is cut short or altered; run `tetkik caption prepare` again.", path=path)


def check_file(path: Path, file: ShardFile) -> None:
    """Whether the file is there and as long as it was written."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise DataError("{path} is missing; run `tetkik caption prepare` again.", path=path) from None
    if size != file.bytes:
        raise damaged(path)
