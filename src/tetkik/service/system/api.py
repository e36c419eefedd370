"""Health in detail: what an administrator looks at before asking why."""

from __future__ import annotations

import shutil
from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import text

from tetkik import __version__
from tetkik.records.metrics import collect_metrics
from tetkik.service.kit.access.authorization import RequestContext, allowed, public
from tetkik.service.kit.background.events import broker_of
from tetkik.service.kit.context import ContextDep
from tetkik.service.kit.http.shape import Shape
from tetkik.values import Capability, CaseState, Permission

router = APIRouter(tags=["health"])


class Health(BaseModel):
    """That it lives, or can serve."""

    status: Literal["ok"]


@router.get("/health", dependencies=[public()])
def health() -> Health:
    """The process answers."""
    return Health(status="ok")


@router.get("/ready", dependencies=[public()])
def ready(context: ContextDep) -> Health:
    """The database answers, too."""
    with context.records.read() as tx:
        tx.session.execute(text("SELECT 1"))
    return Health(status="ok")


class QueueStatus(Shape):
    """The work that waits for a model."""

    waiting: int
    running: int
    failed: int
    oldest_seconds: float = Field(description="How long the oldest waits; 0 where none does.")


class InferenceStatus(Shape):
    """How long a model took, over the last hour."""

    capability: Capability
    runs: int
    failed: int
    median_seconds: float
    p95_seconds: float = Field(description="One in twenty took longer.")


class Status(Shape):
    """The service at one moment."""

    version: str
    database: str = Field(description="`sqlite` or `postgresql`.")
    disk_free_bytes: int
    queue: QueueStatus
    inference: list[InferenceStatus] = Field(description="Of the last hour, by capability.")
    cases: dict[CaseState, int]
    claims: int = Field(description="Cases that somebody is reading.")
    sessions: int
    listeners: int = Field(description="Pages that follow the events of this process.")
    reports_signed: int
    corrected_share: float | None = Field(
        description="Share of drafts of 30 days changed before signing; null before the first."
    )
    sign_ins_failed: int


@router.get("/status")
def status(ctx: Annotated[RequestContext, allowed(Permission.SYSTEM)]) -> Status:
    """Counts, ages and seconds; no ids, no names."""
    with ctx.records.read() as tx:
        counted = collect_metrics(tx)
    return Status.from_value(
        counted,
        version=__version__,
        database=ctx.records.engine.dialect.name,
        disk_free_bytes=shutil.disk_usage(ctx.records.folder).free,
        listeners=broker_of(ctx.request).listening,
    )
