"""The rows of one data set, column by column: what an adapter reads, and those of them that can be used."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from importlib import resources
from itertools import compress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import UsageError
from tetkik.findings.label_names import folded, shared_label
from tetkik.lab.engine.splits import Split
from tetkik.lab.engine.tables import BROKEN_ROW
from tetkik.values.finding_labels import BRAIN_LABELS, FINDING_LABELS
from tetkik.values.radiograph import Sex, View

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


# Which label of another data set is which of the shared ones, as `label_mapping.toml` has it.


class Meaning(StrEnum):
    """How far a label of another data set means one of ours."""

    SAME = "same"
    WIDER = "wider"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class LabelMapping:
    """A label of another data set and what it says of the shared labels."""

    theirs: str
    meaning: Meaning
    ours: tuple[str, ...]
    reason: str


_TABLES = tomllib.loads(resources.files(__package__).joinpath("label_mapping.toml").read_text("utf-8"))
CHEXPERT, VINDR, GOOGLE = (
    tuple(
        LabelMapping(row["theirs"], Meaning(row["meaning"]), tuple(row.get("ours", ())), row["reason"])
        for row in _TABLES[name]
    )
    for name in ("chexpert", "vindr", "google")
)


@dataclass(frozen=True, slots=True)
class Translated:
    """Labels of another data set as ours: the shared labels, then the others where they are kept."""

    labels: tuple[str, ...]
    truth: Truth
    others: Mapping[str, int]


def translate_labels(
    theirs: Mapping[str, Truth], mappings: Sequence[LabelMapping], rows: int, *, keep_others: bool = False
) -> Translated:
    """Columns of another data set, (rows,) by their name, as the shared labels.

    `keep_others` gives a label that is not the same as one of ours a column of its own.
    """
    meaning = {folded(mapping.theirs): mapping for mapping in mappings}
    truth = np.full((rows, len(FINDING_LABELS)), UNKNOWN)
    others: Counter[str] = Counter()
    kept: dict[str, Truth] = {}
    for name, column in theirs.items():
        mapping = meaning[folded(name)]
        for label in mapping.ours:
            place = FINDING_LABELS.index(label)
            if mapping.meaning is Meaning.SAME:
                truth[:, place] = column
            else:
                truth[column == ABSENT, place] = ABSENT
        if mapping.meaning is not Meaning.SAME:
            others[name] += int((column == PRESENT).sum())
            kept[own_name(name)] = column
    if not keep_others:
        return Translated(FINDING_LABELS, truth, others)
    return Translated((*FINDING_LABELS, *kept), np.column_stack([truth, *kept.values()]), others)


def own_name(name: str) -> str:
    """How a label beyond the shared ones is written: words joined by underscores, as the shared ones."""
    return shared_label(name) or "_".join(name.replace("/", " ").split())


UNSURE = np.int8(-2)
"""A -1 of the table, before a policy; blank is `UNKNOWN`."""
_CODES = {"": UNKNOWN, "1": PRESENT, "1.0": PRESENT, "0": ABSENT, "0.0": ABSENT, "-1": UNSURE, "-1.0": UNSURE}
_BECOMES = {"ignore": UNKNOWN, "zeros": ABSENT, "ones": PRESENT}
UNCERTAIN_OPTIONS = {"uncertain": tuple(_BECOMES), "uncertain.": tuple(_BECOMES)}
"""The options of a spec: one for all labels, and one a label (`uncertain.Atelectasis=ones`)."""


def settled(
    cells: Mapping[str, list[str]], options: Mapping[str, str]
) -> tuple[dict[str, Truth], NDArray[np.bool_]]:
    """Columns of 1 / 0 / -1 / blank as 1 / 0 / unknown, by the policy that the options ask for.

    With them, (rows,), which rows have a cell that is none of the four.
    """
    chosen = {
        _key(name.removeprefix("uncertain.")): _BECOMES[value]
        for name, value in options.items()
        if name.startswith("uncertain.")
    }
    if unknown := chosen.keys() - set(map(_key, cells)):
        name = next(name for name in options if _key(name.removeprefix("uncertain.")) in unknown)
        raise UsageError(
            "The option {name} is about a label that the table does not have; correct it.", name=name
        )
    default = _BECOMES[options.get("uncertain", "ignore")]
    wrong = np.zeros(len(next(iter(cells.values()))), bool)
    marks: dict[str, Truth] = {}
    for name, column in cells.items():
        raw, odd = codes(column)
        wrong |= odd
        marks[name] = np.where(raw == UNSURE, chosen.get(_key(name), default), raw)
    return marks, wrong


def _key(label: str) -> str:
    return folded(shared_label(label) or label)


def codes(cells: Iterable[str]) -> tuple[Truth, NDArray[np.bool_]]:
    """Cells as int8 codes (1, 0, `UNSURE`, unknown), and where a cell was none of these."""
    wrong = np.int8(2)
    values = np.fromiter((_CODES.get(cell, wrong) for cell in cells), np.int8)
    return np.where(values == wrong, UNKNOWN, values), values == wrong


def is_code(cell: str) -> bool:
    """Whether a cell is 1, 0, -1 or blank."""
    return cell in _CODES
