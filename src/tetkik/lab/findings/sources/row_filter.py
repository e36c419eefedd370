"""From all rows of a table to the usable ones, each of the others counted under one reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from tetkik.lab.engine.splits import Split
from tetkik.lab.findings.sources.rows import PRESENT, UNKNOWN, LeftOut, Rows, Truth
from tetkik.values import BRAIN_LABELS, FINDING_LABELS, Sex, View

_Cell = TypeVar("_Cell")
_OPTIONAL = ("patient", "duplicate", "image", "public_patient", "view", "sex", "age", "official")
_ILL = (
    ("Normal", tuple(label for label in FINDING_LABELS if label not in (*BRAIN_LABELS, "Normal"))),
    ("No_Tumor", tuple(label for label in BRAIN_LABELS if label != "No_Tumor")),
)
"""Each label that says that nothing is wrong, and those that say that something is."""


@dataclass(slots=True, eq=False)
class Draft:
    """The rows of a data set before any is left out. Columns that a data set does not have stay empty.

    Attributes:
        faults: for each row the reason that the adapter found against it, or None.
        find: the file of a name, None where there is none.

    The other attributes are those of `Rows`.
    """

    origin: str
    names: Sequence[str | None]
    labels: tuple[str, ...]
    truth: Truth
    find: Callable[[str], Path | None]
    faults: list[LeftOut | None]
    patient: Sequence[str | None] = ()
    duplicate: Sequence[str | None] = ()
    image: Sequence[str | None] = ()
    public_patient: Sequence[str | None] = ()
    source: Sequence[str] = ()
    view: Sequence[View | None] = ()
    sex: Sequence[Sex | None] = ()
    age: Sequence[float | None] = ()
    official: Sequence[Split | None] = ()
    left_out: Counter[str] = field(default_factory=Counter)
    other_labels: Mapping[str, int] = field(default_factory=dict)

    def rows(self) -> Rows:
        faults = self._judged()
        files = [
            None if fault or name is None else self.find(name)
            for name, fault in zip(self.names, faults, strict=True)
        ]
        counts = Counter(self.left_out)
        counts.update(fault.value for fault in faults if fault)
        good = np.fromiter((file is not None for file in files), bool, len(files))
        if missing := len(files) - sum(map(bool, faults)) - int(good.sum()):
            counts[LeftOut.MISSING_FILE.value] += missing
        chosen = _chooser(good)
        return Rows(
            origin=self.origin,
            files=[file for file in files if file is not None],
            names=[name or "" for name in compress(self.names, good.tolist())],
            labels=self.labels,
            truth=self.truth[good],
            source=chosen(self.source, self.origin),
            **{name: chosen(getattr(self, name), None) for name in _OPTIONAL},
            left_out=dict(counts),
            other_labels=self.other_labels,
        )

    def _judged(self) -> list[LeftOut | None]:
        """The first fault of each row."""
        faults = list(self.faults)
        contradicted = contradictory(self.labels, self.truth).tolist()
        unlabelled = (self.truth == UNKNOWN).all(axis=1).tolist()
        seen: set[str] = set()
        for row, name in enumerate(self.names):
            if faults[row]:
                continue
            if name is None:
                faults[row] = LeftOut.BAD_PATH
            elif not name:
                faults[row] = LeftOut.NO_FILE_NAME
            elif name in seen:
                faults[row] = LeftOut.REPEATED
            elif contradicted[row]:
                faults[row] = LeftOut.CONTRADICTION
            elif unlabelled[row]:
                faults[row] = LeftOut.NO_LABEL
            if name:
                seen.add(name)
        return faults


def contradictory(labels: Sequence[str], truth: Truth) -> NDArray[np.bool_]:
    """(rows,), whether a row says that nothing is wrong and names what is."""
    wrong = np.zeros(len(truth), bool)
    for well, ill in _ILL:
        if well in labels:
            places = [place for place, label in enumerate(labels) if label in ill]
            wrong |= (truth[:, labels.index(well)] == PRESENT) & (truth[:, places] == PRESENT).any(axis=1)
    return wrong


def _chooser(good: NDArray[np.bool_]) -> Callable[[Sequence[_Cell], _Cell], list[_Cell]]:
    wanted = good.tolist()
    count = int(good.sum())

    def choose(column: Sequence[_Cell], empty: _Cell) -> list[_Cell]:
        return list(compress(column, wanted)) if column else [empty] * count

    return choose
