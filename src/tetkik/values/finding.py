"""Values of what a model finds in an image, and of what it says of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from tetkik.values.common import fields_as_json
from tetkik.values.radiograph import Flaw, Measured, Route


class ThresholdOn(StrEnum):
    """What a threshold is compared with."""

    SCORE = "score"
    """The network's sigmoid."""
    PROBABILITY = "probability"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a model says of one label; all but `label` and `assessed` is empty where it was never taught it.

    Attributes:
        rules_out: whether a report may state its absence: not positive, and the bundle's held-out sensitivity
            at this threshold is proven high enough.
        uncertain: whether it lies in the band around the threshold in which an imported model, whose scores
            nobody has calibrated, is not to be trusted either way.
    """

    label: str
    assessed: bool  # whether the model was taught it and the image's route allows it
    score: float | None = None  # the network's sigmoid, 0 to 1
    probability: float | None = None  # calibrated, 0 to 1; None where the bundle has no calibration for it
    threshold: float | None = None
    threshold_on: ThresholdOn | None = None
    positive: bool = False  # whether the threshold is reached: a report may assert the finding
    rules_out: bool = False
    uncertain: bool = False

    def __post_init__(self) -> None:
        if self.assessed and (self.score is None or self.threshold is None or self.threshold_on is None):
            raise ValueError(f"an assessed finding needs a score and a threshold: {self.label}")
        if not self.assessed and (self.score is not None or self.positive or self.rules_out):
            raise ValueError(f"a finding that was not assessed says nothing: {self.label}")

    def as_json(self) -> dict[str, Any]:
        """The contract's keys and the addition `uncertain`; figures rounded to 6 decimals."""
        return fields_as_json(self)


@dataclass(frozen=True, slots=True)
class FindingsResult:
    """The answer to one image.

    Attributes:
        reasons: what the quality gate found, as sentences in the user's language; `flaws` are their codes.
        findings: one for each shared label in their order, then the model's own; empty where not suitable.
        gated: whether the quality gate judged it; where not, nothing was refused and no label withheld.
        measured: what was counted of the image, for comparing with others; not printed. None in answers that
            were kept before it was.
    """

    path: str
    route: Route | None  # None where it is refused as neither kind of image
    suitable: bool
    reasons: tuple[str, ...]
    flaws: tuple[Flaw, ...]
    screen: float | None  # calibrated probability that anything is abnormal; None where it cannot be computed
    findings: tuple[Finding, ...]
    model: str
    sha256: str
    degraded: bool = False  # whether it was read from a photograph of a film or the like
    notes: tuple[str, ...] = ()  # what was done to the image that its reader must know, as sentences
    gated: bool = True
    measured: Measured | None = None

    def as_json(self) -> dict[str, Any]:
        """The contract's keys in the contract's order, and the additions from `flaws` on."""
        content = fields_as_json(self)
        del content["measured"]
        first = ("path", "route", "suitable", "reasons", "screen", "findings", "model")
        return {name: content[name] for name in first} | content


@dataclass(frozen=True, slots=True)
class CaptionResult:
    """What a captioner says of one image: one paragraph, empty where the model said nothing.

    A caption has little authority: a report may quote it as an input, and it never adds a finding.

    Attributes:
        confidence: the mean probability of its tokens (geometric mean, 0 to 1): how sure the model was of its
            words, not that they are true. None where decoding gives no score.
        notes: what was done to the image that a reader must know, such as the frame chosen of many.
    """

    path: str
    caption: str
    confidence: float | None
    model: str
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"a confidence is 0 to 1, not {self.confidence}")

    def as_json(self) -> dict[str, Any]:
        """The answer as `caption predict --json` prints it."""
        return fields_as_json(self)
