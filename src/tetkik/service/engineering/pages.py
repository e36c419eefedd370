"""The engineer's pages: models, their cards, how radiologists judge them, and whether they drift.

Nothing here identifies a patient: figures, labels and bundles alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from tetkik.bundle import available
from tetkik.language import Language, Sentence
from tetkik.records.cases import triage_performance
from tetkik.records.drift import REFERENCE, BundleUsage
from tetkik.records.images.drift import card_share, list_bundles
from tetkik.records.reports.agreement import Count, agreement, corrected_drafts, queue, weeks_until
from tetkik.service.engineering.markdown import rendered
from tetkik.service.engineering.view import (
    Against,
    bundle_of,
    drift_of,
    manifest_that_ran,
    models_that_ran,
    reference_of,
    triage_csv,
)
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.rendering.charts import Bar, bars, line
from tetkik.service.kit.rendering.navigation import NavigationEntry
from tetkik.statistics import FEWEST, InputMoved, Movement, Shift, Stability
from tetkik.statistics.image_drift import REFUSED
from tetkik.values import Capability, Permission, label_name

router = APIRouter(prefix="/engineer")
NAVIGATION = (
    NavigationEntry(
        "/engineer", Permission.MODELS_READ, "chart", Sentence("Models"), "g m", position=60, start=6
    ),
)
Engineer = Annotated[RequestContext, allowed(Permission.MODELS_READ)]


@dataclass(frozen=True, slots=True)
class LabelRow:
    """A row of scores; without a shift there were too few. `card` is the share above the threshold there."""

    name: str
    shift: Shift | None
    bars: tuple[Bar, ...]
    before: Count
    now: Count
    prevalence: float | None
    card: float | None


@dataclass(frozen=True, slots=True)
class InputRow:
    """A row of inputs: a share has hits then and now, another figure bars; without a shift there were too
    few.
    """

    name: str
    shift: Shift | None
    bars: tuple[Bar, ...]
    before: Count | None
    now: Count | None

    @property
    def minor(self) -> bool:
        """Whether it need not be looked at: a share, other than that of the refused, which did not move."""
        moved = self.shift is not None and self.shift.stability is not Stability.STABLE
        return self.before is not None and self.name != REFUSED and not moved


@dataclass(frozen=True, slots=True)
class RouteRows:
    """The inputs of one route, those to be looked at first; an empty name for images that took none."""

    route: str
    images: int
    rows: list[InputRow]
    minor: list[InputRow]


@router.get("")
def overview(ctx: Engineer) -> HTMLResponse:
    with ctx.read() as tx:
        weeks = weeks_until(tx.now)
        corrected = corrected_drafts(tx, weeks)
        reviewed = agreement(tx, weeks)
        answered = list_bundles(tx)
        waiting = queue(tx)
    return ctx.render(
        "engineering/overview.html.jinja",
        weeks=weeks,
        corrected=corrected,
        corrected_line=line([count.share for count in corrected], 1000, 160),
        corrected_all=sum(corrected, Count()),
        reviewed=sum((one.all for one in reviewed), Count()),
        runs=sum(one.runs for one in answered),
        waiting=waiting,
        bundles=available(),
        in_use=_in_use(ctx.app),
    )


@router.get("/agreement")
def agreement_page(ctx: Engineer) -> HTMLResponse:
    with ctx.read() as tx:
        weeks = weeks_until(tx.now)
        labels = agreement(tx, weeks)
    language = ctx.language
    rows = [
        (label_name(one.label, language), one, line([count.share for count in one.weeks], 120, 24))
        for one in labels
    ]
    return ctx.render("engineering/agreement.html.jinja", rows=rows, weeks=weeks)


@router.get("/drift")
def drift_page(ctx: Engineer, bundle: str | None = None, against: Against = Against.CARD) -> HTMLResponse:
    """Whether a model's scores and inputs are still those of its card, or those that it began with here.

    Of findings and of triage; the first of findings where none is chosen.
    """
    with ctx.read() as tx:
        answered = models_that_ran(tx)
        chosen = next((one for one in answered if one.sha256 == bundle), answered[0] if answered else None)
        found = drift_of(tx, chosen, against) if chosen else None
    of_complaints = chosen is not None and chosen.capability is Capability.TRIAGE
    return ctx.render(
        "engineering/drift.html.jinja",
        of_complaints=of_complaints,
        answered=answered,
        chosen=chosen,
        carried=reference_of(chosen) is not None if chosen else False,
        drift=found,
        labels=_label_rows(found.moved, chosen, ctx.language) if found and chosen else (),
        routes=_routes(found.moved) if found and not of_complaints else (),
        inputs=_rows(found.moved.inputs) if found and found.moved and of_complaints else (),
        answers=_rows(found.moved.answers) if found and found.moved else (),
        reference=REFERENCE,
        fewest=FEWEST,
    )


@router.get("/models/{model_id}")
def model_page(ctx: Engineer, model_id: str) -> HTMLResponse:
    bundle = bundle_of(model_id)
    card = bundle.path / "README.md"
    return ctx.render(
        "engineering/model.html.jinja",
        manifest=bundle.manifest,
        card=rendered(card.read_text("utf-8")) if card.is_file() else None,
        in_use=_in_use(ctx.app),
    )


def _in_use(context: AppContext) -> tuple[str | None, ...]:
    chosen = context.settings
    return (chosen.triage_model, chosen.findings_model, chosen.caption_model)


def _label_rows(moved: Movement | None, ran: BundleUsage, language: Language) -> list[LabelRow]:
    manifest = manifest_that_ran(ran)
    return [
        LabelRow(
            label_name(one.label, language),
            one.shift,
            bars(one.shift.bins) if one.shift else (),
            Count(*one.positive_before),
            Count(*one.positive_now),
            one.prevalence,
            card_share(manifest, one.label) if manifest else None,
        )
        for one in (moved.labels if moved else ())
    ]


def _routes(moved: Movement | None) -> list[RouteRows]:
    found = []
    for route, group in groupby(moved.inputs if moved else (), key=lambda one: one.route):
        moves = list(group)
        rows = [_input_row(one) for one in moves]
        found.append(
            RouteRows(
                route,
                max(one.now[1] for one in moves if one.now),
                [row for row in rows if row.shift and not row.minor],
                [row for row in rows if row.shift and row.minor],
            )
        )
    return sorted(found, key=lambda one: -one.images)


def _rows(moved: Iterable[InputMoved]) -> list[InputRow]:
    """Figures that there are enough of for a verdict."""
    return [_input_row(one) for one in moved if one.shift]


def _input_row(one: InputMoved) -> InputRow:
    return InputRow(
        one.name,
        one.shift,
        bars(one.shift.bins) if one.shift and one.before is None else (),
        Count(*one.before) if one.before else None,
        Count(*one.now) if one.now else None,
    )


@router.get("/triage")
def performance(ctx: Annotated[RequestContext, allowed(Permission.MODELS_READ)]) -> HTMLResponse:
    with ctx.read() as tx:
        departments = triage_performance.performance(tx)
        urgencies = triage_performance.by_urgency(tx)
        overrides = triage_performance.overrides(tx)
    return ctx.render(
        "engineering/triage.html.jinja",
        triage_departments=departments,
        triage_urgencies=urgencies,
        triage_overrides=overrides,
        triage_overall=triage_performance.overall(departments),
    )


@router.get("/triage-feedback.csv")
def feedback(ctx: Annotated[RequestContext, allowed(Permission.FEEDBACK_EXPORT)]) -> Response:
    return triage_csv(ctx, None, None)
