"""Columns of 1 / 0 / -1 / blank, and what is made of -1: the uncertainty policies of CheXpert.

Irvin et al., "CheXpert", AAAI 2019, section 3: U-Ignore leaves an uncertain label out of the loss, U-Zeros
reads it as absent, U-Ones as present; which is best differs by label. A blank was never mentioned: unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import UsageError
from tetkik.findings.label_names import folded, shared_label
from tetkik.lab.findings.sources.rows import ABSENT, PRESENT, UNKNOWN, Truth

UNSURE = np.int8(-2)
"""A -1 of the table, before a policy; blank is `UNKNOWN`."""
_CODES = {"": UNKNOWN, "1": PRESENT, "1.0": PRESENT, "0": ABSENT, "0.0": ABSENT, "-1": UNSURE, "-1.0": UNSURE}


class Uncertain(StrEnum):
    """What -1 becomes."""

    IGNORE = "ignore"
    ZEROS = "zeros"
    ONES = "ones"


_BECOMES = {Uncertain.IGNORE: UNKNOWN, Uncertain.ZEROS: ABSENT, Uncertain.ONES: PRESENT}
_CHOICES = tuple(choice.value for choice in Uncertain)
UNCERTAIN_OPTIONS: Mapping[str, tuple[str, ...]] = {"uncertain": _CHOICES, "uncertain.": _CHOICES}
"""The options of a spec: one for all labels, and one a label (`uncertain.Atelectasis=ones`)."""


@dataclass(frozen=True, slots=True)
class UncertainPolicy:
    """The choice for all labels and those for single ones, by folded name."""

    default: Uncertain = Uncertain.IGNORE
    by_label: Mapping[str, Uncertain] = field(default_factory=dict)

    def settle(self, label: str, column: Truth) -> Truth:
        """(rows,), int8: `column` with every `UNSURE` made 1, 0 or unknown."""
        choice = self.by_label.get(folded(shared_label(label) or label), self.default)
        settled: Truth = np.where(column == UNSURE, _BECOMES[choice], column)
        return settled


def uncertain_policy(options: Mapping[str, str], labels: Iterable[str]) -> UncertainPolicy:
    """The policy that a spec asks for.

    Args:
        labels: those of the table, so that a misspelt label is not passed over.

    Raises:
        UsageError: a choice for a label that the table does not have.
    """
    have = {folded(shared_label(label) or label) for label in labels}
    chosen: dict[str, Uncertain] = {}
    for name, value in options.items():
        _, dot, label = name.partition("uncertain.")
        if not dot:
            continue
        key = folded(shared_label(label) or label)
        if key not in have:
            raise UsageError(
                "The option {name} is about a label that the table does not have; correct it.", name=name
            )
        chosen[key] = Uncertain(value)
    return UncertainPolicy(Uncertain(options.get("uncertain", Uncertain.IGNORE)), chosen)


def codes(cells: Iterable[str]) -> tuple[Truth, NDArray[np.bool_]]:
    """Cells as int8 codes (1, 0, `UNSURE`, unknown), and where a cell was none of these."""
    wrong = np.int8(2)
    values = np.fromiter((_CODES.get(cell, wrong) for cell in cells), np.int8)
    return np.where(values == wrong, UNKNOWN, values), values == wrong


def is_code(cell: str) -> bool:
    """Whether a cell is 1, 0, -1 or blank."""
    return cell in _CODES
