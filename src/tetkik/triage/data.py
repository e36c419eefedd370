"""What triage learns from: complaints with a department each, their duplicate groups and folds."""

from __future__ import annotations

import csv
import hashlib
import io
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik import turkish
from tetkik.errors import DataError

csv.field_size_limit(1 << 24)


@dataclass(frozen=True, slots=True)
class Complaints:
    """Texts with their labels, row by row.

    Attributes:
        texts: the complaints as they came.
        labels: the department of each.
        left_out: how many rows of the file are not here, by reason.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    left_out: dict[str, int]

    def __post_init__(self) -> None:
        if len(self.texts) != len(self.labels):
            raise ValueError("texts and labels differ in length")

    def __len__(self) -> int:
        return len(self.texts)

    def only(self, rows: Sequence[int] | NDArray[np.int64]) -> Complaints:
        """These rows, in this order."""
        return Complaints(
            tuple(self.texts[row] for row in rows), tuple(self.labels[row] for row in rows), self.left_out
        )


def fingerprint(complaints: Complaints) -> str:
    """SHA-256 that tells the same rows again, in whatever order; no text can be led back from it."""
    rows = sorted(
        hashlib.sha256(f"{label}\x00{text}".encode()).digest()
        for text, label in zip(complaints.texts, complaints.labels, strict=True)
    )
    return hashlib.sha256(b"".join(rows)).hexdigest()


def canonical(text: str) -> str:
    """The form in which two texts count as the same: NFC, Turkish lower case, white space collapsed."""
    return " ".join(turkish.lower(text).split())


def read_complaints(
    path: Path,
    *,
    labels: Sequence[str] | None = None,
    text_column: str = "text",
    label_column: str = "label",
) -> Complaints:
    """Read a labelled table (CSV, UTF-8 with or without BOM, comma or semicolon or tab).

    Args:
        path: the file.
        labels: keep rows with these labels only; the others are counted in `left_out`. None keeps all.
        text_column: name of the column with the complaint.
        label_column: name of the column with the department.

    Raises:
        DataError: not UTF-8, a column is missing, or no row is left.
    """
    rows = read_columns(path, (text_column, label_column))
    wanted = set(labels) if labels is not None else None
    texts: list[str] = []
    kept: list[str] = []
    left_out: Counter[str] = Counter()
    for text, label in rows:
        label = unicodedata.normalize("NFC", label.strip())  # noqa: PLW2901
        if not text.strip():
            left_out["empty text"] += 1
        elif not label or label.lower() in {"nan", "none", "null"}:
            left_out["no label"] += 1
        elif wanted is not None and label not in wanted:
            left_out["label not among the departments"] += 1
        else:
            texts.append(text)
            kept.append(label)
    if not texts:
        raise DataError(
            "{path} has no row with a text and a usable label; check the columns {text} and {label}.",
            path=path,
            text=text_column,
            label=label_column,
        )
    return Complaints(tuple(texts), tuple(kept), dict(left_out))


def read_columns(path: Path, columns: Sequence[str]) -> list[tuple[str, ...]]:
    """The named columns of a CSV file, row by row; a missing cell is an empty string.

    Raises:
        DataError: not UTF-8, no header, or a column is missing.
    """
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            "{path} is not UTF-8 at byte {byte}; `tetkik triage clean` reads other encodings.",
            path=path,
            byte=error.start,
        ) from None
    if "\x00" in content[:4096]:
        raise DataError("{path} is not a text file; give a CSV file.", path=path)
    head = content.split("\n", 1)[0]
    delimiter = max(",;\t", key=head.count) if any(mark in head for mark in ",;\t") else ","
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter)
    try:
        names = [name.strip() for name in reader.fieldnames or []]
        reader.fieldnames = names
        for column in columns:
            if column not in names:
                raise DataError(
                    "{path} has no column {column}; its columns are: {names}.",
                    path=path,
                    column=column,
                    names=", ".join(names)[:200] or "none",
                )
        return [tuple(row.get(column) or "" for column in columns) for row in reader]
    except csv.Error as error:
        raise DataError(
            "{path} is not readable CSV at line {line} ({fault}); `tetkik triage clean` reads broken files.",
            path=path,
            line=reader.line_num,
            fault=error,
        ) from None


def folds(texts: Iterable[str], groups: NDArray[np.int64], count: int = 5) -> NDArray[np.int64]:
    """The fold of each row, the same on every machine and whatever the order of the rows.

    A group's fold is `int(sha256(t), 16) % count`, with t its smallest canonical text (UTF-8).

    Args:
        texts: the complaints.
        groups: the duplicate group of each, (texts,), int64.
        count: number of folds.

    Returns:
        (texts,), int64, 0 to count - 1.
    """
    smallest: dict[int, str] = {}
    for text, group in zip(texts, groups.tolist(), strict=True):
        plain = canonical(text)
        if group not in smallest or plain < smallest[group]:
            smallest[group] = plain
    fold = {
        group: int(hashlib.sha256(plain.encode("utf-8")).hexdigest(), 16) % count
        for group, plain in smallest.items()
    }
    return np.array([fold[group] for group in groups.tolist()], dtype=np.int64)
