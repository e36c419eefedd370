"""Which label of another data set is which of the shared ones, as `label_mapping.toml` has it."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import UsageError
from tetkik.findings.label_names import folded, shared_label
from tetkik.lab.findings.sources.rows import ABSENT, PRESENT, UNKNOWN, Truth
from tetkik.values import FINDING_LABELS


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
