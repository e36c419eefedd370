"""The decoded images of a training: grey, uint8, kept in one memory-mapped file so that no epoch decodes.

A store is two files: `squares-KEY.u8`, one image after another, and `squares-KEY.index`, the SHA-256 of the
image file that each came from, one a line. KEY stands for what was done to the images. Images are
appended as they are decoded, the index after them, so that a store which was cut off is taken up where it
ends. An image file that is there twice, or again in the next training, is decoded once.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import sha256_of
from tetkik.errors import InputError, TrainingError
from tetkik.imaging.prepare import Preprocessing, to_square
from tetkik.imaging.read import read_image
from tetkik.lab.engine.checkpoint import room_on_disk
from tetkik.values import ProgressCallback

Bytes = NDArray[np.uint8]

_AT_ONCE = 256
_GIB = 1 << 30
"""So much room is left on the disk."""


def decode_image(file: Path, preprocessing: Preprocessing) -> Bytes | None:
    """The square of one image file: (size, size), uint8; None where it cannot be read."""
    try:
        square = to_square(read_image(file), preprocessing)
    except (InputError, OSError):
        return None
    return np.rint(square * 255).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class CachedImages:
    """Images in a store; a file that could not be read is black and not `readable`, (rows,)."""

    store: Bytes
    """(images, size, size), memory-mapped."""
    places: NDArray[np.int64]
    """(rows,), where each row's image stands in the store; -1 for a file that cannot be read."""

    @property
    def readable(self) -> NDArray[np.bool_]:
        return np.asarray(self.places >= 0)

    def batch(self, rows: NDArray[np.int64]) -> Bytes:
        """The images of `rows`: (rows, size, size)."""
        places = self.places[rows]
        images = np.asarray(self.store[np.maximum(places, 0)])
        images[places < 0] = 0
        return images

    def only(self, rows: NDArray[np.int64]) -> CachedImages:
        return CachedImages(self.store, self.places[rows])


class StreamedImages:
    """As `CachedImages`, decoded each time they are asked for, where a store would be too large."""

    def __init__(self, files: Sequence[Path], preprocessing: Preprocessing, workers: int) -> None:
        self._files = files
        self._preprocessing = preprocessing
        self._workers = workers
        self._pool = ThreadPoolExecutor(workers)
        self.readable = np.ones(len(files), bool)

    def batch(self, rows: NDArray[np.int64]) -> Bytes:
        size = self._preprocessing.size
        images = np.zeros((len(rows), size, size), np.uint8)
        decoded = self._pool.map(lambda row: decode_image(self._files[row], self._preprocessing), rows)
        for place, (row, square) in enumerate(zip(rows, decoded, strict=True)):
            if square is None:
                self.readable[row] = False
            else:
                images[place] = square
        return images

    def only(self, rows: NDArray[np.int64]) -> StreamedImages:
        return StreamedImages([self._files[row] for row in rows], self._preprocessing, self._workers)


DecodedImages = CachedImages | StreamedImages


def _fits(images: int, preprocessing: Preprocessing, folder: Path, limit: float) -> bool:
    """Whether a store of `images` in `folder` is at most `limit` GiB and leaves room on the disk."""
    while not folder.exists():
        folder = folder.parent
    needed = images * preprocessing.size**2
    return needed <= limit * _GIB and needed + _GIB <= shutil.disk_usage(folder).free


def open_images(
    files: Sequence[Path],
    preprocessing: Preprocessing,
    folder: Path,
    *,
    limit: float,
    workers: int = 0,
    progress: ProgressCallback,
) -> DecodedImages:
    """The images of `files`, decoded now where the store has not got them yet.

    Args:
        limit: GiB above which they are decoded each time instead.
        workers: files decoded at once; 0 takes one a core.

    Raises:
        OutputError: the disk is full.
        TrainingError: not one image can be read.
    """
    workers = workers or os.cpu_count() or 1
    if not _fits(len(files), preprocessing, folder, limit):
        return StreamedImages(files, preprocessing, workers)
    folder.mkdir(parents=True, exist_ok=True)
    store = _Store(folder, preprocessing)
    with ThreadPoolExecutor(workers) as pool, room_on_disk(folder):
        places = store.fill(files, pool, progress)
    if len(files) and not (places >= 0).any():
        raise TrainingError(
            "Not one of the {count} images can be read; check that the table names files of --images.",
            count=len(files),
        )
    return CachedImages(store.images(), places)


class _Store:
    def __init__(self, folder: Path, preprocessing: Preprocessing) -> None:
        self._preprocessing = preprocessing
        self._shape = (preprocessing.size, preprocessing.size)
        # Mean and deviation come after the square; two networks that differ there alone share a store.
        done = {key: preprocessing.as_json()[key] for key in ("size", "fit", "stretch")}
        key = hashlib.sha256(json.dumps(done, sort_keys=True).encode()).hexdigest()[:12]
        self._data = folder / f"squares-{key}.u8"
        self._index = folder / f"squares-{key}.index"
        for file in (self._data, self._index):
            file.touch()
        self._known = {digest: place for place, digest in enumerate(self._whole())}

    def _whole(self) -> list[str]:
        """The digests of the images that are there whole; what a cut left behind them is taken away."""
        size = self._shape[0] * self._shape[1]
        lines = self._index.read_text("ascii").split("\n")[:-1]
        lines = lines[: self._data.stat().st_size // size]
        with self._index.open("r+") as index, self._data.open("r+b") as data:
            index.truncate(sum(len(line) + 1 for line in lines))
            data.truncate(len(lines) * size)
        return lines

    def fill(
        self, files: Sequence[Path], pool: ThreadPoolExecutor, progress: ProgressCallback
    ) -> NDArray[np.int64]:
        """Decode what is missing; the place of each file in the store, -1 where it cannot be read."""
        digests: list[str | None] = []
        for digest in pool.map(_digest, files):
            digests.append(digest)
            progress("hashing images", len(digests), len(files))
        by_digest = dict(zip(digests, files, strict=True))
        missing = [(key, file) for key, file in by_digest.items() if key and key not in self._known]
        done = 0
        with self._data.open("ab") as data, self._index.open("a", encoding="ascii") as index:
            for start in range(0, len(missing), _AT_ONCE):
                part, new = missing[start : start + _AT_ONCE], []
                images = pool.map(lambda item: decode_image(item[1], self._preprocessing), part)
                for (digest, _), square in zip(part, images, strict=True):
                    done += 1
                    progress("decoding images", done, len(missing))
                    if square is not None:
                        data.write(square.tobytes())
                        self._known[digest] = len(self._known)
                        new.append(f"{digest}\n")
                data.flush()
                index.write("".join(new))
                index.flush()
        return np.array([self._known.get(digest, -1) if digest else -1 for digest in digests], np.int64)

    def images(self) -> Bytes:
        """(images, size, size), read-only."""
        if not self._known:
            return np.zeros((1, *self._shape), np.uint8)
        shape = (len(self._known), *self._shape)
        return np.memmap(self._data, np.uint8, "r", shape=shape)


def _digest(file: Path) -> str | None:
    try:
        return sha256_of(file)
    except OSError:
        return None
