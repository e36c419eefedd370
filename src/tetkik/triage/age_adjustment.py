"""What a child's age, stated or not, does to the departments.

A stated child belongs to Pediatri rather than to a department that sees adults only. A complaint that tells
of no child hardly ever belongs to Pediatri, which words alone ("kuru öksürük") do not always show.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tetkik.triage.age_and_duration import is_child

PEDIATRICS = "Pediatri"
ADULT_ONLY = frozenset({"Dahiliye", "Kardiyoloji", "Göğüs Hastalıkları", "Nöroloji", "Genel Cerrahi"})
"""Departments that send a child to Pediatri first; the others (eyes, ears, bones) see children themselves."""
NO_CHILD_FACTOR = 0.2
"""What is left of Pediatri's odds where no child is mentioned. Of the complaints that paediatricians
answered, one in eleven mentions none; of the others, nine in ten: odds of a tenth, and the words say a part
already."""


def adjust_for_age(row: NDArray[np.float64], labels: Sequence[str], *, child: bool) -> None:
    """Bring the probabilities of one text, in place, into line with whether it tells of a child.

    Args:
        row: (labels,), float64, sums to 1.
        labels: the departments; without Pediatri among them nothing is done.
        child: whether the text tells of a child (`is_child`).
    """
    if PEDIATRICS not in labels:
        return
    own, first = labels.index(PEDIATRICS), int(row.argmax())
    if not child:
        row[own] *= NO_CHILD_FACTOR
        row /= row.sum()
    elif labels[first] in ADULT_ONLY:
        row[[first, own]] = row[[own, first]]


def log_odds(texts: Sequence[str], labels: Sequence[str]) -> NDArray[np.float64]:
    """What `adjust_for_age` adds to log-probabilities of texts without a child, for calibration.

    Args:
        texts: folded texts.

    Returns:
        (texts, labels), float64: log NO_CHILD_FACTOR for Pediatri where no child is mentioned, else 0.
    """
    shift = np.zeros((len(texts), len(labels)))
    if PEDIATRICS in labels:
        untold = [not is_child(text) for text in texts]
        shift[untold, labels.index(PEDIATRICS)] = np.log(NO_CHILD_FACTOR)
    return shift
