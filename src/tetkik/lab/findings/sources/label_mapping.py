"""Which label of another data set is which of the shared ones, as `label_mapping.toml` has it."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources

import numpy as np

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
