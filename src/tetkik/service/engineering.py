"""Models: their cards, how radiologists judge them, and whether they drift. Nothing identifies a patient."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, Response
from markdown_it import MarkdownIt
from markupsafe import Markup
from pydantic import BaseModel, Field, model_validator

from tetkik.bundle.card import AnyReference, ComplaintReference, ImageReference, read_reference
from tetkik.bundle.manifest import Manifest
from tetkik.bundle.store import MANIFEST, Bundle, available, sha256_of
from tetkik.errors import NotFound
from tetkik.language import Language, Sentence
from tetkik.records.cases import complaints, triage_feedback
from tetkik.records.database import Transaction
from tetkik.records.drift import REFERENCE, BundleUsage, Drift
from tetkik.records.images import runs as images
from tetkik.records.images.runs import card_share, list_bundles
from tetkik.records.reports.department_statistics import (
    Count,
    agreement,
    corrected_drafts,
    queue,
    weeks_until,
)
from tetkik.service.kit.access.authorization import RequestContext, allowed
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.responses import Date, Shape, download_headers
from tetkik.service.kit.rendering.charts import Bar, bars, line
from tetkik.service.kit.rendering.templates import NavigationEntry
from tetkik.statistics.drift import FEWEST, REFUSED, InputMoved, LabelMoved, Movement, Shift, Stability
from tetkik.values.access import Permission
from tetkik.values.finding_labels import label_name
from tetkik.values.states import Capability


class Against(StrEnum):
    """What the images or complaints of now are held against."""

    CARD = "card"
    """The reference of the bundle; the first ones here where it has none."""
    FIRST = "first"
    """The first ones here."""


def bundle_of(model_id: str) -> Bundle:
    """An installed bundle, by its id alone: a path or a hub's id leads nowhere."""
    for bundle in available():
        if bundle.manifest.id == model_id:
            return bundle
    raise NotFound("There is no model of this name here; the models' page lists those there are.")


def models_that_ran(tx: Transaction) -> tuple[BundleUsage, ...]:
    """The bundles that answered here: those of findings, then those of triage, of each the latest first."""
    return (*images.list_bundles(tx), *complaints.list_bundles(tx))


def manifest_that_ran(ran: BundleUsage) -> Manifest | None:
    """The manifest of a bundle by its name and version; None where it is no longer here."""
    return next((one.manifest for one in available() if one.manifest.name == ran.bundle), None)


def reference_of(ran: BundleUsage) -> AnyReference | None:
    """The reference of the very bundle that ran; None where it has none, or is no longer here.

    A name and a version are not enough: another network of the same name has other scores.
    """
    for one in available():
        if one.manifest.name == ran.bundle and sha256_of(one.path / MANIFEST) == ran.sha256:
            return read_reference(one)
    return None


def drift_of(tx: Transaction, ran: BundleUsage, against: Against) -> Drift:
    """Hold what a bundle saw and said lately against its card, or against what it did first here."""
    reference = reference_of(ran) if against is Against.CARD else None
    if ran.capability is Capability.TRIAGE:
        return complaints.measure_drift(
            tx, ran, reference if isinstance(reference, ComplaintReference) else None
        )
    return images.measure_drift(tx, ran, reference if isinstance(reference, ImageReference) else None)


def triage_csv(ctx: RequestContext, since: date | None, until: date | None) -> Response:
    """The table as CSV, from the first day to the last (UTC); the trail notes who took it."""
    start = datetime.combine(since, time.min, UTC) if since is not None else None
    bounded = until is not None and until != date.max
    end = datetime.combine(until + timedelta(days=1), time.min, UTC) if until and bounded else None
    with ctx.write() as tx:
        found = triage_feedback.export(tx, start, end)
    return Response(
        found.as_csv(), media_type="text/csv; charset=utf-8", headers=download_headers("triage-feedback.csv")
    )


_FRONT = re.compile(r"\A---\n.*?\n---\n", re.DOTALL)


def rendered(text: str) -> Markup:
    """The HTML of a card, without its front matter and its first heading: the page shows those itself."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
    tokens = parser.parse(_FRONT.sub("", text))
    if tokens and tokens[0].tag == "h1":
        del tokens[:3]
    for token in tokens:
        token.attrs.pop("style", None)  # the alignment of a column; the pages' policy has no inline style
        if token.tag == "h1":
            token.tag = "h2"  # the page has its own
        if token.type == "table_open":
            token.attrs["tabindex"] = "0"  # a wide one scrolls by keyboard, too
        for child in token.children or ():
            if child.type == "link_open":
                child.attrs |= {"rel": "noreferrer noopener", "target": "_blank"}
    return Markup(parser.renderer.render(tokens, parser.options, {}))  # noqa: S704 - escaped by the renderer


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

    @model_validator(mode="before")
    @classmethod
    def _of(cls, value: object) -> object:
        count = Count(*value) if isinstance(value, tuple) else value
        if not isinstance(count, Count):
            return value
        low, high = (count.interval.low, count.interval.high) if count.interval else (None, None)
        return {"hits": count.hits, "total": count.total, "low": low, "high": high}


class AgreementOfLabel(Shape):
    """What radiologists said of one finding."""

    label: str = Field(description="As the models spell it.")
    agreed: Share = Field(validation_alias="all")
    confirmed: Share = Field(
        validation_alias="asserted", description="Accepted of those that the model had called present."
    )
    called: Share = Field(description="Called by the model of those that radiologists say are there.")
    missed: int
    kappa: float | None = Field(description="Cohen's; None where either says the same of every image.")
    weeks: list[Share] = Field(description="Accepted of judged by week, the oldest first.")


class ModelAgreement(BaseModel):
    """What radiologists made of the models' answers in the last twelve weeks."""

    weeks: list[datetime] = Field(description="When each week begins, the oldest first.")
    corrected: list[Share] = Field(
        description="Drafts changed before the first signature, of all signed, by week."
    )
    labels: list[AgreementOfLabel] = Field(description="Findings, those most often judged first.")


class Moved(Shape):
    """How far a figure moved; what it is held against by chance allows for every comparison at once."""

    verdict: Stability = Field(validation_alias="stability")
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
        validation_alias="shift",
        description="How far; None with fewer than 50 images or complaints on a side.",
    )
    positive_before: Share = Field(
        description="Above the threshold, then; of a department, complaints of which it was the first."
    )
    positive_now: Share
    prevalence: float | None = Field(description="Share known to have it, then; None where nothing is known.")
    positive_card: float | None = Field(description="Share above the threshold in the card's evaluation.")


class DriftOfInput(Shape):
    """One figure of the images, or of the complaints, then and now."""

    route: str = Field(
        description="That the images take, chest or brain_mri; an empty name for none, and for complaints."
    )
    figure: str = Field(
        validation_alias="name",
        description="Of images brightness, contrast, side, or a share: refused, without_spacing, "
        "modality:DX, flaw:rotated; of complaints words, unknown, or a share: plain, refused; of answers "
        "probability, or a share: abstained, urgency:kirmizi.",
    )
    moved: Moved | None = Field(
        validation_alias="shift", description="How far; None with fewer than 50 on a side."
    )
    before: Share | None = Field(description="Of all then, for a share.")
    now: Share | None = Field(description="Of all now, for a share.")


class DriftOfModel(Shape):
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


pages = APIRouter(prefix="/engineer")
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


@pages.get("")
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


@pages.get("/agreement")
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


@pages.get("/drift")
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


@pages.get("/models/{model_id}")
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


@pages.get("/triage")
def performance(ctx: Annotated[RequestContext, allowed(Permission.MODELS_READ)]) -> HTMLResponse:
    with ctx.read() as tx:
        departments = triage_feedback.performance(tx)
        urgencies = triage_feedback.by_urgency(tx)
        overrides = triage_feedback.overrides(tx)
    return ctx.render(
        "engineering/triage.html.jinja",
        triage_departments=departments,
        triage_urgencies=urgencies,
        triage_overrides=overrides,
        triage_overall=triage_feedback.overall(departments),
    )


@pages.get("/triage-feedback.csv")
def feedback_table(ctx: Annotated[RequestContext, allowed(Permission.FEEDBACK_EXPORT)]) -> Response:
    return triage_csv(ctx, None, None)


api = APIRouter(prefix="/models", tags=["models"])


@api.get("")
def list_models(ctx: Engineer) -> Models:
    """Every installed bundle."""
    used, found = _in_use(ctx.app), [bundle.manifest for bundle in available()]
    return Models(items=[ModelSummary.from_value(one, in_use=one.id in used) for one in found])


@api.get("/agreement", response_model=ModelAgreement)
def model_agreement(ctx: Engineer) -> dict[str, object]:
    """What radiologists made of the models' answers."""
    with ctx.read() as tx:
        weeks = weeks_until(tx.now)
        return {
            "weeks": weeks.starts,
            "corrected": corrected_drafts(tx, weeks),
            "labels": agreement(tx, weeks),
        }


@api.get("/drift")
def model_drift(ctx: Engineer, against: Against = Against.CARD) -> list[DriftOfModel]:
    """Whether the models that ran here drift: against their cards, or against what they did first here."""
    with ctx.read() as tx:
        return [
            _drift(one, drift_of(tx, one, against), manifest_that_ran(one)) for one in models_that_ran(tx)
        ]


@api.get("/{model_id}")
def show_model(ctx: Engineer, model_id: str) -> dict[str, Any]:
    """The manifest of a bundle."""
    manifest: Manifest = bundle_of(model_id).manifest
    return manifest.model_dump(mode="json")


def _drift(one: BundleUsage, found: Drift, manifest: Manifest | None) -> DriftOfModel:
    before, moved = found.before, found.moved

    def label(given: LabelMoved) -> DriftOfLabel:
        share = card_share(manifest, given.label) if manifest else None
        return DriftOfLabel.from_value(given, positive_card=share)

    return DriftOfModel.from_value(
        one,
        task=one.capability,
        against=None if before is None else Against.CARD if found.on_card else Against.FIRST,
        data=before.data if before else None,
        split="; ".join(one.in_language(Language.EN) for one in before.split) if before else None,
        n_before=before.total if before else 0,
        n_now=found.now,
        scores=moved.scores if moved else None,
        inputs=moved.seen if moved else None,
        labels=[label(given) for given in moved.labels] if moved else [],
        figures=list(moved.inputs) if moved else [],
        answers=list(moved.answers) if moved else [],
    )


feedback_api = APIRouter(tags=["triage"])


@feedback_api.get(
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
    return triage_csv(ctx, since, until)
