"""What triage learns from: complaints with a department each, their duplicate groups and folds."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tetkik.csv_rows import read_columns
from tetkik.errors import DataError
from tetkik.lab.engine.duplicate_texts import canonical
from tetkik.lab.engine.results import only_rows
from tetkik.statistics import Ints
from tetkik.values import DEPARTMENTS


@dataclass(frozen=True, slots=True)
class Complaints:
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    left_out: dict[str, int]

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels):
            raise ValueError("texts and labels differ in length")

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, rows: Sequence[int] | Ints) -> Complaints:
        """These rows, in this order."""
        return only_rows(self, rows, "texts", "labels")


def in_order(labels: Iterable[str]) -> tuple[str, ...]:
    """The distinct labels: the built-in departments in their order, then any others by name."""
    found = set(labels)
    return (*(name for name in DEPARTMENTS if name in found), *sorted(found - set(DEPARTMENTS)))


def numbered(labels: Sequence[str], order: Sequence[str]) -> Ints:
    """The index of each label in `order`, (labels,), int64."""
    place = {label: index for index, label in enumerate(order)}
    return np.array([place[label] for label in labels], dtype=np.int64)


def fingerprint(complaints: Complaints) -> str:
    """SHA-256 that tells the same rows again, in whatever order; no text can be led back from it."""
    rows = sorted(
        hashlib.sha256(f"{label}\x00{text}".encode()).digest()
        for text, label in zip(complaints.texts, complaints.labels, strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def read_complaints(path: Path, *, labels: Sequence[str] | None = None) -> Complaints:
    """Read the columns `text` and `label` (CSV, UTF-8 with or without BOM, comma or semicolon or tab).

    With `labels`, rows of other labels are left out and counted.

    Raises:
        DataError: not UTF-8, a column is missing, or no row is left.
    """
    kept: list[tuple[str, str]] = []
    left_out: Counter[str] = Counter()
    for text, written in read_columns(path, ("text", "label")):
        label = _tidy(written)
        if not text.strip():
            left_out["empty text"] += 1
        elif is_missing(label):
            left_out["no label"] += 1
        elif labels is not None and label not in labels:
            left_out["label not among the departments"] += 1
        else:
            kept.append((text, label))
    if not kept:
        raise DataError(
            "{path} has no row with a text and a usable label; check the columns {text} and {label}.",
            path=path,
            text="text",
            label="label",
        )
    texts, departments = zip(*kept, strict=True)
    return Complaints(texts, departments, dict(left_out))


def read_invented(path: Path, *, labels: Collection[str]) -> Complaints:
    """Read the training split of a table like data/invented-complaints: `text`, `departments`, `split`.

    The label is the first of the departments, which `;` divides; rows with another are left out.

    Raises:
        DataError: not UTF-8, a column is missing, or no row is left.
    """
    rows = [
        (text, _tidy(departments.partition(";")[0]))
        for text, departments, split in read_columns(path, ("text", "departments", "split"))
        if split.strip() == "train"
    ]
    kept = [(text, label) for text, label in rows if text.strip() and label in labels]
    if not kept:
        raise DataError(
            "{path} has no row of the split {split} with a department of the model; check the columns.",
            path=path,
            split="train",
        )
    texts, departments = zip(*kept, strict=True)
    return Complaints(texts, departments, {})


def is_missing(label: str) -> bool:
    """Whether a cell stands for "no label"."""
    return label.strip().lower() in {"", "nan", "none", "null"}


def _tidy(label: str) -> str:
    """A label in NFC, with single spaces, and without what cannot be printed."""
    plain = "".join(char if char.isprintable() else " " for char in unicodedata.normalize("NFC", label))
    return " ".join(plain.split())


def folds(texts: Iterable[str], groups: Ints, count: int = 5) -> Ints:
    """The fold of each row, 0 to count - 1, the same on every machine and whatever the order of the rows.

    A group's fold is `int(sha256(t), 16) % count`, with t its smallest canonical text (UTF-8).

    Args:
        groups: the duplicate group of each, (texts,), int64.
    """
    smallest: dict[int, str] = {}
    for text, group in zip(texts, groups.tolist(), strict=True):
        plain = canonical(text)
        smallest[group] = min(plain, smallest.get(group, plain))
    digests = {group: hashlib.sha256(plain.encode()).hexdigest() for group, plain in smallest.items()}
    return np.array([int(digests[group], 16) % count for group in groups.tolist()], dtype=np.int64)
