"""What an evaluation of a captioner comes to: figures with intervals, for the model and for its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tetkik.caption.network import DecodingOptions
from tetkik.lab.caption.metrics.scores import METRICS, CaptionScores
from tetkik.lab.caption.prepared import Split
from tetkik.lab.engine.results import LearnedReport, fields_json, to_json
from tetkik.language import Language, Sentence
from tetkik.statistics import Floats, Interval

MODEL = "model"
CONSTANT = "constant"
NEAREST = "nearest"
SYSTEM_NAMES: Mapping[str, Sentence] = {
    MODEL: Sentence("the model"),
    CONSTANT: Sentence("one caption for all"),
    NEAREST: Sentence("caption of the nearest training image"),
}


class ExampleKind(StrEnum):
    BEST = "best"
    WORST = "worst"
    RANDOM = "random"


@dataclass(frozen=True, slots=True)
class Figure:
    """One metric of one system with its 95% interval.

    `over` is the model's value less this system's, with an interval from the same draws; None for the model.
    """

    value: float
    ci: Interval | None
    over: float | None = None
    over_ci: Interval | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "value": self.value,
            "ci": to_json(self.ci),
            "model_minus_this": self.over,
            "model_minus_this_ci": to_json(self.over_ci),
        }


@dataclass(frozen=True, slots=True, eq=False)
class System:
    """The model or a baseline (`model`, `constant` or `nearest`) and its captions, (n,)."""

    name: str
    captions: tuple[str, ...]
    scores: CaptionScores
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True, eq=False)
class Example:
    """An image of the page; `square` is (size, size, 3), uint8."""

    kind: ExampleKind
    row: int
    square: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which rows were judged; `limit` of them were drawn at random, None for all.

    `learned` is None on training and validation rows, which are learned by their nature.
    """

    split: Split
    total: int
    left_out: int
    learned: LearnedReport | None
    limit: int | None


@dataclass(frozen=True, slots=True, eq=False)
class CaptionEvaluation:
    """A captioner judged: (n,) ids, true captions, and confidence of the model, NaN where not known.

    `ceiling` is concept F1 of the true captions themselves; None where there is none.
    """

    model: str
    data: str
    provenance: Provenance
    ids: tuple[str, ...]
    references: tuple[str, ...]
    confidence: Floats
    groups: int
    systems: tuple[System, ...]
    ceiling: float | None
    examples: tuple[Example, ...]
    not_computed: Mapping[str, Sentence]
    decoding: DecodingOptions
    replicates: int
    seed: int
    interpretation: tuple[Sentence, ...] = ()

    def __len__(self) -> int:
        return len(self.references)

    @property
    def judged(self) -> System:
        return self.systems[0]

    def as_json(self, language: Language = Language.EN) -> dict[str, Any]:
        """What `caption evaluate --json` prints and `metrics.json` holds."""
        figures, learned = self.judged.figures, self.provenance.learned
        return {
            "model": self.model,
            "data": self.data,
            "split": self.provenance.split.value,
            "n": len(self),
            "groups": self.groups,
            **{name: figures[name].value if name in figures else None for name in METRICS},
            "ci": to_json({name: figure.ci for name, figure in figures.items()}),
            "concept_f1_of_true_captions": self.ceiling,
            "captions": fields_json(self.judged.scores.candidates, "lengths"),
            "true_captions": fields_json(self.judged.scores.references, "lengths"),
            "baselines": {
                system.name: {
                    **({"caption": system.captions[0]} if system.name == CONSTANT else {}),
                    **{name: figure.as_json() for name, figure in system.figures.items()},
                }
                for system in self.systems[1:]
            },
            "rows": {
                "in_split": self.provenance.total,
                "seen_and_left_out": self.provenance.left_out,
                "checked_for_seen": learned is not None and learned.same is not None,
                "drawn": self.provenance.limit,
            },
            "learned_rows": learned.as_json() if learned is not None else None,
            "decoding": asdict(self.decoding),
            "bootstrap": self.replicates,
            "seed": self.seed,
            "reading": to_json(self.interpretation, language),
            "not_computed": to_json(self.not_computed, language),
        }
