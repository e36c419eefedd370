"""Which labels the data can teach, and which of those a bundle may assess."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tetkik.errors import DataError
from tetkik.lab.findings.sources.rows import Truth


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """What is known about one label: rows, and components of patients, with it and without it."""

    label: str
    present: int
    absent: int
    present_groups: int
    absent_groups: int
    alone: int
    """Rows with it from sources that know of no row without it."""

    @property
    def trainable(self) -> bool:
        """Whether a loss has any meaning: both kinds are known."""
        return self.present > 0 and self.absent > 0

    def assessed(self, least: int) -> bool:
        """Whether there is enough of both kinds for a figure and a threshold."""
        return min(self.present_groups, self.absent_groups) >= least

    @property
    def shortcut(self) -> bool:
        """Whether most of its positives come from sources without a negative.

        The network may then learn the source, and so may its pooled figures.
        """
        return self.trainable and 2 * self.alone > self.present


def count_labels(
    truth: Truth, labels: Sequence[str], groups: NDArray[np.int64], sources: Sequence[str]
) -> tuple[LabelCounts, ...]:
    """What is known about each label; `groups` is the component of each row, (rows,)."""
    _, source = np.unique(np.array(sources, dtype=object).astype(str), return_inverse=True)
    found = []
    for number, label in enumerate(labels):
        present, absent = truth[:, number] == 1, truth[:, number] == 0
        without = np.bincount(source[absent], minlength=int(source.max(initial=0)) + 1) == 0
        rows, negatives = int(present.sum()), int(absent.sum())
        components, others = (len(np.unique(groups[kind])) for kind in (present, absent))
        alone = int((present & without[source]).sum())
        found.append(LabelCounts(label, rows, negatives, components, others, alone))
    return tuple(found)


def check_learnable(known: Sequence[LabelCounts], least: int) -> None:
    """Refuse data from which no label can be learned (DataError)."""
    if not any(item.present or item.absent for item in known):
        raise DataError("Nothing is known about any label of these images; check the labels in the table.")
    if not any(item.trainable for item in known):
        raise DataError(
            "Each label of these images is only ever known to be present or only ever absent, so a loss "
            "would mean nothing; add images that are known to be otherwise."
        )
    if not any(item.assessed(least) for item in known):
        best = max(known, key=lambda item: min(item.present_groups, item.absent_groups))
        raise DataError(
            "No label is known in {least} patients or groups to be present and in {least} to be absent (best "
            "is {label}: {present} and {absent}); add images or lower --min-positives.",
            least=least,
            label=best.label,
            present=best.present_groups,
            absent=best.absent_groups,
        )


def mask_unlearnable(truth: Truth, known: Sequence[LabelCounts]) -> Truth:
    """`truth` with the labels that cannot be trained made unknown, so that they have no part in the loss."""
    trainable = np.array([item.trainable for item in known])
    return np.where(trainable, truth, np.int8(-1))
