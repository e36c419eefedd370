"""`reference.json`: how a model's scores and inputs were spread where it was made, for hospitals to compare.

It names no image, no complaint and no patient: counts alone. A bundle without one is as sound as before.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tetkik.bundle.manifest import Sentences, Task
from tetkik.bundle.store import Bundle, sha256_of
from tetkik.errors import BundleCorrupt

REFERENCE = "reference.json"
REFERENCE_VERSION = 1
REFERENCE_IMAGES = 2000
"""Images that are looked at where nothing else is asked for: deciles are then known to 0.7 points (1 SD)."""
REFERENCE_COMPLAINTS = 5000
"""Complaints that are read where nothing else is asked for; a text is read sooner than an image."""
_LIMIT = 4 << 20


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Histogram(_Frozen):
    """How many values lie in each bin. Bin `i` reaches from edge `i-1` (included) to edge `i` (not)."""

    edges: tuple[float, ...] = Field(
        description="Inner edges, rising; the first bin and the last one are open outwards."
    )
    counts: tuple[int, ...] = Field(min_length=1, description="Values in each bin, one more than edges.")
    mean: float = Field(description="Mean of the values.")

    @model_validator(mode="after")
    def _fits(self) -> Histogram:
        if len(self.counts) != len(self.edges) + 1:
            raise ValueError("a histogram has one bin more than inner edges")
        if any(low >= high for low, high in pairwise(self.edges)):
            raise ValueError("the edges of a histogram rise")
        if min(self.counts) < 0 or not sum(self.counts):
            raise ValueError("a histogram counts at least one value, and none less than 0 times")
        return self

    @property
    def total(self) -> int:
        return sum(self.counts)

    def quantile(self, share: float) -> float | None:
        """The edge up to which at least `share` (0 to 1) of the values lie; None beyond the last edge."""
        below = 0
        for edge, count in zip(self.edges, self.counts, strict=False):
            below += count
            if below >= share * self.total:
                return edge
        return None


class LabelReference(_Frozen):
    """The scores of one label on the images, or complaints, that the model was let to see."""

    scores: Histogram = Field(
        description="Of a finding: the network's sigmoid, in about a hundred bins of equal mass. Of a "
        "department: its probability, in the bins that a hospital counts in."
    )
    positive: int = Field(
        ge=0, description="Images at or above the threshold; complaints whose first department it is."
    )
    present: int | None = Field(default=None, ge=0, description="Known to have it.")
    absent: int | None = Field(default=None, ge=0, description="Known not to have it.")

    @property
    def prevalence(self) -> float | None:
        """Share present of those known; None where no absence is known, for then it says nothing."""
        if self.present is None or not self.absent:
            return None
        return self.present / (self.present + self.absent)


class InputReference(_Frozen):
    """What the quality gate and the reader saw of the images that take one route."""

    images: int = Field(ge=1, description="All of them, those refused as unsuitable included.")
    refused: int = Field(ge=0, description="Refused as unsuitable.")
    without_spacing: int = Field(ge=0, description="Whose file does not say how large a pixel is.")
    modalities: dict[str, int] = Field(
        default_factory=dict, description="Images by DICOM modality; an empty name where the file has none."
    )
    flaws: dict[str, int] = Field(
        default_factory=dict, description="Images by flaw that the quality gate names."
    )
    brightness: Histogram | None = Field(
        default=None, description="Of the mean of an image's pixels as a share of white."
    )
    contrast: Histogram | None = Field(
        default=None, description="Of the standard deviation of an image's pixels as a share of white."
    )
    side: Histogram | None = Field(default=None, description="Of the shorter side of an image, in pixels.")


class Reference(_Frozen):
    """What every `reference.json` says. Unknown keys are refused."""

    format_version: int = Field(default=REFERENCE_VERSION, ge=1, description="Version of this file.")
    data: str = Field(description="The data set.")
    split: Sentences = Field(
        description="The part of it, how it was cut, which network scored it: templates with values."
    )
    created: str = Field(description="Date, ISO 8601.")
    labels: dict[str, LabelReference] = Field(default_factory=dict, description="By label of the model.")


class ImageReference(Reference):
    """The contents of `reference.json` of findings."""

    images: int = Field(ge=1, description="Images that could be read.")
    unreadable: int = Field(default=0, ge=0, description="Images that could not, and count nowhere.")
    inputs: dict[str, InputReference] = Field(
        default_factory=dict,
        description="By route, `chest` or `brain_mri`; an empty name for images that took none.",
    )

    @property
    def total(self) -> int:
        return self.images


class ComplaintReference(Reference):
    """The contents of `reference.json` of triage."""

    complaints: int = Field(ge=1, description="All of them, those that no model reads included.")
    refused: int = Field(ge=0, description="That no model reads: not Turkish, or no complaint.")
    plain: int = Field(ge=0, description="Without a single Turkish letter.")
    words: Histogram = Field(description="Of the number of words.")
    unknown: Histogram | None = Field(
        default=None, description="Of the share of words that the model's vocabulary does not hold."
    )
    probability: Histogram | None = Field(
        default=None, description="Of the probability of the first department."
    )
    abstained: int = Field(ge=0, description="Read, and no department named.")
    urgency: dict[str, int] = Field(default_factory=dict, description="Complaints by level of urgency.")

    @property
    def total(self) -> int:
        return self.complaints


AnyReference = ImageReference | ComplaintReference
_OF: dict[Task, type[ImageReference] | type[ComplaintReference]] = {
    Task.FINDINGS: ImageReference,
    Task.TRIAGE: ComplaintReference,
}


def write_reference(folder: Path, reference: AnyReference) -> None:
    """Write `reference.json` into the folder of a bundle; its manifest is written after it."""
    content = reference.model_dump(mode="json", exclude_none=True)
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    (folder / REFERENCE).write_text(text + "\n", encoding="utf-8")


def read_reference(bundle: Bundle) -> AnyReference | None:
    """The reference of a bundle, None where it has none; `BundleCorrupt` where it was altered."""
    kind = _OF.get(bundle.manifest.task)
    if kind is None or REFERENCE not in bundle.manifest.files:
        return None
    file = bundle.file(REFERENCE)
    try:
        if file.stat().st_size > _LIMIT or sha256_of(file) != bundle.manifest.files[REFERENCE]:
            raise ValueError("altered")
        # Strictly: "2" is no count.
        return kind.model_validate_json(file.read_bytes(), strict=True)
    except (OSError, ValidationError, ValueError):
        raise BundleCorrupt(
            "The reference distribution in {path} is damaged or of a newer Tetkik; fetch the bundle again.",
            path=bundle.path,
        ) from None
