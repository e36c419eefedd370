"""A captioned image as a source lists it, and the part of the data it belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from tetkik.statistics import Ints


class Split(StrEnum):
    """A part of the data. Nothing is chosen on `test`, and training never opens it."""

    TRAIN = "train"
    VALID = "valid"
    TEST = "test"


class Reason(StrEnum):
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
    reason: Reason
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
