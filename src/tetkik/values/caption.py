"""Values of an image in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tetkik.values.common import fields_as_json


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
