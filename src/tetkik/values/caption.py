"""What travels between rooms about an image in words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class CaptionResult:
    """What a captioner says of one image.

    A caption has little authority: a report may quote it as an input, and it never adds a finding.

    Attributes:
        path: the image, as it was given.
        caption: one paragraph of plain text; empty where the model said nothing.
        confidence: the mean probability of its tokens (geometric mean, 0 to 1): how sure the model was of its
            words, not that they are true. None where decoding gives no score.
        model: id of the captioner.
    """

    path: str
    caption: str
    confidence: float | None
    model: str

    def as_json(self) -> dict[str, Any]:
        """The answer as `caption predict --json` prints it."""
        return {
            "path": self.path,
            "caption": self.caption,
            "confidence": self.confidence,
            "model": self.model,
        }
