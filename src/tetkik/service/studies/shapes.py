"""What images, runs and work look like to a program."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from tetkik.language import Language
from tetkik.records.cases.identity_comparison import Difference
from tetkik.records.database import Transaction
from tetkik.records.images import derived_images, jobs, runs
from tetkik.records.images.images import StoredImage
from tetkik.records.images.jobs import Work
from tetkik.records.images.runs import ModelRun
from tetkik.records.reports import drafts
from tetkik.service.kit.http.shape import Shape
from tetkik.values import FileFormat, FindingsResult, Flaw, JobState, Route, RunState, View


class WorkShape(Shape):
    """What a model still has to do about an image, or did last."""

    id: str
    state: JobState
    attempts: int = Field(description="How often it was begun.")
    model: str | None = Field(description="That was asked for; None is that of the settings.")
    frame: int | None = Field(description="That was asked for; None is the middle one.")
    fault: str | None = Field(description="Why the last attempt failed, as a sentence.")
    created_at: datetime
    finished_at: datetime | None = Field(description="When it was done or given up.")

    @classmethod
    def of(cls, work: Work, language: Language) -> WorkShape:
        return cls.from_value(
            work, fault=work.fault.in_language(language) if work.fault is not None else None
        )


class RunShape(Shape):
    """One answer of a model."""

    id: str
    image_id: str
    case_id: str
    bundle: str = Field(description="Id and version of the model.")
    bundle_sha256: str = Field(description="Of its manifest; empty for a model without one.")
    state: RunState
    route: Route | None = Field(description="What kind of image it is.")
    flaws: list[Flaw] = Field(description="What the quality gate found.")
    screen: float | None = Field(description="Calibrated probability that anything is abnormal.")
    frame: int | None = Field(
        description="Which of several was read, counted from 1; None for an image of one."
    )
    started_at: datetime
    finished_at: datetime


class ImageShape(Shape):
    """An image; nothing here names the patient."""

    id: str
    case_id: str
    study_id: str
    file_format: FileFormat = Field(description="What it was read from.")
    size: int = Field(description="Bytes of the file as it came.")
    rows: int = Field(description="Height in pixels.")
    columns: int = Field(description="Width in pixels.")
    frames: int = Field(description="How many there are; `pixels?frame=n` gives each.")
    read_frame: int = Field(description="Which of them the model reads, or did last.")
    spacing_mm: tuple[float, float] | None = Field(
        description="Millimetres between rows and between columns, where known."
    )
    view: View | None
    created_at: datetime
    work: WorkShape | None = Field(description="The newest work about it.")
    run: RunShape | None = Field(description="The newest answer of a model; None before any.")
    heatmaps: list[str]
    report_id: str | None = Field(description="Of its report, draft or signed; None before any.")

    @classmethod
    def of(cls, tx: Transaction, image: StoredImage, language: Language) -> ImageShape:
        work, run = jobs.newest_job(tx, image.id), runs.load_latest_run(tx, image.id)
        return cls.from_value(
            image,
            read_frame=(work.frame if work is not None else None) or image.middle,
            spacing_mm=image.spacing,
            work=WorkShape.of(work, language) if work is not None else None,
            run=run,
            heatmaps=list(derived_images.heatmap_labels(tx, image.id)),
            report_id=drafts.report_of_image(tx, image.id),
        )


class UploadShape(BaseModel):
    """What became of a file."""

    image: ImageShape
    fresh: bool = Field(description="Whether it is new; otherwise the same file was in the case before.")
    case_number: str
    case_opened: bool = Field(description="Whether a case was opened for it.")
    differs: list[Difference] = Field(
        description="Where the file contradicts the record; somebody has confirmed it."
    )


class FindingsShape(BaseModel):
    """What a model says of an image."""

    run: RunShape
    result: dict[str, Any] = Field(description="The keys of `tetkik findings predict --json`.")

    @classmethod
    def of(cls, run: ModelRun, result: FindingsResult) -> FindingsShape:
        return cls(run=RunShape.from_value(run), result=result.as_json())
