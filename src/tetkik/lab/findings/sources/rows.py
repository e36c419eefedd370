"""What an adapter hands over: the rows of one data set, column by column, before several are joined."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.splits import Split
from tetkik.values import Sex, View

UNKNOWN = np.int8(-1)
ABSENT = np.int8(0)
PRESENT = np.int8(1)

Truth = NDArray[np.int8]


class LeftOut(StrEnum):
    """Why a row of a table, or a file of a folder, is not used."""

    BROKEN = "broken row: a quote that is not closed, too few or too many cells, or not UTF-8"
    BAD_PATH = "file name that leads out of the folder of images"
    NO_FILE_NAME = "no file name"
    REPEATED = "file listed before"
    MISSING_FILE = "image file missing"
    LATERAL = "lateral view"
    NO_VIEW = "view not known to be frontal"
    NO_LABEL = "nothing known about any label"
    FOREIGN_LABEL = "a label that this data set does not have"
    BAD_CELL = "a label that is neither 1, 0, -1 nor blank"
    CONTRADICTION = "normal and abnormal at once"
    NO_STUDY = "study without a row in the label table"
    NO_ROW = "no row at all"
    NOT_AN_IMAGE = "file that is not an image"
    NO_CLASS = "folder that names no known label"


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One data set's usable rows, column by column, all of one length.

    Attributes:
        origin: name of the data set, in which patients and images are unique.
        names: the image's name within the data set, the same on every machine.
        labels: names of the columns of `truth`.
        truth: (rows, labels), int8: 1 present, 0 absent, -1 unknown.
        patient: number or name that is unique in this data set only; None where there is none.
        duplicate: copies of one image share it; None where unknown.
        image: the public data set's name of the image (`nih:00000075_000.png`), by which it is known again in
            another source; None where it has none.
        public_patient: number in a public data set (`nih:75`), the same wherever its images are; else None.
        view, sex, age: None where unknown; age in years.
        official: the part of the data set's own split, None where there is none.
        other_labels: how often a label without a counterpart among the columns was marked present.
    """

    origin: str
    files: Sequence[Path]
    names: Sequence[str]
    labels: tuple[str, ...]
    truth: Truth
    patient: Sequence[str | None]
    duplicate: Sequence[str | None]
    image: Sequence[str | None]
    public_patient: Sequence[str | None]
    source: Sequence[str]
    view: Sequence[View | None]
    sex: Sequence[Sex | None]
    age: Sequence[float | None]
    official: Sequence[Split | None]
    left_out: Mapping[str, int] = field(default_factory=dict)
    other_labels: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        columns = (self.names, self.truth, self.patient, self.duplicate, self.image, self.public_patient)
        more = (self.source, self.view, self.sex, self.age, self.official)
        if {len(column) for column in (*columns, *more)} != {len(self.files)}:
            raise ValueError(f"columns of {self.origin} differ in length")
        if self.truth.shape[1] != len(self.labels):
            raise ValueError(f"{self.truth.shape[1]} columns for {len(self.labels)} labels")
