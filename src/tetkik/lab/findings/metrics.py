"""Figures that only findings have: shortcuts, co-occurrence, screening, a task with one label an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tetkik.lab.findings.sources.rows import Truth
from tetkik.statistics import Bools, Floats, Ints, auroc, stratified_auroc
from tetkik.values import NORMAL_LABELS

LEAST_EXPECTED = 3
"""Images that chance must give a pair of findings before anything is said of how often it stands together."""


def source_shortcut(positive: Bools, source: Sequence[str], groups: Ints) -> float | None:
    """AUROC of knowing nothing of a row but its source.

    The score of a row is the prevalence of the label among the other rows of its source, without those of its
    own group (a row must not foretell itself); where there are no others, the prevalence of all. Two rows of
    one source are a tie. Far above 0.5 it says that the label's own AUROC may be telling sources apart, not
    disease: Zech et al., PLOS Medicine 15 (2018) e1002683. None where only one kind occurs, or one
    source.
    """
    _, place = np.unique(np.asarray(source), return_inverse=True)
    if positive.all() or not positive.any() or place.max() == 0:
        return None
    pairs = np.stack([place, np.unique(groups, return_inverse=True)[1]], axis=1)
    own = np.unique(pairs, axis=0, return_inverse=True)[1].ravel()
    hit = positive.astype(np.float64)
    others = np.bincount(place)[place] - np.bincount(own)[own]
    hits = np.bincount(place, hit)[place] - np.bincount(own, hit)[own]
    score = np.divide(hits, others, out=np.full(len(hit), hit.mean()), where=others > 0)
    area = auroc(score, positive)
    within = stratified_auroc(score, positive, place)
    if area is None or within is None:
        return area
    # Without a row of its own, a source looks emptier to its positives than to its negatives.
    found = np.bincount(place, hit)
    same = float((found * (np.bincount(place) - found)).sum()) / (hit.sum() * (len(hit) - hit.sum()))
    return float(area + same * (0.5 - within))


@dataclass(frozen=True, slots=True, eq=False)
class CoOccurrence:
    """How often two findings stand together, against how often they would by chance."""

    labels: tuple[str, ...]
    n: Ints
    observed: Ints
    expected: Floats
    """`n`, `observed`, `expected`: (labels, labels), rows in which both are known, those in which both are
    present, and what independence would give; the diagonal of the last is the count itself."""

    @property
    def ratio(self) -> Floats:
        """Observed over expected; NaN on the diagonal and where one of the two is never present."""
        found: Floats = np.divide(
            self.observed, self.expected, out=np.full(self.expected.shape, np.nan), where=self.expected > 0
        )
        np.fill_diagonal(found, np.nan)
        return found


def co_occurrence(truth: Truth, labels: Sequence[str]) -> CoOccurrence:
    """Count pairs of findings; for each pair only rows that know both."""
    known, present = (truth >= 0).astype(np.float64), (truth == 1).astype(np.float64)
    n = known.T @ known
    # Presence of the first among the rows that know the second too.
    first = present.T @ known
    expected = np.divide(first * first.T, n, out=np.zeros_like(n), where=n > 0)
    observed = (present.T @ present).astype(np.int64)
    np.fill_diagonal(expected, np.diag(observed))
    return CoOccurrence(tuple(labels), n.astype(np.int64), observed, expected)


def abnormal_truth(truth: Truth, labels: Sequence[str]) -> Truth:
    """Whether anything is abnormal, row by row: 1, 0, or -1 where the labels do not say.

    Any finding that is present makes it 1, and `Normal` or `No_Tumor` present makes it 0. A row with both
    contradicts itself and is left at -1; so is a row with neither, for what is not listed may be there.
    """
    well = np.array([label in NORMAL_LABELS for label in labels], dtype=bool)
    ill = (truth[:, ~well] == 1).any(axis=1)
    normal = (truth[:, well] == 1).any(axis=1)
    return np.select([ill & normal, ill, normal], [-1, 1, 0], -1).astype(np.int8)


@dataclass(frozen=True, slots=True, eq=False)
class SingleLabelTask:
    """Rows that have exactly one of several labels, and which of them the model puts first."""

    labels: tuple[str, ...]
    rows: Ints
    truth: Ints
    """(n,), index of the true label."""
    chosen: Ints
    """(n,), index of the label with the highest value, the first of equals."""

    @property
    def correct(self) -> Bools:
        """(n,): whether the label put first is the true one."""
        return np.asarray(self.truth == self.chosen)

    @property
    def confusion(self) -> Ints:
        """Counts, (labels, labels): a row a true label, a column a chosen one."""
        size = len(self.labels)
        return np.bincount(self.truth * size + self.chosen, minlength=size * size).reshape(size, size)


def single_label_task(
    values: Floats, truth: Truth, labels: Sequence[str], task: Sequence[str]
) -> SingleLabelTask:
    """The rows with exactly one label of `task` present and a value (not NaN) for every one."""
    columns = [list(labels).index(label) for label in task]
    present = truth[:, columns] == 1
    rows = np.flatnonzero((present.sum(axis=1) == 1) & ~np.isnan(values[:, columns]).any(axis=1))
    chosen = values[rows][:, columns].argmax(axis=1)
    return SingleLabelTask(tuple(task), rows, present[rows].argmax(axis=1), chosen)
