"""What the gate learns from: small squares of whole images, with what is known of each."""

from __future__ import annotations

import csv
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import DataError, InputError
from tetkik.imaging.prepare import Preprocessing, to_square
from tetkik.lab.gate.synthetic_negatives import draw_scene
from tetkik.statistics import Ints
from tetkik.values import FileFormat, Fit, ProgressCallback, Radiograph

CHEST, BRAIN, OTHER, NOT_CHEST = range(4)
"""Kinds of examples; `NOT_CHEST` may be a slice of a brain MRI or not."""
DRAWN = "drawn"
"""The source of scenes."""

SIDE = 128
"""Side of the squares kept, a little more than the network's input."""
_SQUEEZED = Preprocessing(size=SIDE, mean=(0.0,), std=(1.0,), fit=Fit.SQUASH)


@dataclass(frozen=True, slots=True)
class Collection:
    """Files with their kind and source; rows of a patient, a case or of duplicates share a group."""

    files: tuple[Path, ...]
    kind: tuple[int, ...]  # `CHEST`, `BRAIN`, `OTHER` or `NOT_CHEST`
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
    """Images of known kind, with group and source as in `Collection`."""

    squares: NDArray[np.uint8]  # (n, SIDE, SIDE), uint8: whole images squeezed into a square
    aspect: NDArray[np.float32]  # (n,), float32, width over height of each image
    kind: Ints
    group: Ints
    source: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.squares)

    def only(self, rows: Ints) -> Examples:
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


TABLE = "captions.csv"
_SLICES = frozenset({"Axial", "Coronal", "Sagittal", "Transverse"})
_PROJECTED = re.compile(
    r"scout|topogram|locali[sz]er|plain (?:film|radio)|radiograph|x-?ray|photograph|ultraso", re.IGNORECASE
)
_ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".dcm"})


def read_others(folder: Path) -> Collection:
    """The images of `folder` that are known to be no chest radiograph.

    With a `captions.csv` (columns file, concepts, caption, case; concepts such as
    `MR|MR - T2 weighted|Axial|Brain and Neuro|Head|ACR 1.3`) only cross-sections count: rows that are not
    axial, coronal, sagittal or transverse, or whose caption speaks of a scout view, a radiograph, an
    ultrasound or a photograph, are left out, since a scout view of the chest is a chest radiograph. An MR
    slice of the head under "Brain and Neuro" with the ACR code of the skull and its contents is a brain
    slice, unless it is an angiogram; any other MR of the head may be one or not.
    Without the table every image in the folder is one of its own, and is neither.

    Raises:
        DataError: there is no image, or the table lacks a column.
    """
    table = folder / TABLE
    found = _of_table(table) if table.is_file() else _of_folder(folder)
    if not len(found):
        raise DataError("{path} holds no image that could be learned from; check the path.", path=folder)
    return found


def _of_table(table: Path) -> Collection:
    with table.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = {"file", "concepts", "caption", "case"} - set(reader.fieldnames or ())
        if missing:
            raise DataError(
                "{path} lacks the columns {columns}; add them, or give a folder without the table.",
                path=table,
                columns=", ".join(sorted(missing)),
            )
        rows = [(row, kind) for row in reader if (kind := _kind(row["concepts"], row["caption"])) is not None]
    cases = {case: number for number, case in enumerate(dict.fromkeys(row["case"] for row, _ in rows))}
    return Collection(
        files=tuple(table.parent / row["file"] for row, _ in rows),
        kind=tuple(kind for _, kind in rows),
        group=tuple(cases[row["case"]] for row, _ in rows),
        source=(table.parent.name,) * len(rows),
    )


def _kind(concepts: str, caption: str) -> int | None:
    words = concepts.split("|")
    if _SLICES.isdisjoint(words) or _PROJECTED.search(caption):
        return None
    if words[0] != "MR" or "Head" not in words:
        return OTHER
    brain = "Brain and Neuro" in words and words[-1].startswith("ACR 1.") and "MRA" not in words[1]
    return BRAIN if brain else NOT_CHEST


def _of_folder(folder: Path) -> Collection:
    files = tuple(sorted(path for path in folder.rglob("*") if path.suffix.lower() in _ENDINGS))
    return Collection(files, (OTHER,) * len(files), tuple(range(len(files))), (folder.name,) * len(files))
