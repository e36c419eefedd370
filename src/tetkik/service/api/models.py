"""The models of this house: what their manifests say, how radiologists judge them, whether they drift."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel

from tetkik.bundle import Bundle, Manifest, available
from tetkik.records.images.drift import Drift, Inputs, LabelDrift, drift, ran
from tetkik.records.reports.agreement import Count, LabelAgreement, agreement, corrected_drafts, weeks_until
from tetkik.service.access.guard import allowed
from tetkik.service.house import House, InHouse
from tetkik.service.steps.models import bundle_of
from tetkik.values import Actor, Capability, Permission

router = APIRouter(prefix="/models", tags=["models"])
Engineer = Annotated[Actor, allowed(Permission.MODELS_READ)]


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


class DriftOfLabel(BaseModel):
    """The scores of a label then and now; figures are None with fewer than 50 images on a side.

    Attributes:
        label: as the model spells it.
        psi: population stability index.
        psi_chance: its 95% limit by chance.
        ks: largest gap of the cumulative distributions.
        ks_chance: its 95% limit by chance.
        positive_before: above the threshold, then.
        positive_now: above the threshold, now.
        positive_card: share above the threshold in the card's evaluation.
    """

    label: str
    psi: float | None
    psi_chance: float | None
    ks: float | None
    ks_chance: float | None
    positive_before: Share
    positive_now: Share
    positive_card: float | None


class InputsOfModel(BaseModel):
    """What images a model was given.

    Attributes:
        images: how many.
        refused: as unsuitable.
        without_spacing: whose file does not say how large a pixel is.
        modalities: images by modality; an empty name where the file has none.
        flaws: images by flaw.
    """

    images: int
    refused: int
    without_spacing: int
    modalities: dict[str, int]
    flaws: dict[str, int]


class DriftOfModel(BaseModel):
    """A bundle's last four weeks against its first images here.

    Attributes:
        bundle: its name.
        sha256: of its manifest.
        before: inputs then.
        now: inputs now.
        labels: those that moved furthest first.
    """

    bundle: str
    sha256: str
    before: InputsOfModel
    now: InputsOfModel
    labels: list[DriftOfLabel]


@router.get("")
def list_models(house: InHouse, actor: Engineer) -> Models:
    """Every bundle that this house has."""
    return Models(items=[_summary(bundle, house) for bundle in available()])


@router.get("/agreement")
def model_agreement(house: InHouse, actor: Engineer) -> Agreement:
    """What radiologists made of the models' answers."""
    with house.records.read(actor) as tx:
        weeks = weeks_until(tx.now)
        corrected, labels = corrected_drafts(tx, weeks), agreement(tx, weeks)
    return Agreement(
        weeks=list(weeks.starts),
        corrected=[_share(count) for count in corrected],
        labels=[_agreement(one) for one in labels],
    )


@router.get("/drift")
def model_drift(house: InHouse, actor: Engineer) -> list[DriftOfModel]:
    """Whether the models that ran here drift."""
    manifests = {bundle.manifest.name: bundle.manifest for bundle in available()}
    with house.records.read(actor) as tx:
        return [
            _drift(one.bundle, one.sha256, drift(tx, one, manifests.get(one.bundle)))
            for one in ran(tx, Capability.FINDINGS)
        ]


@router.get("/{model_id}")
def show_model(actor: Engineer, model_id: str) -> dict[str, Any]:
    """The manifest of a bundle."""
    manifest: Manifest = bundle_of(model_id).manifest
    return manifest.model_dump(mode="json")


def _summary(bundle: Bundle, house: House) -> ModelSummary:
    found, chosen = bundle.manifest, house.settings
    return ModelSummary(
        id=found.id,
        name=found.name,
        task=found.task.value,
        kind=found.kind,
        created=found.created,
        licence=found.licence,
        in_use=found.id in (chosen.triage_model, chosen.findings_model, chosen.caption_model),
    )


def _share(count: Count) -> Share:
    interval = count.interval
    return Share(
        hits=count.hits,
        total=count.total,
        low=interval.low if interval is not None else None,
        high=interval.high if interval is not None else None,
    )


def _agreement(one: LabelAgreement) -> AgreementOfLabel:
    return AgreementOfLabel(
        label=one.label,
        agreed=_share(one.all),
        confirmed=_share(one.asserted),
        called=_share(one.called),
        missed=one.missed,
        kappa=one.kappa,
        weeks=[_share(count) for count in one.weeks],
    )


def _drift(bundle: str, sha256: str, found: Drift) -> DriftOfModel:
    return DriftOfModel(
        bundle=bundle,
        sha256=sha256,
        before=_inputs(found.before),
        now=_inputs(found.now),
        labels=[_label(one) for one in found.labels],
    )


def _inputs(inputs: Inputs) -> InputsOfModel:
    return InputsOfModel(
        images=inputs.images,
        refused=inputs.refused.hits,
        without_spacing=inputs.without_spacing.hits,
        modalities=dict(inputs.modalities),
        flaws=dict(inputs.flaws),
    )


def _label(one: LabelDrift) -> DriftOfLabel:
    moved = one.shift
    return DriftOfLabel(
        label=one.label,
        psi=moved.psi if moved else None,
        psi_chance=moved.psi_chance if moved else None,
        ks=moved.ks if moved else None,
        ks_chance=moved.ks_chance if moved else None,
        positive_before=_share(one.positive_before),
        positive_now=_share(one.positive_now),
        positive_card=one.card,
    )
