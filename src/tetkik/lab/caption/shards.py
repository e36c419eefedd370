"""Prepared pictures on disk: safetensors files that are written in a stream and read through memory maps.

A shard holds `grey`, (n, size, size), uint8, for pictures whose three channels are equal, `colour`,
(m, size, size, 3), uint8, for the others, and `place`, (rows,), int32: the number of each row's square among
the grey ones, or -1 minus that among the coloured ones. Nothing is lost by it, and most radiology is grey.

The format is simple enough to be written here: eight bytes with the length of a JSON header, the header,
the tensors (https://huggingface.co/docs/safetensors). So a shard is mapped without any package but NumPy.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import DataError

Bytes = NDArray[np.uint8]
_TYPES = {"U8": np.uint8, "I32": np.int32, "I64": np.int64, "U64": np.uint64}
_NAMES = {np.dtype(kind).str: name for name, kind in _TYPES.items()}
_LONGEST_HEADER = 1 << 20


def shard_name(number: int) -> str:
    return f"shard-{number:05d}.safetensors"


def write_tensors(path: Path, tensors: Mapping[str, NDArray[Any]]) -> tuple[int, str]:
    """Write a safetensors file of uint8, int32, int64 or uint64; its size in bytes and its SHA-256."""
    header: dict[str, object] = {}
    start = 0
    # The widest first, so that each tensor begins at a multiple of its own width.
    order = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))
    for name in order:
        tensor = tensors[name]
        end = start + tensor.nbytes
        kind = _NAMES[tensor.dtype.newbyteorder("<").str]
        header[name] = {"dtype": kind, "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    digest, size = hashlib.sha256(), 0
    with path.open("wb") as file:
        parts: list[bytes | memoryview] = [len(text).to_bytes(8, "little"), text]
        # A view of bytes cannot be taken of nothing.
        parts += [np.ascontiguousarray(tensors[name]).data.cast("B") for name in order if tensors[name].size]
        for part in parts:
            digest.update(part)
            size += file.write(part)
    return size, digest.hexdigest()


def map_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors of a safetensors file, memory-mapped and read-only."""
    size = path.stat().st_size
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(_LONGEST_HEADER, size - 8):
                raise ValueError("header")
            header = json.loads(file.read(length))
        found: dict[str, NDArray[Any]] = {}
        for name, item in header.items():
            if name == "__metadata__":
                continue
            kind, shape = np.dtype(_TYPES[item["dtype"]]), tuple(int(side) for side in item["shape"])
            start, end = (int(place) for place in item["data_offsets"])
            count = int(np.prod(shape, dtype=np.int64)) if min(shape, default=0) >= 0 else -1
            if count * kind.itemsize != end - start or not 0 <= start <= end <= size - 8 - length:
                raise ValueError(name)
            if count:
                found[name] = np.memmap(path, kind, "r", offset=8 + length + start, shape=shape)
            else:
                found[name] = np.zeros(shape, kind)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged(path) from None
    return found


def damaged(path: Path) -> DataError:
    """What to say of a prepared file that is not as it was written."""
    return DataError("{path} is cut short or altered; run `tetkik caption prepare` again.", path=path)


@dataclass(frozen=True, slots=True)
class ShardFile:
    """A file of a prepared folder as `prepared.json` lists it."""

    name: str
    rows: int
    bytes: int
    sha256: str


class ShardWriter:
    """Takes squares one at a time and writes a shard whenever `limit` bytes of pixels have come."""

    def __init__(self, folder: Path, size: int, limit: int) -> None:
        self._folder = folder
        self._size = size
        self._limit = limit
        self._grey: list[Bytes] = []
        self._colour: list[Bytes] = []
        self._places: list[int] = []
        self._bytes = 0
        self.files: list[ShardFile] = []

    def add(self, square: Bytes) -> None:
        """One picture, (size, size), uint8, where it is grey; else (size, size, 3)."""
        if square.ndim == 2:
            self._places.append(len(self._grey))
            self._grey.append(square)
        else:
            self._places.append(-1 - len(self._colour))
            self._colour.append(square)
        self._bytes += square.nbytes
        if self._bytes >= self._limit:
            self.close()

    def close(self) -> None:
        if not self._places:
            return
        name, size = shard_name(len(self.files)), self._size
        tensors: dict[str, NDArray[Any]] = {
            "place": np.array(self._places, np.int32),
            "grey": _stacked(self._grey, (size, size)),
            "colour": _stacked(self._colour, (size, size, 3)),
        }
        written, digest = write_tensors(self._folder / name, tensors)
        self.files.append(ShardFile(name, len(self._places), written, digest))
        self._grey, self._colour, self._places, self._bytes = [], [], [], 0


class Shards:
    """The squares of one split, in order, over all its shards; sizes and headers are checked."""

    def __init__(self, folder: Path, files: Sequence[ShardFile], size: int) -> None:
        self._size = size
        self._parts = [_mapped(folder, file, size) for file in files]
        self._starts = np.cumsum([0, *(file.rows for file in files)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def squares(self, rows: NDArray[np.int64]) -> Bytes:
        """(rows, size, size, 3), uint8, of rows in any order."""
        rows = np.asarray(rows, np.int64)
        if len(rows) and not 0 <= rows.min() <= rows.max() < len(self):
            raise IndexError(f"rows must be 0 to {len(self) - 1}")
        found = np.empty((len(rows), self._size, self._size, 3), np.uint8)
        shard = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(shard):
            part = self._parts[number]
            mine = np.flatnonzero(shard == number)
            places = part["place"][rows[mine] - self._starts[number]]
            for row, place in zip(mine.tolist(), places.tolist(), strict=True):
                if place >= 0:
                    found[row] = part["grey"][place][..., None]
                else:
                    found[row] = part["colour"][-1 - place]
        return found


def _stacked(squares: list[Bytes], shape: tuple[int, ...]) -> Bytes:
    return np.stack(squares) if squares else np.zeros((0, *shape), np.uint8)


def _mapped(folder: Path, file: ShardFile, size: int) -> dict[str, NDArray[Any]]:
    path = folder / file.name
    check_file(path, file)
    tensors = map_tensors(path)
    try:
        grey, colour, place = (tensors[name] for name in ("grey", "colour", "place"))
    except KeyError:
        raise damaged(path) from None
    fits = grey.shape[1:] == (size, size) and colour.shape[1:] == (size, size, 3)
    if not fits or place.shape != (file.rows,) or len(grey) + len(colour) != file.rows:
        raise damaged(path)
    if len(place) and not -len(colour) <= int(place.min()) <= int(place.max()) < len(grey):
        raise damaged(path)
    return tensors


def check_file(path: Path, file: ShardFile) -> None:
    """Whether the file is there and as long as it was written."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        raise DataError("{path} is missing; run `tetkik caption prepare` again.", path=path) from None
    if size != file.bytes:
        raise damaged(path)
