"""The decoded images of a training: grey, uint8, kept in a store (`engine.arrays`) so that no epoch decodes.

Their keys are the SHA-256 of the image files that they came from: an image file that is there twice, or again
in the next training, is decoded once. What an encoder says of images is kept alike (`embeddings`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle import sha256_of
from tetkik.errors import InputError, TrainingError
from tetkik.imaging.prepare import Preprocessing, to_square
from tetkik.imaging.read import read_image
from tetkik.lab.engine.arrays import ArrayStore, StoredArrays, free_bytes
from tetkik.settings import cores
from tetkik.values import ProgressCallback

Numbers = NDArray[Any]
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

    store: Numbers | StoredArrays
    """(images, size, size), uint8, memory-mapped; or of each image what an encoder says of it."""
    places: NDArray[np.int64]
    """(rows,), where each row's image stands in the store; -1 for a file that cannot be read."""

    @property
    def readable(self) -> NDArray[np.bool_]:
        return np.asarray(self.places >= 0)

    def batch(self, rows: NDArray[np.int64]) -> Numbers:
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


def fits(needed: int, folder: Path, limit: float, there: int = 0) -> bool:
    """Whether a store in `folder` stays within `limit` GiB and leaves room on the disk.

    It needs so many bytes more than are `there`.
    """
    return needed + there <= limit * _GIB and needed + _GIB <= free_bytes(folder)


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
    workers = workers or cores()
    if not fits(len(files) * preprocessing.size**2, folder, limit):
        return StreamedImages(files, preprocessing, workers)
    # Mean and deviation come after the square; two networks that differ there alone share a store.
    done = {key: value for key, value in preprocessing.as_json().items() if key not in {"mean", "std"}}
    store = ArrayStore(folder, "squares", done, (preprocessing.size, preprocessing.size), np.dtype(np.uint8))
    with ThreadPoolExecutor(workers) as pool:
        digests = digests_of(files, pool, progress)
        _fill(store, dict(zip(digests, files, strict=True)), preprocessing, pool, progress)
    places = store.open().places(digests)
    if len(files) and not (places >= 0).any():
        raise TrainingError(
            "Not one of the {count} images can be read; check that the table names files of --images.",
            count=len(files),
        )
    return CachedImages(store.arrays, places)


def _fill(
    store: ArrayStore,
    files: Mapping[str | None, Path],
    preprocessing: Preprocessing,
    pool: ThreadPoolExecutor,
    progress: ProgressCallback,
) -> None:
    """Decode what is missing."""
    there = store.places(files) >= 0
    missing = [item for item, known in zip(files.items(), there, strict=True) if item[0] and not known]
    for start in range(0, len(missing), _AT_ONCE):
        part, new = missing[start : start + _AT_ONCE], []
        images = pool.map(lambda item: decode_image(item[1], preprocessing), part)
        for done, ((digest, _), square) in enumerate(zip(part, images, strict=True), start + 1):
            progress("decoding images", done, len(missing))
            if digest is not None and square is not None:
                new.append((digest, square))
        store.add(new)


def digests_of(
    files: Sequence[Path], pool: ThreadPoolExecutor, progress: ProgressCallback
) -> list[str | None]:
    """The SHA-256 of each file; None where it cannot be read."""
    digests: list[str | None] = []
    for digest in pool.map(_digest, files):
        digests.append(digest)
        progress("hashing images", len(digests), len(files))
    return digests


def _digest(file: Path) -> str | None:
    try:
        return sha256_of(file)
    except OSError:
        return None
