"""The rows of one data set, column by column: what an adapter reads, and those of them that can be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.splits import Split
from tetkik.lab.engine.tables import BROKEN_ROW
from tetkik.values import BRAIN_LABELS, FINDING_LABELS, Sex, View

UNKNOWN = np.int8(-1)
ABSENT = np.int8(0)
PRESENT = np.int8(1)

Truth = NDArray[np.int8]
"""(rows, labels) or (rows,): 1 present, 0 absent, -1 unknown. Unknown is never absent."""

_OPTIONAL = ("patient", "duplicate", "image", "public_patient", "view", "sex", "age", "official")
_ILL = (
    ("Normal", tuple(label for label in FINDING_LABELS if label not in (*BRAIN_LABELS, "Normal"))),
    ("No_Tumor", tuple(label for label in BRAIN_LABELS if label != "No_Tumor")),
)
"""Each label that says that nothing is wrong, and those that say that something is."""


class LeftOut(StrEnum):
    """Why a row of a table, or a file of a folder, is not used."""

    BROKEN = BROKEN_ROW
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


Faults = Sequence[LeftOut | None]
"""For each row what speaks against it, or None."""


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """One data set's rows; columns that it does not have are empty until `usable` fills them."""

    origin: str
    """Name of the data set, in which patients and images are unique."""
    names: Sequence[str | None]
    """The image's name within the data set, the same on every machine; empty for no name, None for one that
    leads out of the folder."""
    labels: tuple[str, ...]
    truth: Truth
    files: Sequence[Path] = ()
    patient: Sequence[str | None] = ()
    """Number or name that is unique in this data set only; None where there is none."""
    duplicate: Sequence[str | None] = ()
    """Copies of one image share it; None where unknown."""
    image: Sequence[str | None] = ()
    """The public data set's name of the image (`nih:00000075_000.png`), by which it is known again in another
    source; None where it has none."""
    public_patient: Sequence[str | None] = ()
    """Number in a public data set (`nih:75`), the same wherever its images are; else None."""
    source: Sequence[str] = ()
    view: Sequence[View | None] = ()
    sex: Sequence[Sex | None] = ()
    age: Sequence[float | None] = ()
    """`view`, `sex`, `age`: None where unknown; age in years."""
    official: Sequence[Split | None] = ()
    """The part of the data set's own split, None where there is none."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    other_labels: Mapping[str, int] = field(default_factory=dict)
    """How often a label without a counterpart among the columns was marked present."""

    def usable(
        self,
        find: Callable[[str], Path | None],
        faults: Faults | None = None,
        bad_cell: NDArray[np.bool_] | None = None,
    ) -> Rows:
        """The rows that can be used, with their files; each of the others is counted under one reason.

        Args:
            find: the file of a name, None where there is none.
            faults: what the adapter found against each row.
            bad_cell: (rows,), whether a row has a label that cannot be read.
        """
        judged = self._judged(faults or [None] * len(self.names), bad_cell)
        found = [
            None if fault or name is None else find(name)
            for name, fault in zip(self.names, judged, strict=True)
        ]
        counts = Counter(self.left_out)
        counts.update(fault.value for fault in judged if fault)
        good = [file is not None for file in found]
        if missing := good.count(False) - sum(map(bool, judged)):
            counts[LeftOut.MISSING_FILE.value] += missing

        def chosen(name: str, empty: Any = None) -> list[Any]:
            return list(compress(getattr(self, name) or [empty] * len(good), good))

        cells: dict[str, Any] = {name: chosen(name) for name in _OPTIONAL}
        return replace(
            self,
            files=[file for file in found if file is not None],
            names=chosen("names"),
            truth=self.truth[np.array(good, bool)],
            source=chosen("source", self.origin),
            left_out=dict(counts),
            **cells,
        )

    def _judged(self, faults: Faults, bad_cell: NDArray[np.bool_] | None) -> list[LeftOut | None]:
        """The first fault of each row."""
        wrong = [False] * len(self.names) if bad_cell is None else bad_cell.tolist()
        contradicted = _contradictory(self.labels, self.truth).tolist()
        unlabelled = (self.truth == UNKNOWN).all(axis=1).tolist()
        seen: set[str | None] = set()
        judged: list[LeftOut | None] = []
        for row, name in enumerate(self.names):
            fault = faults[row] or (LeftOut.BAD_CELL if wrong[row] else None)
            if fault is None:
                reasons = {
                    LeftOut.BAD_PATH: name is None,
                    LeftOut.NO_FILE_NAME: name == "",
                    LeftOut.REPEATED: name in seen,
                    LeftOut.CONTRADICTION: contradicted[row],
                    LeftOut.NO_LABEL: unlabelled[row],
                }
                fault = next((reason for reason, holds in reasons.items() if holds), None)
                seen.add(name)
            judged.append(fault)
        return judged


def _contradictory(labels: Sequence[str], truth: Truth) -> NDArray[np.bool_]:
    """(rows,), whether a row says that nothing is wrong and names what is."""
    wrong = np.zeros(len(truth), bool)
    for well, ill in _ILL:
        if well in labels:
            places = [place for place, label in enumerate(labels) if label in ill]
            wrong |= (truth[:, labels.index(well)] == PRESENT) & (truth[:, places] == PRESENT).any(axis=1)
    return wrong


def in_columns(
    values: NDArray[Any], have: Sequence[str], want: Sequence[str], empty: float = -1
) -> NDArray[Any]:
    """The columns `want` of a table (rows, columns) that has `have`; `empty` where it lacks one."""
    found = np.full((len(values), len(want)), empty, values.dtype)
    for place, label in enumerate(want):
        if label in have:
            found[:, place] = values[:, have.index(label)]
    return found
