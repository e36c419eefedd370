"""What images, runs and work look like to a program."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from tetkik.language import Language
from tetkik.records.cases.matching import Difference
from tetkik.records.database import Transaction
from tetkik.records.images import jobs, pictures, runs
from tetkik.records.images.images import StoredImage
from tetkik.records.images.jobs import Work
from tetkik.records.images.runs import ModelRun
from tetkik.records.reports import drafts
from tetkik.values import FileFormat, FindingsResult, Flaw, JobState, Route, RunState, View


class WorkShape(BaseModel):
    """What a model still has to do about an image, or did last.

    Attributes:
        id: of the work.
        state: where it is.
        attempts: how often it was begun.
        model: that was asked for; None is that of the settings.
        frame: that was asked for; None is the middle one.
        fault: why the last attempt failed, as a sentence.
        created_at: since when it waits.
        finished_at: when it was done or given up.
    """

    id: str
    state: JobState
    attempts: int
    model: str | None
    frame: int | None
    fault: str | None
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, work: Work, language: Language) -> WorkShape:
        """From the value."""
        return cls(
            id=work.id,
            state=work.state,
            attempts=work.attempts,
            model=work.model,
            frame=work.frame,
            fault=work.fault.in_language(language) if work.fault is not None else None,
            created_at=work.created_at,
            finished_at=work.finished_at,
        )


class RunShape(BaseModel):
    """One answer of a model.

    Attributes:
        id: of the run.
        image_id: of the image.
        case_id: of its case.
        bundle: id and version of the model.
        bundle_sha256: of its manifest; empty for a model without one.
        state: how it ended.
        route: what kind of image it is.
        flaws: what the quality gate found.
        screen: calibrated probability that anything is abnormal.
        frame: which of several was read, counted from 1; None for an image of one.
        started_at: when it began.
        finished_at: when it ended.
    """

    id: str
    image_id: str
    case_id: str
    bundle: str
    bundle_sha256: str
    state: RunState
    route: Route | None
    flaws: list[Flaw]
    screen: float | None
    frame: int | None
    started_at: datetime
    finished_at: datetime

    @classmethod
    def of(cls, run: ModelRun) -> RunShape:
        """From the value."""
        return cls(
            id=run.id,
            image_id=run.image_id,
            case_id=run.case_id,
            bundle=run.bundle,
            bundle_sha256=run.bundle_sha256,
            state=run.state,
            route=run.route,
            flaws=list(run.flaws),
            screen=run.screen,
            frame=run.frame,
            started_at=run.started_at,
            finished_at=run.finished_at,
        )


class ImageShape(BaseModel):
    """An image; nothing here names the patient.

    Attributes:
        id: of the image.
        case_id: of its case.
        study_id: of its study.
        file_format: what it was read from.
        size: bytes of the file as it came.
        rows: height in pixels.
        columns: width in pixels.
        frames: how many there are; `pixels?frame=n` gives each.
        read_frame: which of them the model reads, or did last.
        spacing_mm: millimetres between rows and between columns, where known.
        view: the projection, where known.
        created_at: when it came.
        work: the newest work about it.
        run: the newest answer of a model; None before any.
        heatmaps: labels that have one.
        report_id: of its report, draft or signed; None before any.
    """

    id: str
    case_id: str
    study_id: str
    file_format: FileFormat
    size: int
    rows: int
    columns: int
    frames: int
    read_frame: int
    spacing_mm: tuple[float, float] | None
    view: View | None
    created_at: datetime
    work: WorkShape | None
    run: RunShape | None
    heatmaps: list[str]
    report_id: str | None

    @classmethod
    def of(cls, tx: Transaction, image: StoredImage, language: Language) -> ImageShape:
        """From the records."""
        work, run = jobs.of_image(tx, image.id), runs.latest(tx, image.id)
        return cls(
            id=image.id,
            case_id=image.case_id,
            study_id=image.study_id,
            file_format=image.file_format,
            size=image.size,
            rows=image.rows,
            columns=image.columns,
            frames=image.frames,
            read_frame=(work.frame if work is not None else None) or image.middle,
            spacing_mm=image.spacing,
            view=image.view,
            created_at=image.created_at,
            work=WorkShape.of(work, language) if work is not None else None,
            run=RunShape.of(run) if run is not None else None,
            heatmaps=list(pictures.labels(tx, image.id)),
            report_id=drafts.report_of_image(tx, image.id),
        )


class UploadShape(BaseModel):
    """What became of a file.

    Attributes:
        image: as it is kept.
        fresh: whether it is new; otherwise the same file was in the case before.
        case_number: of its case.
        case_opened: whether a case was opened for it.
        differs: where the file contradicts the record; somebody has confirmed it.
    """

    image: ImageShape
    fresh: bool
    case_number: str
    case_opened: bool
    differs: list[Difference]


class FindingsShape(BaseModel):
    """What a model says of an image.

    Attributes:
        run: which run.
        result: the answer, with the keys of `tetkik findings predict --json`.
    """

    run: RunShape
    result: dict[str, Any] = Field(description="The keys of `tetkik findings predict --json`.")

    @classmethod
    def of(cls, run: ModelRun, result: FindingsResult) -> FindingsShape:
        """From the values."""
        return cls(run=RunShape.of(run), result=result.as_json())
