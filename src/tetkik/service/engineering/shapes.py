"""What models, agreement and drift look like to a program."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, Field

from tetkik.service.engineering.view import Against
from tetkik.service.kit.http.shape import Shape
from tetkik.statistics import Stability
from tetkik.values import Capability


class ModelSummary(Shape):
    """An installed bundle."""

    id: str = Field(description="As the settings name it.")
    name: str = Field(description="Id and version, as results quote it.")
    task: str = Field(description="Triage, findings, caption or gate.")
    kind: str
    created: str
    licence: str
    in_use: bool = Field(description="Whether the settings choose it.")


class Models(BaseModel):
    """Every bundle, by id."""

    items: list[ModelSummary] = Field(description="All of them; there are few.")
    next: None = Field(default=None, description="Always None.")


class Share(Shape):
    """So many of so many."""

    hits: int
    total: int
    low: float | None = Field(description="Lower end of the share's 95% interval (Wilson); None of none.")
    high: float | None


class AgreementOfLabel(Shape):
    """What radiologists said of one finding."""

    label: str = Field(description="As the models spell it.")
    agreed: Share
    confirmed: Share = Field(description="Accepted of those that the model had called present.")
    called: Share = Field(description="Called by the model of those that radiologists say are there.")
    missed: int
    kappa: float | None = Field(description="Cohen's; None where either says the same of every image.")
    weeks: list[Share] = Field(description="Accepted of judged by week, the oldest first.")


class Agreement(BaseModel):
    """What radiologists made of the models' answers in the last twelve weeks."""

    weeks: list[datetime] = Field(description="When each week begins, the oldest first.")
    corrected: list[Share] = Field(
        description="Drafts changed before the first signature, of all signed, by week."
    )
    labels: list[AgreementOfLabel] = Field(description="Findings, those most often judged first.")


class Moved(Shape):
    """How far a figure moved; what it is held against by chance allows for every comparison at once."""

    verdict: Stability
    psi: float = Field(description="Population stability index over deciles, or over yes and no.")
    psi_chance: float = Field(description="Its 95% limit by chance.")
    ks: float | None = Field(description="Largest gap of the cumulative distributions; None of a share.")
    ks_chance: float | None = Field(description="Its 95% limit by chance, alone; None of a share.")
    mean_before: float
    mean_now: float
    bins: list[tuple[float, float]] = Field(description="Share then and now in each bin of the index.")


class DriftOfLabel(Shape):
    """The scores of a label then and now."""

    label: str = Field(description="As the model spells it: a finding, or a department.")
    moved: Moved | None = Field(
        description="How far; None with fewer than 50 images or complaints on a side."
    )
    positive_before: Share = Field(
        description="Above the threshold, then; of a department, complaints of which it was the first."
    )
    positive_now: Share
    prevalence: float | None = Field(description="Share known to have it, then; None where nothing is known.")
    positive_card: float | None = Field(description="Share above the threshold in the card's evaluation.")


class DriftOfInput(BaseModel):
    """One figure of the images, or of the complaints, then and now."""

    route: str = Field(
        description="That the images take, chest or brain_mri; an empty name for none, and for complaints."
    )
    figure: str = Field(
        description="Of images brightness, contrast, side, or a share: refused, without_spacing, "
        "modality:DX, flaw:rotated; of complaints words, unknown, or a share: plain, refused; of answers "
        "probability, or a share: abstained, urgency:kirmizi."
    )
    moved: Moved | None = Field(description="How far; None with fewer than 50 on a side.")
    before: Share | None = Field(description="Of all then, for a share.")
    now: Share | None = Field(description="Of all now, for a share.")


class DriftOfModel(BaseModel):
    """A bundle's last four weeks against its card, or against its first images or complaints here."""

    task: Capability
    bundle: str
    sha256: str
    against: Against | None = Field(description="Card or first; None where there is nothing to compare with.")
    data: str | None = Field(description="Name of the data then.")
    split: str | None
    n_before: int = Field(description="How many images or complaints there were.")
    n_now: int
    scores: Stability | None = Field(
        description="The worst that is said of a score or an answer; None with too few."
    )
    inputs: Stability | None = Field(description="The worst that is said of an input; None with too few.")
    labels: list[DriftOfLabel] = Field(description="Those that moved furthest first.")
    figures: list[DriftOfInput] = Field(description="Of the inputs, by route.")
    answers: list[DriftOfInput] = Field(
        description="What triage says beside its departments; none of findings."
    )
