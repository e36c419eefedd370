"""Captions without images, for the language model to read first."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tetkik.errors import DataError
from tetkik.lab.caption.prepared import Split
from tetkik.lab.caption.text import caption_print, clean_caption

if TYPE_CHECKING:
    from tetkik.lab.caption.prepared import Prepared

_COLUMNS = ("caption", "captions", "text", "description", "report")
_LONGEST_CELL = 1 << 20


def read_texts(file: Path) -> list[str]:
    """The cleaned texts in `file`, empty ones and repeats left out.

    Args:
        file: a CSV file with a column `caption`, or with any other ending a text on each line; UTF-8, and
            packed where it ends in `.gz`.

    Raises:
        DataError: damaged, or without such a column.
    """
    packed = file.suffix.lower() == ".gz"
    table = (file.with_suffix("") if packed else file).suffix.lower() == ".csv"
    try:
        with (gzip.open if packed else open)(file, "rt", encoding="utf-8-sig", newline="") as lines:
            raw = list(_column(file, lines) if table else lines)
    except (UnicodeDecodeError, csv.Error, EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            "{file} cannot be read as text ({fault}); give UTF-8, as it is or packed with gzip.",
            file=file,
            fault=type(error).__name__,
        ) from None
    cleaned = (clean_caption(text) for text in raw)
    return list(dict.fromkeys(text for text in cleaned if text))


def _column(file: Path, lines: Iterator[str]) -> Iterator[str]:
    csv.field_size_limit(_LONGEST_CELL)
    rows = csv.DictReader(lines)
    names = {name.strip().lower(): name for name in rows.fieldnames or ()}
    column = next((names[name] for name in _COLUMNS if name in names), None)
    if column is None:
        raise DataError(
            "{path} has no column {column} (its columns are: {names}); rename the one that holds it.",
            path=file,
            column=_COLUMNS[0],
            names=", ".join(names)[:200],
        )
    for row in rows:
        yield row[column] or ""


def without_held_out(texts: Sequence[str], prepared: Prepared) -> list[str]:
    """`texts` without the captions of the validation and the test split.

    Nothing else of these splits is opened than the 64 bits that stand for the words of each caption. Captions
    of fewer than 8 words have none, and stay.

    Args:
        texts: cleaned.
        prepared: the folder on which a model will be judged.
    """
    held_out = np.concatenate([prepared.part(split).caption_prints for split in (Split.VALID, Split.TEST)])
    known = set(held_out.tolist()) - {0}
    return [text for text in texts if caption_print(text) not in known]
