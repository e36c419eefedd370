"""Values of what a model finds in an image, and of what it says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from tetkik.values.common import ADDED, fields_as_json
from tetkik.values.finding_labels import NORMAL_LABELS
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
        asserts: whether a draft may state it: positive, and at the bundle's operating point of held-out
            precision. None in answers kept before there was such a point; see `asserted`.
        rules_out: whether a report may state its absence: not positive, and the bundle's held-out sensitivity
            at this threshold is proven high enough.
        uncertain: whether it lies in the band around the threshold in which an imported model, whose scores
            nobody has calibrated, is not to be trusted either way.
        image_id: of a study with several images, the one whose model says this; else None.
    """

    label: str
    assessed: bool  # whether the model was taught it and the image's route allows it
    score: float | None = None  # the network's sigmoid, 0 to 1
    probability: float | None = None  # calibrated, 0 to 1; None where the bundle has no calibration for it
    threshold: float | None = None
    threshold_on: ThresholdOn | None = None
    positive: bool = False  # whether the threshold is reached: it is suggested to the reader
    rules_out: bool = False
    uncertain: bool = False
    image_id: str | None = field(default=None, metadata=ADDED)
    asserts: bool | None = field(default=None, metadata=ADDED)

    def __post_init__(self) -> None:
        if self.assessed and (self.score is None or self.threshold is None or self.threshold_on is None):
            raise ValueError(f"an assessed finding needs a score and a threshold: {self.label}")
        if not self.assessed and (self.score is not None or self.positive or self.rules_out):
            raise ValueError(f"a finding that was not assessed says nothing: {self.label}")
        if self.asserts and not self.positive:
            raise ValueError(f"what is stated is positive: {self.label}")

    @property
    def asserted(self) -> bool:
        """Whether a draft may state it; of an answer from before `asserts`, whether it is positive."""
        return self.positive if self.asserts is None else self.asserts

    @property
    def strength(self) -> tuple[bool, float]:
        """What orders two answers about one label: above the threshold first, then the more probable."""
        return self.positive, (self.score or 0.0) if self.probability is None else self.probability

    def as_json(self) -> dict[str, Any]:
        """The contract's keys and the addition `uncertain`; figures rounded to 6 decimals."""
        content = {"asserts": self.asserted} | fields_as_json(self)
        first = ("label", "assessed", "score", "probability", "threshold", "threshold_on", "positive")
        return {name: content[name] for name in first} | content | {"asserts": self.asserted}


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
    graded: bool = field(default=False, metadata=ADDED)  # whether held-out precision bears out three words

    def as_json(self) -> dict[str, Any]:
        """The contract's keys in the contract's order, and the additions from `flaws` on."""
        content = fields_as_json(self)
        del content["measured"]
        first = ("path", "route", "suitable", "reasons", "screen", "findings", "model")
        return {name: content[name] for name in first} | content


def lead_image(results: Mapping[str, FindingsResult]) -> str:
    """The image of a study that stands for it: of its most probable finding, else the first that was read.

    `results` are by the id of the image, in their order, and not empty.
    """
    found = [
        (finding.strength, image_id)
        for image_id, result in results.items()
        for finding in result.findings
        if finding.positive and finding.label not in NORMAL_LABELS
    ]
    if found:
        strongest = max(strength for strength, _ in found)
        return next(image_id for strength, image_id in found if strength == strongest)
    return next((image_id for image_id, result in results.items() if result.suitable), next(iter(results)))


def join_results(results: Mapping[str, FindingsResult]) -> FindingsResult:
    """The answers to the images of a study as one: each label as the image says it that shows it best.

    A label is found where one image shows it, and absent where the image that shows it best allows to say so;
    normal is a study only where every image is.
    Images that no model reads, such as a lateral view beside a frontal one, count only where there is no
    other.

    Args:
        results: by the id of the image, in the order of the images, and not empty. One alone stays as it is.
    """
    if len(results) == 1:
        return next(iter(results.values()))
    lead = results[lead_image(results)]
    read = {image_id: result for image_id, result in results.items() if result.suitable}
    counted = read or results
    best: dict[str, Finding] = {}
    for image_id, result in read.items():
        for finding in result.findings:
            answer = replace(finding, image_id=image_id) if finding.assessed else finding
            best[finding.label] = _better(best.get(finding.label, answer), answer)
    screens = [result.screen for result in read.values() if result.screen is not None]
    return replace(
        lead,
        reasons=tuple(dict.fromkeys(reason for result in counted.values() for reason in result.reasons)),
        flaws=tuple(dict.fromkeys(flaw for result in counted.values() for flaw in result.flaws)),
        notes=tuple(dict.fromkeys(note for result in counted.values() for note in result.notes)),
        screen=max(screens, default=None),
        findings=tuple(best.values()),
        degraded=any(result.degraded for result in read.values()),
        gated=all(result.gated for result in counted.values()),
    )


def _better(known: Finding, other: Finding) -> Finding:
    """Which of two answers about one label holds for the study."""
    if known.assessed is not other.assessed:
        return known if known.assessed else other
    stronger, weaker = (other, known) if other.strength > known.strength else (known, other)
    return weaker if known.label in NORMAL_LABELS else stronger


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
