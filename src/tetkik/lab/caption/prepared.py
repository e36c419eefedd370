"""A prepared folder: captioned pictures as a model takes them, opened one split at a time.

prepared.json               what it is, with the size and SHA-256 of every file
left_out.csv                rows that could not be used, each with its reason
duplicates.csv              rows of different splits that are alike
concepts.json               what the concepts are called
train/, valid/, test/
    rows.jsonl              id, file, caption, group, concepts, licence of each row
    NAME.npy                `prints`, `caption_prints`, `colour`, and with a base `tokens` and `token_ends`
    shard-00000.npy         the pictures, and so on
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle.store import sha256_of
from tetkik.caption.image_spec import ImageSpec
from tetkik.errors import DataError
from tetkik.statistics.intervals import Ints

# A captioned image as a source lists it, and the part of the data it belongs to.


class Split(StrEnum):
    """A part of the data. Nothing is chosen on `test`, and training never opens it."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


class LeftOutReason(StrEnum):
    """Why a row is left out."""

    NO_FILE = "its image file is missing"
    UNREADABLE = "its image cannot be read"
    UNSAFE_NAME = "its name leads out of the folder"
    NO_CAPTION = "it has no caption"
    NO_SPLIT = "its split is not known"
    REPEATED = "its name stands there twice"
    NOT_RGB = "its file is not stored as RGB"
    COPY = "its picture is also in a later split"
    SAID = "its caption is also in a later split"


def group_numbers(groups: Sequence[str | None], rows: Iterable[int]) -> Ints:
    """(rows,): which of `rows` belong together; a row of an unknown group is one of its own."""
    names: list[object] = [groups[row] or row for row in rows]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], np.int64)


@dataclass(frozen=True, slots=True)
class CaptionRow:
    """One image with its caption, before anything is read.

    `read` gives the bytes of its file, FileNotFoundError where there is none. A `group` (the case,
    or the article) must not cross splits.
    """

    id: str
    caption: str
    split: Split
    read: Callable[[], bytes]
    file: str
    group: str | None = None
    concepts: tuple[str, ...] = ()
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A row that cannot be used; `split` as the source has it, `detail` what the reason does not say."""

    id: str
    split: str
    file: str
    reason: LeftOutReason
    detail: str = ""


_CUI = re.compile(r"C\d{7}")
_MOST = 500
"""Concepts of one row; more are no concepts of one image."""


def is_cui(text: str) -> bool:
    """Whether it is a concept unique identifier: C and seven digits (UMLS Reference Manual, chapter 2)."""
    return _CUI.fullmatch(text) is not None


def concepts_of(cell: str) -> tuple[str, ...]:
    """The concepts in a cell, each once: CUIs wherever they stand, else tags apart by `

    `, or else by `;`.
    """
    found: Iterable[str] = _CUI.findall(cell.upper())
    if not found:
        found = (tag.strip() for tag in cell.split("|" if "|" in cell else ";"))
    return tuple(dict.fromkeys(tag for tag in found if tag))[:_MOST]


def joined(*parts: Iterable[str]) -> tuple[str, ...]:
    """Several lists as one, each concept once."""
    return tuple(dict.fromkeys(tag.strip() for part in parts for tag in part if tag and tag.strip()))[:_MOST]


# Prepared pictures and columns on disk: NumPy's own files, read through memory maps.
#
# A shard is a row of uint8: one square after another, (size, size) where its three channels are equal, else
# (size, size, 3); the column `colour` says which. Nothing is lost by it, and most radiology is grey.


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


FORMAT_VERSION = 1
PREPARED = "prepared.json"
ROWS = "rows.jsonl"
CONCEPTS = "concepts.json"
_LONGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class PartFiles:
    """The files of one split as `prepared.json` lists them."""

    shards: tuple[ShardFile, ...]
    others: tuple[ShardFile, ...]

    def all(self) -> tuple[ShardFile, ...]:
        return (*self.shards, *self.others)


class PreparedPart:
    """One split. Its captions are read when they are first asked for, its pictures are memory-mapped.

    Sizes of files are checked, contents are not read. The fingerprint is that of the tokenizer that made its
    tokens; None where there are none.
    """

    def __init__(self, folder: Path, files: PartFiles, size: int, fingerprint: str | None) -> None:
        self._folder = folder
        self._fingerprint = fingerprint
        for file in files.others:
            check_file(folder / file.name, file)
        self._columns = {
            file.name.removesuffix(".npy"): map_array(folder, file)
            for file in files.others
            if file.name.endswith(".npy")
        }
        self._shards = Shards(folder, files.shards, size, self._columns.get("colour", np.zeros(0, bool)))
        if files.others and any(
            len(self._columns.get(name, ())) != len(self) for name in ("prints", "caption_prints")
        ):
            raise damaged(folder)
        text = "".join(file.sha256 for file in files.shards)
        self.digest = hashlib.sha256(text.encode("ascii")).hexdigest()
        """SHA-256 over the hashes of the shards: which pictures these are."""

    def __len__(self) -> int:
        return len(self._shards)

    @cached_property
    def _rows(self) -> list[dict[str, Any]]:
        path = self._folder / ROWS
        if not len(self):
            return []
        try:
            with path.open(encoding="utf-8") as file:
                rows = [json.loads(line) for line in file]
        except ValueError:
            raise damaged(path) from None
        if len(rows) != len(self):
            raise damaged(path)
        return rows

    @cached_property
    def ids(self) -> tuple[str, ...]:
        return tuple(row["id"] for row in self._rows)

    @cached_property
    def files(self) -> tuple[str, ...]:
        """The image file of each row, as its source names it."""
        return tuple(row["file"] for row in self._rows)

    @cached_property
    def captions(self) -> tuple[str, ...]:
        """The cleaned caption of each row."""
        return tuple(row["caption"] for row in self._rows)

    @cached_property
    def groups(self) -> tuple[str | None, ...]:
        """The case or article of each row; None where unknown."""
        return tuple(row["group"] for row in self._rows)

    @cached_property
    def concepts(self) -> tuple[tuple[str, ...], ...]:
        """The UMLS concepts of each row, or the source's own tags."""
        return tuple(tuple(row["concepts"]) for row in self._rows)

    @cached_property
    def licences(self) -> tuple[str | None, ...]:
        """The licence of each row; None where unknown."""
        return tuple(row["licence"] for row in self._rows)

    @property
    def prints(self) -> NDArray[np.uint64]:
        """(rows,): 64 bits of each decoded picture."""
        return self._column("prints")

    @property
    def caption_prints(self) -> NDArray[np.uint64]:
        """(rows,): 64 bits of each caption's words; 0 where there are fewer than 8, which may repeat."""
        return self._column("caption_prints")

    def _column(self, name: str) -> NDArray[np.uint64]:
        return np.array(self._columns.get(name, ()), np.uint64)

    def tokens(self, fingerprint: str | None) -> list[NDArray[np.int32]] | None:
        """The tokens of each caption; None where the tokenizer of that fingerprint did not make them."""
        if fingerprint is None or fingerprint != self._fingerprint or "tokens" not in self._columns:
            return None if len(self) or fingerprint is None else []
        tokens, ends = self._columns["tokens"], self._columns["token_ends"]
        if len(ends) != len(self) or (len(ends) and (np.diff(ends, prepend=0) < 0).any()):
            raise damaged(self._folder / "tokens.npy")
        return np.split(np.array(tokens, np.int32), np.array(ends[:-1], np.int64)) if len(ends) else []

    def squares(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """(rows, size, size, 3), uint8, of rows in any order."""
        return self._shards.squares(rows)

    def stream(self, batch: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
        """Every row in order: (row numbers, squares), `batch` at a time, in bounded memory."""
        for start in range(0, len(self), batch):
            rows = np.arange(start, min(start + batch, len(self)), dtype=np.int64)
            yield rows, self.squares(rows)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A prepared folder; base and tokenizer's fingerprint are those it was prepared for, None for none."""

    folder: Path
    source: str
    image: ImageSpec
    base: str | None
    fingerprint: str | None
    max_tokens: int | None
    files: Mapping[Split, PartFiles]
    details: Mapping[str, Any]

    def part(self, split: Split) -> PreparedPart:
        """That split, and nothing of the others is opened; one that is not there has no rows."""
        files = self.files.get(split, PartFiles((), ()))
        return PreparedPart(self.folder / split.value, files, self.image.size, self.fingerprint)

    def rows(self, split: Split) -> int:
        return sum(file.rows for file in self.files.get(split, PartFiles((), ())).shards)

    def concept_names(self) -> Mapping[str, str]:
        """What each concept is called; empty where the source does not say."""
        path = self.folder / CONCEPTS
        try:
            return {str(name): str(text) for name, text in json.loads(path.read_text("utf-8")).items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError):
            raise damaged(path) from None

    def verify(self, splits: tuple[Split, ...] = tuple(Split)) -> None:
        """Read every file of these splits and compare its SHA-256."""
        for split in splits:
            for file in self.files.get(split, PartFiles((), ())).all():
                path = self.folder / split.value / file.name
                check_file(path, file)
                if sha256_of(path) != file.sha256:
                    raise damaged(path)


def is_prepared(folder: Path) -> bool:
    """Whether the folder was written by `tetkik caption prepare`."""
    return (folder / PREPARED).is_file()


def open_prepared(folder: Path) -> Prepared:
    """The prepared folder; no split is opened yet.

    Raises:
        DataError: it is none, it is damaged, or a newer Tetkik wrote it.
    """
    path = folder / PREPARED
    if not path.is_file() or path.stat().st_size > _LONGEST:
        raise DataError(
            "{path} is not a prepared folder; make one with `tetkik caption prepare SOURCE --out DIR`.",
            path=folder,
        )
    try:
        details = json.loads(path.read_text("utf-8"))
        version = int(details["format_version"])
        if version > FORMAT_VERSION:
            raise DataError(
                "{path} was prepared by a newer Tetkik (format {version}); update Tetkik, or prepare it "
                "again.",
                path=folder,
                version=version,
            )
        return Prepared(
            folder=folder,
            source=str(details["source"]["name"]),
            image=ImageSpec.from_json(details["image"]),
            base=details["base"],
            fingerprint=details["tokenizer"],
            max_tokens=details["max_tokens"],
            files={Split(name): _files_of(part) for name, part in details["splits"].items()},
            details=details,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise damaged(path) from None


def _files_of(part: Mapping[str, Any]) -> PartFiles:
    shards, others = (tuple(ShardFile(**item) for item in part[name]) for name in ("shards", "files"))
    for file in (*shards, *others):
        if not file.name or "/" in file.name or "\\" in file.name or file.rows < 0:
            raise ValueError(file.name)
    return PartFiles(shards, others)
