"""The log of a training: the table of its epochs as CSV, and a warning of overfitting."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from typing import TYPE_CHECKING

from tetkik.language import translate
from tetkik.settings import settings

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_EPOCHS = 3


def rows_csv(rows: Sequence[DataclassInstance], kind: type[DataclassInstance]) -> str:
    """A table as CSV, its head the fields of `kind`; an empty cell is a figure that was not measured."""

    def cell(value: object) -> str:
        return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)

    names = [item.name for item in fields(kind)]
    return (
        "\n".join([",".join(names), *(",".join(cell(getattr(row, n)) for n in names) for row in rows)]) + "\n"
    )


def is_overfitting(training: Sequence[float], validation: Sequence[float | None]) -> bool:
    """Whether validation loss has risen twice while training loss fell, in the last three epochs."""
    if len(training) < _EPOCHS or None in validation[-_EPOCHS:]:
        return False
    falls = all(later < earlier for earlier, later in pairwise(training[-_EPOCHS:]))
    return falls and all(later > earlier for earlier, later in pairwise(validation[-_EPOCHS:]))  # type: ignore[operator]


def warn_of_overfitting(log: logging.Logger, validation: Sequence[float | None]) -> None:
    log.warning(
        translate(
            "Validation loss has risen for two epochs while training loss fell ({before:.3f} to {now:.3f}): "
            "the network is overfitting; fewer epochs or a lower learning rate may serve.",
            settings().language,
            before=validation[-_EPOCHS],
            now=validation[-1],
        )
    )
