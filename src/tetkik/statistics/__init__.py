"""The figures by which models are judged, in NumPy: areas, intervals, calibration. It knows no capability."""

from tetkik.statistics.calibration import (
    ReliabilityBin,
    brier_skill,
    expected_calibration_error,
    reliability,
)
from tetkik.statistics.comparison import PairedAreas, delong, holm, paired_areas
from tetkik.statistics.complaint_drift import SeenComplaint, Tally, compare_complaints, described
from tetkik.statistics.drift import FEWEST, Shift, Stability
from tetkik.statistics.image_drift import (
    InputMoved,
    LabelMoved,
    Movement,
    Observation,
    compare,
    describe,
)
from tetkik.statistics.intervals import (
    Bools,
    ClusterBootstrap,
    Floats,
    Interval,
    Ints,
    percentile_interval,
    ratio,
    share_interval,
    wilson_interval,
)
from tetkik.statistics.roc import (
    auroc,
    auroc_interval,
    auroc_replicates,
    average_precision,
    precision_recall_curve,
    roc_curve,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
    stratified_auroc,
)

__all__ = [
    "FEWEST",
    "Bools",
    "ClusterBootstrap",
    "Floats",
    "InputMoved",
    "Interval",
    "Ints",
    "LabelMoved",
    "Movement",
    "Observation",
    "PairedAreas",
    "ReliabilityBin",
    "SeenComplaint",
    "Shift",
    "Stability",
    "Tally",
    "auroc",
    "auroc_interval",
    "auroc_replicates",
    "average_precision",
    "brier_skill",
    "compare",
    "compare_complaints",
    "delong",
    "describe",
    "described",
    "expected_calibration_error",
    "holm",
    "paired_areas",
    "percentile_interval",
    "precision_recall_curve",
    "ratio",
    "reliability",
    "roc_curve",
    "sensitivity_at_specificity",
    "share_interval",
    "specificity_at_sensitivity",
    "stratified_auroc",
    "wilson_interval",
]
