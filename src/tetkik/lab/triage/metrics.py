"""The figures by which a classifier of complaints is judged, in NumPy.

Every figure of decisions comes from sums over rows (`decision_columns`), so that the same lines give the
point estimate from one vector of sums and a thousand bootstrap replicates from a matrix of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tetkik.statistics import Bools, Floats, Ints, ratio

DECISIONS = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "top3_accuracy")
"""The figures of `DecisionFigures` that are stated with an interval."""
NO_ANSWER = -1
"""The predicted index of a row that got no answer; it is right for no label."""


@dataclass(frozen=True, slots=True)
class DecisionFigures:
    """What follows from the decisions alone; NaN where a figure has no meaning.

    Arrays have the leading shape of the sums they came from (none for a point estimate, (replicates,) for a
    bootstrap); `precision`, `recall` and `f1` have labels as their last axis. The macro means are over labels
    present in the data; a label that is present but never predicted counts there with precision 0.
    """

    accuracy: Floats
    top3_accuracy: Floats
    precision: Floats
    recall: Floats
    f1: Floats
    macro_precision: Floats
    macro_recall: Floats
    macro_f1: Floats


def unanswered(probabilities: Floats) -> Bools:
    """The rows of NaN: texts for which there was no answer."""
    missing: Bools = np.any(np.isnan(probabilities), axis=1)
    return missing


def predicted_labels(probabilities: Floats) -> Ints:
    """The index of each row's most probable label, the first of equals; NO_ANSWER for a row of NaN."""
    unread = unanswered(probabilities)
    best = np.argmax(np.where(unread[:, None], 0.0, probabilities), axis=1)
    return np.where(unread, NO_ANSWER, best).astype(np.int64)


def rank_of_truth(probabilities: Floats, truth: Ints) -> Ints:
    """The place (1 is first) of the true label when labels are sorted by probability, then by index.

    A row of NaN gets the place after the last.
    """
    labels = probabilities.shape[1]
    own = np.take_along_axis(probabilities, truth[:, None], axis=1)
    before = (probabilities > own) | ((probabilities == own) & (np.arange(labels) < truth[:, None]))
    rank: Ints = np.where(unanswered(probabilities), labels + 1, 1 + before.sum(axis=1)).astype(np.int64)
    return rank


def confusion(truth: Ints, predicted: Ints, labels: int) -> Ints:
    """Counts, (labels, labels): a row a true label, a column a predicted one; NO_ANSWER is not counted."""
    answered = predicted != NO_ANSWER
    flat = truth[answered] * labels + predicted[answered]
    counts: Ints = np.bincount(flat, minlength=labels * labels).astype(np.int64)
    return counts.reshape(labels, labels)


def decision_columns(probabilities: Floats, truth: Ints) -> Floats:
    """One row of 0 and 1 for each complaint, whose sums give every decision figure.

    From probabilities, (rows, labels), a row of NaN being a text without an answer, and the index of the true
    label, (rows,): (rows, 3 · labels + 2), hit, predicted and true, each by label; in the top three; 1.
    """
    index = np.arange(probabilities.shape[1])
    true = truth[:, None] == index
    chosen = predicted_labels(probabilities)[:, None] == index
    in_top3 = rank_of_truth(probabilities, truth)[:, None] <= 3
    return np.hstack([true & chosen, chosen, true, in_top3, np.ones_like(in_top3)]).astype(np.float64)


def decision_figures(sums: Floats) -> DecisionFigures:
    """Figures from sums of the columns of `decision_columns`, (..., 3 · labels + 2)."""
    labels = (sums.shape[-1] - 2) // 3
    hit, chosen, true = (sums[..., part * labels : (part + 1) * labels] for part in range(3))
    top3, rows = sums[..., -2], sums[..., -1]
    present = true > 0
    precision = ratio(hit, chosen)
    recall = ratio(hit, true)
    f1 = np.where(present, ratio(2 * hit, chosen + true), np.nan)
    return DecisionFigures(
        accuracy=ratio(hit.sum(axis=-1), rows),
        top3_accuracy=ratio(top3, rows),
        precision=precision,
        recall=recall,
        f1=f1,
        macro_precision=_mean_where(np.where(chosen > 0, precision, 0.0), present),
        macro_recall=_mean_where(recall, present),
        macro_f1=_mean_where(f1, present),
    )


def _mean_where(values: Floats, mask: Bools) -> Floats:
    return ratio(np.where(mask, values, 0.0).sum(axis=-1), mask.sum(axis=-1).astype(np.float64))


def accuracy_by_coverage(confidence: Floats, correct: Bools) -> Floats:
    """Accuracy on the k most confident rows, k = 1 to all, (rows,); without an answer confidence is 0.

    The last is the accuracy on all, and the mean is one minus the area under the risk-coverage curve (Geifman
    and El-Yaniv, 2017). Rows of equal confidence have no order among themselves: each counts with their mean.
    """
    _, block = np.unique(-confidence, return_inverse=True)
    mean = np.bincount(block, correct.astype(np.float64)) / np.bincount(block)
    return np.cumsum(mean[np.sort(block)]) / np.arange(1, len(confidence) + 1)
