"""What a preparation did: counts beside the published ones, and the lists of what was left out."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from tetkik.lab.caption.data import LeftOut, Reason, Split
from tetkik.lab.caption.duplicates import DuplicatePair, Likeness
from tetkik.lab.caption.split_writer import Tally

LEFT_OUT = "left_out.csv"
DUPLICATES = "duplicates.csv"
LEAVES = {Likeness.SAME: Reason.COPY, Likeness.NEAR: Reason.COPY, Likeness.CAPTION: Reason.SAID}
"""What makes a row leave the earlier split, and why."""


@dataclass(frozen=True, slots=True)
class SplitReport:
    """One split; `published` images are None where nobody published a number."""

    split: Split
    kept: int
    published: int | None
    published_rgb: int | None
    tally: Tally


@dataclass(frozen=True, slots=True)
class PrepareReport:
    """All of it; words and tokens are those of each caption, `duplicates` rows alike another split's."""

    out: Path
    source: str
    reference: str | None
    splits: tuple[SplitReport, ...]
    left_out: Mapping[Reason, int]
    duplicates: Mapping[Likeness, int]
    removed: bool
    crossing_groups: int
    words: tuple[int, ...]
    tokens: tuple[int, ...]
    cut: int
    bytes: int

    @property
    def kept(self) -> int:
        return sum(split.kept for split in self.splits)

    @property
    def median_words(self) -> float:
        return float(median(self.words)) if self.words else 0.0

    @property
    def median_tokens(self) -> float | None:
        """Of a caption; None without a base."""
        return float(median(self.tokens)) if self.tokens else None

    def as_json(self) -> dict[str, Any]:
        return {
            "splits": {
                part.split.value: {
                    "listed": part.tally.listed,
                    "published": part.published,
                    "stored_as_rgb": part.tally.rgb,
                    "published_rgb": part.published_rgb,
                    "stored_as_rgb_and_grey": part.tally.rgb_grey,
                    "in_colour": part.tally.colour,
                    "left_out": {reason.name.lower(): count for reason, count in part.tally.left_out.items()},
                    "kept": part.kept,
                }
                for part in self.splits
            },
            "reference": self.reference,
            "left_out": {reason.name.lower(): count for reason, count in self.left_out.items()},
            "alike": {likeness.name.lower(): count for likeness, count in self.duplicates.items()},
            "copies_left_out": self.removed,
            "crossing_groups": self.crossing_groups,
            "median_words": self.median_words,
            "median_tokens": self.median_tokens,
            "cut_captions": self.cut,
            "bytes": self.bytes,
        }


def write_lists(
    folder: Path, left_out: Iterable[LeftOut], duplicates: Iterable[DuplicatePair], *, removed: bool
) -> None:
    """Write `left_out.csv` and `duplicates.csv`."""
    with (folder / LEFT_OUT).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("id", "split", "file", "reason", "detail"))
        writer.writerows(
            (item.id, item.split, item.file, item.reason.name.lower(), item.detail) for item in left_out
        )
    with (folder / DUPLICATES).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("alike", "kept", "kept_split", "other", "other_split", "other_left_out"))
        for pair in duplicates:
            writer.writerow(
                (
                    pair.likeness.name.lower(),
                    pair.id,
                    pair.split.value,
                    pair.other,
                    pair.other_split.value,
                    "yes" if removed and pair.likeness in LEAVES else "no",
                )
            )
