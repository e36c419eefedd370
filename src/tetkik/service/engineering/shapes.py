"""What models, agreement and drift look like to a program."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from tetkik.service.engineering.view import (
    Against,
)
from tetkik.statistics import Stability
from tetkik.values import Capability


class ModelSummary(BaseModel):
    """A bundle that this house has.

    Attributes:
        id: as the settings name it.
        name: id and version, as results quote it.
        task: triage, findings, caption or gate.
        kind: its family.
        created: date of its training.
        licence: of its weights.
        in_use: whether the settings choose it.
    """

    id: str
    name: str
    task: str
    kind: str
    created: str
    licence: str
    in_use: bool


class Models(BaseModel):
    """Every bundle, by id.

    Attributes:
        items: all of them; there are few.
        next: always None.
    """

    items: list[ModelSummary]
    next: None = None


class Share(BaseModel):
    """So many of so many.

    Attributes:
        hits: those meant.
        total: all.
        low: lower end of the share's 95% interval (Wilson); None of none.
        high: its upper end.
    """

    hits: int
    total: int
    low: float | None
    high: float | None


class AgreementOfLabel(BaseModel):
    """What radiologists said of one finding.

    Attributes:
        label: as the models spell it.
        agreed: accepted of judged.
        confirmed: accepted of those that the model had called present.
        called: called by the model of those that radiologists say are there.
        missed: added by a radiologist.
        kappa: Cohen's; None where either says the same of every image.
        weeks: accepted of judged by week, the oldest first.
    """

    label: str
    agreed: Share
    confirmed: Share
    called: Share
    missed: int
    kappa: float | None
    weeks: list[Share]


class Agreement(BaseModel):
    """What radiologists made of the models' answers in the last twelve weeks.

    Attributes:
        weeks: when each week begins, the oldest first.
        corrected: drafts changed before the first signature, of all signed, by week.
        labels: findings, those most often judged first.
    """

    weeks: list[datetime]
    corrected: list[Share]
    labels: list[AgreementOfLabel]


class Moved(BaseModel):
    """How far a figure moved; what it is held against by chance allows for every comparison at once.

    Attributes:
        verdict: stable, watch or shifted.
        psi: population stability index over deciles, or over yes and no.
        psi_chance: its 95% limit by chance.
        ks: largest gap of the cumulative distributions; None of a share.
        ks_chance: its 95% limit by chance, alone; None of a share.
        mean_before: then.
        mean_now: now.
        bins: share then and now in each bin of the index.
    """

    verdict: Stability
    psi: float
    psi_chance: float
    ks: float | None
    ks_chance: float | None
    mean_before: float
    mean_now: float
    bins: list[tuple[float, float]]


class DriftOfLabel(BaseModel):
    """The scores of a label then and now.

    Attributes:
        label: as the model spells it: a finding, or a department.
        moved: how far; None with fewer than 50 images or complaints on a side.
        positive_before: above the threshold, then; of a department, complaints of which it was the first.
        positive_now: the same, now.
        prevalence: share known to have it, then; None where nothing is known.
        positive_card: share above the threshold in the card's evaluation.
    """

    label: str
    moved: Moved | None
    positive_before: Share
    positive_now: Share
    prevalence: float | None
    positive_card: float | None


class DriftOfInput(BaseModel):
    """One figure of the images, or of the complaints, then and now.

    Attributes:
        route: that the images take, chest or brain_mri; an empty name for none, and for complaints.
        figure: of images brightness, contrast, side, or a share: refused, without_spacing, modality:DX,
            flaw:rotated; of complaints words, unknown, or a share: plain, refused; of answers to them
            probability, or a share: abstained, urgency:kirmizi.
        moved: how far; None with fewer than 50 on a side.
        before: of all then, for a share.
        now: of all now, for a share.
    """

    route: str
    figure: str
    moved: Moved | None
    before: Share | None
    now: Share | None


class DriftOfModel(BaseModel):
    """A bundle's last four weeks against its card, or against its first images or complaints here.

    Attributes:
        task: findings or triage.
        bundle: its name.
        sha256: of its manifest.
        against: card or first; None where there is nothing to compare with.
        data: name of the data then.
        split: the part of it.
        n_before: how many images or complaints there were.
        n_now: how many there are.
        scores: the worst that is said of a score or an answer; None with too few.
        inputs: the worst that is said of an input; None with too few.
        labels: those that moved furthest first.
        figures: of the inputs, by route.
        answers: what triage says beside its departments; none of findings.
    """

    task: Capability
    bundle: str
    sha256: str
    against: Against | None
    data: str | None
    split: str | None
    n_before: int
    n_now: int
    scores: Stability | None
    inputs: Stability | None
    labels: list[DriftOfLabel]
    figures: list[DriftOfInput]
    answers: list[DriftOfInput]
