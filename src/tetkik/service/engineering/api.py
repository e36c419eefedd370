"""The installed models: what their manifests say, how radiologists judge them, whether they drift."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import Response

from tetkik.bundle import Manifest, available
from tetkik.language import Language
from tetkik.records.drift import BundleUsage, Drift
from tetkik.records.images.drift import card_share
from tetkik.records.reports.agreement import Count, LabelAgreement, agreement, corrected_drafts, weeks_until
from tetkik.service.engineering import shapes, view
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.http.shape import Date
from tetkik.statistics import InputMoved, LabelMoved, Shift
from tetkik.values import Permission

router = APIRouter(prefix="/models", tags=["models"])
Engineer = Annotated[RequestContext, allowed(Permission.MODELS_READ)]


@router.get("")
def list_models(ctx: Engineer) -> shapes.Models:
    """Every installed bundle."""
    chosen = ctx.settings
    used = (chosen.triage_model, chosen.findings_model, chosen.caption_model)
    found = [bundle.manifest for bundle in available()]
    return shapes.Models(items=[shapes.ModelSummary.from_value(one, in_use=one.id in used) for one in found])


@router.get("/agreement")
def model_agreement(ctx: Engineer) -> shapes.Agreement:
    """What radiologists made of the models' answers."""
    with ctx.read() as tx:
        weeks = weeks_until(tx.now)
        corrected, labels = corrected_drafts(tx, weeks), agreement(tx, weeks)
    return shapes.Agreement(
        weeks=list(weeks.starts),
        corrected=[_share(count) for count in corrected],
        labels=[_agreement(one) for one in labels],
    )


@router.get("/drift")
def model_drift(ctx: Engineer, against: view.Against = view.Against.CARD) -> list[shapes.DriftOfModel]:
    """Whether the models that ran here drift: against their cards, or against what they did first here."""
    with ctx.read() as tx:
        return [
            _drift(one, view.drift_of(tx, one, against), view.manifest_that_ran(one))
            for one in view.models_that_ran(tx)
        ]


@router.get("/{model_id}")
def show_model(ctx: Engineer, model_id: str) -> dict[str, Any]:
    """The manifest of a bundle."""
    manifest: Manifest = view.bundle_of(model_id).manifest
    return manifest.model_dump(mode="json")


def _share(count: Count) -> shapes.Share:
    ends = count.interval
    return shapes.Share.from_value(count, low=ends.low if ends else None, high=ends.high if ends else None)


def _agreement(one: LabelAgreement) -> shapes.AgreementOfLabel:
    return shapes.AgreementOfLabel.from_value(
        one,
        agreed=_share(one.all),
        confirmed=_share(one.asserted),
        called=_share(one.called),
        weeks=[_share(count) for count in one.weeks],
    )


def _drift(one: BundleUsage, found: Drift, manifest: Manifest | None) -> shapes.DriftOfModel:
    before, moved = found.before, found.moved
    return shapes.DriftOfModel(
        task=one.capability,
        bundle=one.bundle,
        sha256=one.sha256,
        against=None if before is None else view.Against.CARD if found.on_card else view.Against.FIRST,
        data=before.data if before else None,
        split="; ".join(one.in_language(Language.EN) for one in before.split) if before else None,
        n_before=before.total if before else 0,
        n_now=found.now,
        scores=moved.scores if moved else None,
        inputs=moved.seen if moved else None,
        labels=[_label(label, manifest) for label in moved.labels] if moved else [],
        figures=[_input(figure) for figure in moved.inputs] if moved else [],
        answers=[_input(figure) for figure in moved.answers] if moved else [],
    )


def _label(one: LabelMoved, manifest: Manifest | None) -> shapes.DriftOfLabel:
    return shapes.DriftOfLabel.from_value(
        one,
        moved=_moved(one.shift),
        positive_before=_share(Count(*one.positive_before)),
        positive_now=_share(Count(*one.positive_now)),
        positive_card=card_share(manifest, one.label) if manifest else None,
    )


def _input(one: InputMoved) -> shapes.DriftOfInput:
    return shapes.DriftOfInput(
        route=one.route,
        figure=one.name,
        moved=_moved(one.shift),
        before=_share(Count(*one.before)) if one.before else None,
        now=_share(Count(*one.now)) if one.now else None,
    )


def _moved(shift: Shift | None) -> shapes.Moved | None:
    return None if shift is None else shapes.Moved.from_value(shift, verdict=shift.stability)


feedback_router = APIRouter(tags=["triage"])


@feedback_router.get(
    "/triage/feedback",
    response_class=Response,
    responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}, "description": "A table."}},
)
def feedback(
    ctx: Annotated[RequestContext, allowed(Permission.FEEDBACK_EXPORT)],
    since: Annotated[Date | None, Query(description="From this day on (UTC).")] = None,
    until: Annotated[Date | None, Query(description="Up to this day, it included (UTC).")] = None,
) -> Response:
    """CSV: text (masked), department and urgency as people chose them and as triage gave them, rules."""
    return view.triage_csv(ctx, since, until)
