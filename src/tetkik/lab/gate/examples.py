"""What the gate learns from: small squares of whole images, with what is known of each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import InputError
from tetkik.imaging.prepare import Fit, Preprocessing, to_square
from tetkik.lab.gate.synthetic_negatives import draw_scene
from tetkik.values import FileFormat, ProgressCallback, Radiograph

CHEST, BRAIN, OTHER, NOT_CHEST = range(4)
"""Kinds of examples; `NOT_CHEST` may be a slice of a brain MRI or not."""
DRAWN = "drawn"
"""The source of scenes."""

SIDE = 128
"""Side of the squares kept, a little more than the network's input."""
_SQUEEZED = Preprocessing(size=SIDE, mean=(0.0,), std=(1.0,), fit=Fit.SQUASH)


@dataclass(frozen=True, slots=True)
class Collection:
    """Files of known kind, `CHEST`, `BRAIN`, `OTHER` or `NOT_CHEST`, and where each is from.

    Rows of a patient, a case or of duplicates share a group.
    """

    files: tuple[Path, ...]
    kind: tuple[int, ...]
    group: tuple[int, ...]
    source: tuple[str, ...]

    def __post_init__(self) -> None:
        if len({len(self.files), len(self.kind), len(self.group), len(self.source)}) != 1:
            raise ValueError("columns differ in length")

    def __len__(self) -> int:
        return len(self.files)

    def with_more(self, other: Collection) -> Collection:
        """These and `other`, whose groups stay apart."""
        offset = max(self.group, default=-1) + 1
        return Collection(
            self.files + other.files,
            self.kind + other.kind,
            self.group + tuple(group + offset for group in other.group),
            self.source + other.source,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Images of known kind, with group and source as in `Collection`.

    Attributes:
        squares: (n, SIDE, SIDE), uint8: whole images squeezed into a square.
        aspect: (n,), float32, width over height of each image.
    """

    squares: NDArray[np.uint8]
    aspect: NDArray[np.float32]
    kind: NDArray[np.int64]
    group: NDArray[np.int64]
    source: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.squares)

    def only(self, rows: NDArray[np.int64]) -> Examples:
        return Examples(
            self.squares[rows],
            self.aspect[rows],
            self.kind[rows],
            self.group[rows],
            tuple(self.source[row] for row in rows),
        )

    def with_more(self, other: Examples) -> Examples:
        """These and `other`, whose groups stay apart."""
        offset = int(self.group.max(initial=-1)) + 1
        return Examples(
            np.concatenate([self.squares, other.squares]),
            np.concatenate([self.aspect, other.aspect]),
            np.concatenate([self.kind, other.kind]),
            np.concatenate([self.group, other.group + offset]),
            self.source + other.source,
        )


def square_of(image: Radiograph) -> NDArray[np.uint8]:
    """An image as (SIDE, SIDE), uint8, stretched to its own range: 16-bit films may use little of it."""
    square = to_square(image, _SQUEEZED)
    low, high = float(square.min()), float(square.max())
    return np.round((square - low) * (255 / max(high - low, 1e-6))).astype(np.uint8)


def gather(collection: Collection, workers: int, progress: ProgressCallback) -> Examples:
    """Read every image of a collection; what cannot be read is left out."""
    squares, aspects, rows = [], [], []
    with ThreadPoolExecutor(workers) as pool:
        for row, found in enumerate(pool.map(_read, collection.files)):
            progress("images", row + 1, len(collection))
            if found is not None:
                squares.append(found[0])
                aspects.append(found[1])
                rows.append(row)
    return Examples(
        np.array(squares, np.uint8).reshape(-1, SIDE, SIDE),
        np.array(aspects, np.float32),
        np.array(collection.kind, np.int64)[rows],
        np.array(collection.group, np.int64)[rows],
        tuple(collection.source[row] for row in rows),
    )


def drawn(count: int, seed: int) -> Examples:
    """Scenes of the project's own drawing, each a group of its own."""
    random = np.random.default_rng(seed)
    images = [
        Radiograph(pixels=draw_scene(random), white=255, file_format=FileFormat.PNG, sha256="")
        for _ in range(count)
    ]
    return Examples(
        np.array([square_of(image) for image in images], np.uint8).reshape(-1, SIDE, SIDE),
        np.array([image.columns / image.rows for image in images], np.float32),
        np.full(count, OTHER, np.int64),
        np.arange(count),
        (DRAWN,) * count,
    )


def _read(file: Path) -> tuple[NDArray[np.uint8], float] | None:
    from tetkik.imaging.read import read_image

    try:
        image = read_image(file)
    except InputError:
        return None
    return square_of(image), image.columns / image.rows
