"""Runs: what a model said of an image, with every score, the bundle that said it, and its hash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, func, or_, select
from sqlalchemy.orm import aliased

from tetkik.bundle.card import ImageReference
from tetkik.bundle.manifest import Manifest
from tetkik.errors import NotFound
from tetkik.language import Sentence
from tetkik.records.audit_chain import Action
from tetkik.records.cases.locks import lock_row
from tetkik.records.cases.patients import records_of
from tetkik.records.cases.priority import update_worklist
from tetkik.records.database import Transaction
from tetkik.records.drift import RECENT, REFERENCE, BundleUsage, Drift
from tetkik.records.ids import new_id
from tetkik.records.images.images import StoredImage
from tetkik.records.schema.cases import Image, Study
from tetkik.records.schema.models import Run, Score
from tetkik.records.schema.reports import Report
from tetkik.records.serialization import from_bytes, to_bytes
from tetkik.statistics.drift import Observation, compare, describe
from tetkik.values.document import ReportState
from tetkik.values.finding import FindingsResult
from tetkik.values.radiograph import Flaw, Route
from tetkik.values.states import Capability, RunState

# Drift of a findings model: its scores and its inputs, then and now.
#
# Then is what the bundle's own reference tells of the data that it was made from; where it has none, or
# where that is asked for, the first runs of the bundle in this hospital.


_MOST = 2000


def list_bundles(tx: Transaction) -> tuple[BundleUsage, ...]:
    """The bundles of findings that answered here, the latest first."""
    rows = tx.session.execute(
        select(
            Run.bundle, Run.bundle_sha256, func.count(), func.min(Run.finished_at), func.max(Run.finished_at)
        )
        .where(Run.capability == Capability.FINDINGS)
        .group_by(Run.bundle, Run.bundle_sha256)
    )
    return tuple(sorted((BundleUsage(*row) for row in rows), key=lambda one: one.last, reverse=True))


def measure_drift(tx: Transaction, bundle: BundleUsage, reference: ImageReference | None = None) -> Drift:
    """Hold the latest runs of a bundle against its reference; without one, against its first runs here."""
    latest = _runs(tx, bundle, limit=_MOST, since=tx.now - RECENT)
    if reference is not None:
        now = _observations(tx, latest)
        return Drift(reference, True, len(now), compare(reference, now))
    first = _runs(tx, bundle, limit=REFERENCE)
    known = {run.id for run in first}
    now = _observations(tx, [run for run in latest if run.id not in known])
    if not first:
        return Drift(None, False, len(now), None)
    before = _reference(bundle, _observations(tx, first))
    return Drift(before, False, len(now), compare(before, now))


def card_share(manifest: Manifest, label: str) -> float | None:
    """The share of positive answers in the evaluation that a card tells of; None where it does not.

    It is made of the sick that were found and the healthy that were wrongly called.
    """
    figures = {metric.name: metric for metric in manifest.metrics}
    sick = figures.get(f"sensitivity:{label}")
    healthy = figures.get(f"specificity:{label}")
    if sick is None or healthy is None or not sick.n + healthy.n:
        return None
    return (sick.value * sick.n + (1 - healthy.value) * healthy.n) / (sick.n + healthy.n)


def _reference(bundle: BundleUsage, first: Sequence[Observation]) -> ImageReference:
    spread = describe(first)
    return ImageReference(
        data=bundle.bundle,
        split=(Sentence("the first runs here"),),
        images=len(first),
        created=bundle.first.date().isoformat(),
        labels=spread.labels,
        inputs=spread.inputs,
    )


def _runs(
    tx: Transaction, bundle: BundleUsage, *, limit: int, since: datetime | None = None
) -> Sequence[Row[Any]]:
    query = (
        select(
            Run.id,
            Run.state,
            Run.route,
            Run.flaws,
            Run.brightness,
            Run.contrast,
            case((Image.rows < Image.columns, Image.rows), else_=Image.columns).label("side"),
            Image.spacing,
            Study.modality,
        )
        .join(Image, Image.id == Run.image_id)
        .join(Study, Study.id == Image.study_id)
        .where(
            Run.bundle == bundle.bundle,
            Run.bundle_sha256 == bundle.sha256,
            Run.capability == Capability.FINDINGS,
            Run.state.in_((RunState.DONE, RunState.REFUSED)),
        )
        .limit(limit)
    )
    # The ids of runs grow with time.
    query = (
        query.order_by(Run.id)
        if since is None
        else query.where(Run.finished_at >= since).order_by(Run.id.desc())
    )
    return tx.session.execute(query).all()


def _observations(tx: Transaction, runs: Sequence[Row[Any]]) -> list[Observation]:
    scores = _scores(tx, [run.id for run in runs])
    return [
        Observation(
            route=run.route or "",
            refused=run.state is RunState.REFUSED,
            spacing=run.spacing is not None,
            modality=run.modality or "",
            flaws=tuple(flaw for flaw in run.flaws.split(",") if flaw),
            brightness=run.brightness,
            contrast=run.contrast,
            side=run.side,
            scores=scores.get(run.id, {}),
        )
        for run in runs
    ]


def _scores(tx: Transaction, runs: Sequence[str]) -> dict[str, dict[str, tuple[float, bool]]]:
    found: dict[str, dict[str, tuple[float, bool]]] = {}
    for start in range(0, len(runs), 500):
        query = select(Score.run_id, Score.label, Score.score, Score.positive).where(
            Score.run_id.in_(runs[start : start + 500])
        )
        for run, label, score, positive in tx.session.execute(query):
            found.setdefault(run, {})[label] = (score, positive)
    return found


_LOOKED_BACK = 20
"""Earlier images that are looked at for one that can be compared."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    id: str
    case_id: str
    image_id: str
    patient_id: str
    bundle: str
    bundle_sha256: str
    state: RunState
    route: Route | None
    """What kind of image it is; None where refused as neither, or failed."""
    flaws: tuple[Flaw, ...]
    screen: float | None
    frame: int | None
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    bundle: str
    bundle_sha256: str
    started_at: datetime
    result: FindingsResult | None
    """None where it failed."""
    frame: int | None = None

    @property
    def state(self) -> RunState:
        if self.result is None:
            return RunState.FAILED
        return RunState.DONE if self.result.suitable else RunState.REFUSED


def add_run(tx: Transaction, image: StoredImage, answer: ModelAnswer) -> str:
    """Keep what a model said of an image; gives the id."""
    lock_row(tx, image.case_id)
    run = Run(
        id=new_id(),
        case_id=image.case_id,
        image_id=image.id,
        patient_id=image.patient_id,
        capability=Capability.FINDINGS,
        bundle=answer.bundle[:120],
        bundle_sha256=answer.bundle_sha256,
        state=answer.state,
        frame=answer.frame,
        started_at=answer.started_at,
        finished_at=tx.now,
    )
    result = answer.result
    if result is not None:
        run.route, run.flaws, run.screen = result.route, ",".join(result.flaws), result.screen
        if result.measured is not None:
            run.brightness, run.contrast = result.measured.brightness, result.measured.contrast
        tx.seal_column(run, "answer", to_bytes(result))
    tx.session.add(run)
    tx.session.flush()
    for finding in result.findings if result is not None else ():
        if finding.assessed:
            columns = ("label", "score", "probability", "threshold", "positive", "asserted")
            scored = {column: getattr(finding, column) for column in columns}
            tx.session.add(Score(run_id=run.id, **scored))
    update_worklist(tx, image.case_id)
    said_by = {"run": run.id, "bundle": answer.bundle, "bundle_sha256": answer.bundle_sha256}
    action = Action.MODEL_FAILED if result is None else Action.MODEL_RAN
    tx.audit_about(action, image, state=answer.state, **said_by)
    return run.id


def load_run(tx: Transaction, run_id: str) -> ModelRun:
    """A run by its id."""
    return _value(tx.find(Run, run_id, NotFound("There is no such run of a model; look at its image.")))


def load_result(tx: Transaction, run_id: str) -> FindingsResult:
    """What the model said, exactly."""
    missing = NotFound("There is no answer of a model here; see whether the run failed.")
    answer = tx.open_column(tx.find(Run, run_id, missing), "answer")
    if answer is None:
        raise missing
    return from_bytes(FindingsResult, answer)


def list_runs(tx: Transaction, image_id: str) -> tuple[ModelRun, ...]:
    """The runs over an image, newest first."""
    rows = tx.session.scalars(select(Run).where(Run.image_id == image_id).order_by(Run.id.desc()))
    return tuple(_value(row) for row in rows)


def load_latest_run(tx: Transaction, image_id: str) -> ModelRun | None:
    """The newest run over an image; None before any."""
    return next(iter(list_runs(tx, image_id)), None)


def load_study_results(tx: Transaction, study_id: str) -> dict[str, FindingsResult]:
    """What the models say of the images of a study that count, by image, in the order of the images.

    Left out are images without an answer.
    """
    rows = tx.session.scalars(
        select(Run)
        .join(Image, Image.id == Run.image_id)
        .where(Image.study_id == study_id, Image.removed_at.is_(None), Run.state != RunState.FAILED)
        .order_by(Run.image_id, Run.id)
    )
    newest = {row.image_id: row for row in rows}
    answers = {image_id: tx.open_column(row, "answer") for image_id, row in newest.items()}
    return {
        image_id: from_bytes(FindingsResult, answer)
        for image_id, answer in answers.items()
        if answer is not None
    }


def list_earlier_runs(tx: Transaction, image: StoredImage) -> tuple[ModelRun, ...]:
    """The newest run over each earlier image of the same patient's other cases, newest image first.

    Cases of every record of the patient count: those of one that was joined with this one, too.

    Refused and failed runs are left out: they say nothing to compare with. So are images whose report is
    withdrawn: perhaps they are not this patient's.
    """
    newer = aliased(Run)
    later = select(newer.id).where(newer.image_id == Run.image_id, newer.id > Run.id).exists()
    about = or_(Report.image_id == Run.image_id, Report.study_id == Image.study_id)
    back = (about, Report.state == ReportState.WITHDRAWN)
    rows = tx.session.scalars(
        select(Run)
        .join(Image, Image.id == Run.image_id)
        .where(Run.patient_id.in_(records_of(tx, image.patient_id)), Run.case_id != image.case_id)
        .where(Run.state == RunState.DONE, Image.id < image.id, Image.removed_at.is_(None))
        .where(~later, ~select(Report.id).where(*back).exists())
        .order_by(Image.id.desc())
        .limit(_LOOKED_BACK)
    )
    return tuple(_value(row) for row in rows)


def _value(row: Run) -> ModelRun:
    flaws = tuple(Flaw(flaw) for flaw in row.flaws.split(",") if flaw)
    return row.to_value(ModelRun, route=Route(row.route) if row.route else None, flaws=flaws)
