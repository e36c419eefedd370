"""NIH images read again by radiologists: the adjudicated labels that Google released in 2019.

Majkowska et al., "Chest Radiograph Interpretation with Deep Learning Models", Radiology 2020: three
radiologists an image, their differences talked out. The table carries NIH's own text-derived labels beside
them, so that the two can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tetkik.errors import DataError
from tetkik.lab.findings.sources.label_mapping import GOOGLE
from tetkik.lab.findings.sources.nih import nih_truth
from tetkik.lab.findings.sources.rows import ABSENT, PRESENT, Truth
from tetkik.lab.findings.sources.table import read_table

ADJUDICATED_LABELS = tuple(mapping.theirs for mapping in GOOGLE)
_VALUES = {"YES": PRESENT, "NO": ABSENT}


@dataclass(frozen=True, slots=True, eq=False)
class Adjudicated:
    """Images with both kinds of label."""

    images: tuple[str, ...]
    patients: tuple[str, ...]
    truth: Truth
    """(n, 4), 1 / 0: the radiologists' labels, in the order of `ADJUDICATED_LABELS`."""
    text: Truth
    """(n, labels): NIH's labels from the report, as the shared labels."""
    part: tuple[str, ...]
    """`val` or `test` of the release."""


def read_adjudicated(path: Path) -> Adjudicated:
    """Read `google2019_nih-chest-xray-labels.csv`."""
    table = read_table(path, need=("Image Index", "Finding Labels", "Patient ID", *ADJUDICATED_LABELS))
    for name in ADJUDICATED_LABELS:
        if not set(table[name]) <= _VALUES.keys():
            raise DataError(
                "{path} has a label {column} that is neither YES nor NO; fetch the table again.",
                path=path,
                column=name,
            )
    truth = np.array([[_VALUES[cell] for cell in table[name]] for name in ADJUDICATED_LABELS], np.int8).T
    text, faults = nih_truth(table["Finding Labels"])
    if any(faults):
        raise DataError("{path} has labels that NIH does not have; fetch the table again.", path=path)
    return Adjudicated(
        tuple(table["Image Index"]), tuple(table["Patient ID"]), truth, text, tuple(table.get("Set Id"))
    )
