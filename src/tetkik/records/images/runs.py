"""Runs: what a model said of an image, with every score, the bundle that said it, and its hash."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import aliased

from tetkik.errors import NotFound
from tetkik.records.audit_chain import Action
from tetkik.records.cases.patient_links import records_of
from tetkik.records.cases.priority import update_worklist
from tetkik.records.database import Transaction
from tetkik.records.ids import is_id, new_id
from tetkik.records.images.images import StoredImage
from tetkik.records.schema import Image, Report, Run, Score
from tetkik.records.serialization import from_bytes, to_bytes
from tetkik.values import Capability, FindingsResult, Flaw, ReportState, Route, RunState

_PLACE = "runs.answer"
_LOOKED_BACK = 20
"""Earlier images that are looked at for one that can be compared."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    """The row of a run."""

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
    """What a model said, and which one it was."""

    bundle: str
    bundle_sha256: str
    started_at: datetime
    result: FindingsResult | None
    """None where it failed."""
    frame: int | None = None

    @property
    def state(self) -> RunState:
        """How it ended."""
        if self.result is None:
            return RunState.FAILED
        return RunState.DONE if self.result.suitable else RunState.REFUSED


def add_run(tx: Transaction, image: StoredImage, answer: ModelAnswer) -> str:
    """Keep what a model said of an image; gives the id."""
    run_id, result = new_id(), answer.result
    measured = result.measured if result is not None else None
    tx.session.add(
        Run(
            id=run_id,
            case_id=image.case_id,
            image_id=image.id,
            patient_id=image.patient_id,
            capability=Capability.FINDINGS,
            bundle=answer.bundle[:120],
            bundle_sha256=answer.bundle_sha256,
            state=answer.state,
            answer=_sealed(tx, image, run_id, result) if result is not None else None,
            route=result.route if result is not None else None,
            flaws=",".join(result.flaws) if result is not None else "",
            screen=result.screen if result is not None else None,
            brightness=measured.brightness if measured is not None else None,
            contrast=measured.contrast if measured is not None else None,
            frame=answer.frame,
            started_at=answer.started_at,
            finished_at=tx.now,
        )
    )
    tx.session.flush()
    if result is not None:
        tx.session.add_all(_scores(run_id, result))
    update_worklist(tx, image.case_id)
    action = Action.MODEL_FAILED if result is None else Action.MODEL_RAN
    tx.audit(
        action,
        case_id=image.case_id,
        patient_id=image.patient_id,
        object_id=image.id,
        run=run_id,
        bundle=answer.bundle,
        bundle_sha256=answer.bundle_sha256,
        state=answer.state,
    )
    return run_id


def _sealed(tx: Transaction, image: StoredImage, run_id: str, result: FindingsResult) -> bytes:
    return tx.seal(image.patient_id, _PLACE, run_id, to_bytes(result))


def _scores(run_id: str, result: FindingsResult) -> list[Score]:
    return [
        Score(
            run_id=run_id,
            label=finding.label,
            score=finding.score,
            probability=finding.probability,
            threshold=finding.threshold,
            positive=finding.positive,
        )
        for finding in result.findings
        if finding.assessed
    ]


def load_run(tx: Transaction, run_id: str) -> ModelRun:
    """A run by its id."""
    row = tx.session.get(Run, run_id) if is_id(run_id) else None
    if row is None:
        raise NotFound("There is no such run of a model; look at its image.")
    return _value(row)


def load_result(tx: Transaction, run_id: str) -> FindingsResult:
    """What the model said, exactly."""
    row = tx.session.get(Run, run_id) if is_id(run_id) else None
    if row is None or row.answer is None:
        raise NotFound("There is no answer of a model here; see whether the run failed.")
    return from_bytes(FindingsResult, tx.open(row.patient_id, _PLACE, row.id, row.answer))


def list_runs(tx: Transaction, image_id: str) -> tuple[ModelRun, ...]:
    """The runs over an image, newest first."""
    rows = tx.session.scalars(select(Run).where(Run.image_id == image_id).order_by(Run.id.desc()))
    return tuple(_value(row) for row in rows)


def load_latest_run(tx: Transaction, image_id: str) -> ModelRun | None:
    """The newest run over an image; None before any."""
    row = tx.session.scalar(select(Run).where(Run.image_id == image_id).order_by(Run.id.desc()).limit(1))
    return _value(row) if row is not None else None


def list_earlier_runs(tx: Transaction, image: StoredImage) -> tuple[ModelRun, ...]:
    """The newest run over each earlier image of the same patient's other cases, newest image first.

    Cases of every record of the patient count: those of one that was joined with this one, too.

    Refused and failed runs are left out: they say nothing to compare with. So are images whose report is
    withdrawn: perhaps they are not this patient's.
    """
    newer = aliased(Run)
    later = select(newer.id).where(newer.image_id == Run.image_id, newer.id > Run.id).exists()
    withdrawn = (
        select(Report.id)
        .where(Report.image_id == Run.image_id, Report.state == ReportState.WITHDRAWN)
        .exists()
    )
    rows = tx.session.scalars(
        select(Run)
        .join(Image, Image.id == Run.image_id)
        .where(
            Run.patient_id.in_(records_of(tx, image.patient_id)),
            Run.case_id != image.case_id,
            Run.state == RunState.DONE,
            Image.id < image.id,
            ~later,
            ~withdrawn,
        )
        .order_by(Image.id.desc())
        .limit(_LOOKED_BACK)
    )
    return tuple(_value(row) for row in rows)


def _value(row: Run) -> ModelRun:
    return ModelRun(
        row.id,
        row.case_id,
        row.image_id,
        row.patient_id,
        row.bundle,
        row.bundle_sha256,
        row.state,
        Route(row.route) if row.route else None,
        tuple(Flaw(flaw) for flaw in row.flaws.split(",") if flaw),
        row.screen,
        row.frame,
        row.started_at,
        row.finished_at,
    )
