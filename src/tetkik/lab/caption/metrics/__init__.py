"""How a caption is judged: the metrics of the field, equal to their reference programs."""

from tetkik.lab.caption.metrics.bertscore import BertScoreOptions
from tetkik.lab.caption.metrics.concepts import ConceptDictionary, concept_dictionary
from tetkik.lab.caption.metrics.measure import Measure, replicates
from tetkik.lab.caption.metrics.scores import (
    METRICS,
    CaptionScores,
    Concepts,
    Wanted,
    Wording,
    quick_scores,
    score_systems,
)

__all__ = [
    "METRICS",
    "BertScoreOptions",
    "CaptionScores",
    "ConceptDictionary",
    "Concepts",
    "Measure",
    "Wanted",
    "Wording",
    "concept_dictionary",
    "quick_scores",
    "replicates",
    "score_systems",
]
