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
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.bundle.store import sha256_of
from tetkik.caption.image_spec import ImageSpec
from tetkik.errors import DataError
from tetkik.lab.caption.data import Split
from tetkik.lab.caption.shards import ShardFile, Shards, check_file, damaged, map_array

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


class Part:
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

    def part(self, split: Split) -> Part:
        """That split, and nothing of the others is opened; one that is not there has no rows."""
        files = self.files.get(split, PartFiles((), ()))
        return Part(self.folder / split.value, files, self.image.size, self.fingerprint)

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
