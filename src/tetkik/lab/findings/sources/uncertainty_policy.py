"""Columns of 1 / 0 / -1 / blank, and what is made of -1: the uncertainty policies of CheXpert.

Irvin et al., "CheXpert", AAAI 2019, section 3: U-Ignore leaves an uncertain label out of the loss, U-Zeros
reads it as absent, U-Ones as present; which is best differs by label. A blank was never mentioned: unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import UsageError
from tetkik.findings.label_names import folded, shared_label
from tetkik.lab.findings.sources.rows import ABSENT, PRESENT, UNKNOWN, Truth

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
