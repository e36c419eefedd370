"""The engineer's desk: models, their cards, how radiologists judge them, and whether they drift.

Nothing here tells whose image or report it was: figures, labels and bundles alone.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from tetkik.bundle import Manifest, available
from tetkik.records.images.drift import REFERENCE, Ran, drift, ran
from tetkik.records.reports.agreement import Count, agreement, corrected_drafts, queue, weeks_until
from tetkik.service.access.guard import allowed
from tetkik.service.house import House, InHouse
from tetkik.service.showing.charts import line
from tetkik.service.showing.markdown import rendered
from tetkik.service.showing.rendering import language_of, render
from tetkik.service.steps.models import bundle_of
from tetkik.values import Actor, Capability, Permission, label_name

router = APIRouter(prefix="/engineer")
Engineer = Annotated[Actor, allowed(Permission.MODELS_READ)]


@router.get("")
def overview(request: Request, house: InHouse, actor: Engineer) -> HTMLResponse:
    """The figures that tell whether the models help, and the models."""
    with house.records.read(actor) as tx:
        weeks = weeks_until(tx.now)
        corrected = corrected_drafts(tx, weeks)
        reviewed = agreement(tx, weeks)
        answered = ran(tx, Capability.FINDINGS)
        waiting = queue(tx)
    return render(
        request,
        "engineer/overview.html.jinja",
        weeks=weeks,
        corrected=corrected,
        corrected_line=line([count.share for count in corrected], 1000, 160),
        corrected_all=sum(corrected, Count()),
        reviewed=sum((one.all for one in reviewed), Count()),
        runs=sum(one.runs for one in answered),
        waiting=waiting,
        bundles=available(),
        in_use=_in_use(house),
    )


@router.get("/agreement")
def agreement_page(request: Request, house: InHouse, actor: Engineer) -> HTMLResponse:
    """How far radiologists agree with each finding, week by week."""
    with house.records.read(actor) as tx:
        weeks = weeks_until(tx.now)
        labels = agreement(tx, weeks)
    language = language_of(request)
    rows = [
        (label_name(one.label, language), one, line([count.share for count in one.weeks], 120, 24))
        for one in labels
    ]
    return render(request, "engineer/agreement.html.jinja", rows=rows, weeks=weeks)


@router.get("/drift")
def drift_page(request: Request, house: InHouse, actor: Engineer, bundle: str | None = None) -> HTMLResponse:
    """Whether a model's scores and inputs are still those that it began with."""
    with house.records.read(actor) as tx:
        answered = ran(tx, Capability.FINDINGS)
        chosen = _chosen(answered, bundle)
        found = drift(tx, chosen, _manifest_of(chosen)) if chosen else None
    language = language_of(request)
    return render(
        request,
        "engineer/drift.html.jinja",
        answered=answered,
        chosen=chosen,
        drift=found,
        names={one.label: label_name(one.label, language) for one in found.labels} if found else {},
        reference=REFERENCE,
    )


@router.get("/models/{model_id}")
def model_page(request: Request, house: InHouse, actor: Engineer, model_id: str) -> HTMLResponse:
    """One model: what its manifest and its card say."""
    bundle = bundle_of(model_id)
    card = bundle.path / "README.md"
    return render(
        request,
        "engineer/model.html.jinja",
        manifest=bundle.manifest,
        card=rendered(card.read_text("utf-8")) if card.is_file() else None,
        in_use=_in_use(house),
    )


def _in_use(house: House) -> tuple[str | None, ...]:
    chosen = house.settings
    return (chosen.triage_model, chosen.findings_model, chosen.caption_model)


def _chosen(answered: tuple[Ran, ...], wanted: str | None) -> Ran | None:
    return next((one for one in answered if one.sha256 == wanted), answered[0] if answered else None)


def _manifest_of(chosen: Ran) -> Manifest | None:
    return next((one.manifest for one in available() if one.manifest.name == chosen.bundle), None)
