"""Arrays of one shape on the disk, memory-mapped: decoded images, and what frozen networks make of images.

A store is pairs of files: `NAME-0123456789ab.1a2b3c4d.u8`, one array after another, and `….index`, the key of
each, one a line; the first number stands for what was done to the arrays. Whoever adds has a pair of its own,
so that several processes and trainings share a store. Arrays are appended as they are made, their keys after
them, so that what was made before an interruption is found again.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.checkpoint import room_on_disk
from tetkik.statistics import Ints


class StoredArrays:
    """What a store holds, read-only: (arrays, ...), indexed by places, (rows,); zeros for an empty one."""

    def __init__(self, parts: Sequence[NDArray[Any]]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *map(len, parts)])
        self.dtype = parts[0].dtype
        self.shape: tuple[int, ...] = (int(self._starts[-1]), *parts[0].shape[1:])

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, places: Ints) -> NDArray[Any]:
        found = np.empty((len(places), *self.shape[1:]), self.dtype)
        part = np.searchsorted(self._starts, places, side="right") - 1
        for number in np.unique(part).tolist():
            here = part == number
            found[here] = self._parts[number][places[here] - self._starts[number]]
        return found


class ArrayStore:
    """Arrays of one shape, each under a key; `done` says what else they depend on."""

    def __init__(
        self, folder: Path, name: str, done: Mapping[str, Any], shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        self.folder, self.shape, self.dtype = folder, shape, dtype
        self.bytes = math.prod(shape) * dtype.itemsize
        """Of one array."""
        key = hashlib.sha256(json.dumps(done, sort_keys=True).encode()).hexdigest()[:12]
        self._name, self._ending = f"{name}-{key}", f".{dtype.kind}{8 * dtype.itemsize}"
        self._own = f"{self._name}.{uuid.uuid4().hex[:8]}"
        self.open()

    def open(self) -> ArrayStore:
        """Find what is there now, whoever added it; what a cut left of an array or a key does not count."""
        parts: list[NDArray[Any]] = []
        self._places: dict[str, int] = {}
        count = 0
        for file in sorted(self.folder.glob(f"{self._name}*.index")):
            data = file.with_suffix(self._ending)
            keys = file.read_text("ascii").split("\n")[:-1]
            keys = keys[: data.stat().st_size // self.bytes] if data.is_file() else []
            if keys:
                parts.append(np.memmap(data, self.dtype, "r", shape=(len(keys), *self.shape)))
                self._places |= {key: count + place for place, key in enumerate(keys)}
                count += len(keys)
        self.arrays = StoredArrays(parts or [np.zeros((1, *self.shape), self.dtype)])
        return self

    def places(self, keys: Iterable[str | None]) -> Ints:
        """Where in `arrays` each stands; -1 where it is not there."""
        return np.array([-1 if key is None else self._places.get(key, -1) for key in keys], np.int64)

    def add(self, arrays: Sequence[tuple[str, NDArray[Any]]]) -> None:
        """Append some arrays, and then their keys; `open` finds them.

        Raises:
            OutputError: the disk is full.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (
            room_on_disk(self.folder),
            (self.folder / f"{self._own}{self._ending}").open("ab") as data,
            (self.folder / f"{self._own}.index").open("a", encoding="ascii") as keys,
        ):
            data.writelines(array.astype(self.dtype, copy=False).tobytes() for _, array in arrays)
            data.flush()
            keys.writelines(f"{key}\n" for key, _ in arrays)


def free_bytes(folder: Path) -> int:
    """Bytes that are free on the disk of a folder, which need not be there yet."""
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.is_dir())).free
