"""How a caption is judged: the metrics of the field, equal to their reference programs."""

from tetkik.caption.metrics.bertscore import BertScoreOptions
from tetkik.caption.metrics.concepts import ConceptDictionary, concept_dictionary
from tetkik.caption.metrics.measure import Measure, replicates
from tetkik.caption.metrics.quick import quick_scores
from tetkik.caption.metrics.scores import (
    METRICS,
    CaptionScores,
    Concepts,
    Wanted,
    score_captions,
    score_systems,
)
from tetkik.caption.metrics.wording import Wording

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
    "score_captions",
    "score_systems",
]
