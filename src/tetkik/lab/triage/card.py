"""The figures that every training of triage states in its manifest."""

from __future__ import annotations

from tetkik.bundle import Metric
from tetkik.lab.triage.metrics import (
    accuracy_by_coverage,
    decision_columns,
    decision_figures,
    predicted_labels,
    rank_of_truth,
)
from tetkik.statistics import ClusterBootstrap, Floats, Ints, percentile_interval
from tetkik.triage.calibration import ece, multiclass_brier_skill

_DECISIONS = ("accuracy", "macro_f1", "macro_precision", "macro_recall", "top3_accuracy")


def measured(
    probabilities: Floats, truth: Ints, groups: Ints, *, split: str, data: str = "training table"
) -> tuple[Metric, ...]:
    """The figures on held-out rows, those of decisions with a 95% interval from a bootstrap of groups.

    Args:
        probabilities: (rows, labels), calibrated.
        truth: (rows,), index of the true label.
        groups: (rows,), duplicate group of each row.
    """
    in_top3 = rank_of_truth(probabilities, truth) <= 3
    columns = decision_columns(truth, predicted_labels(probabilities), probabilities.shape[1], in_top3)
    figures = decision_figures(columns.sum(axis=0))
    draws = ClusterBootstrap(groups)
    replicates = decision_figures(draws.sums(columns)) if draws.possible else None
    found = []
    for name in _DECISIONS:
        interval = percentile_interval(getattr(replicates, name)) if replicates is not None else None
        found.append(
            Metric(
                name=name,
                value=float(getattr(figures, name)),
                low=interval.low if interval else None,
                high=interval.high if interval else None,
                n=len(truth),
                data=data,
                split=split,
            )
        )
    confidence, right = probabilities.max(axis=1), predicted_labels(probabilities) == truth
    plain = {
        "accuracy_at_80_coverage": float(
            accuracy_by_coverage(confidence, right)[round(0.8 * len(truth)) - 1]
        ),
        "ece": ece(probabilities, truth),
        "brier_skill": multiclass_brier_skill(probabilities, truth),
    }
    found += [
        Metric(name=name, value=value, n=len(truth), data=data, split=split) for name, value in plain.items()
    ]
    return tuple(found)
