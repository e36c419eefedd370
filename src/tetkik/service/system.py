"""Health, figures for Prometheus, and the administrator's overview; no ids, no names."""

from __future__ import annotations

import ipaddress
import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from importlib import metadata, resources
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import BaseModel, Field, SecretStr
from sqlalchemy import text
from starlette.types import Scope

from tetkik._version import __version__
from tetkik.bundle.store import available
from tetkik.integrations.dicom.spool import FOLDER, SpoolFigures, measure_spool
from tetkik.language import Sentence
from tetkik.records import metrics
from tetkik.records.metrics import InferenceStatus, QueueStatus, RecordsMetrics, collect_metrics
from tetkik.records.migrate import version_of
from tetkik.records.people import repair
from tetkik.records.reports.department_statistics import queue
from tetkik.service.kit.access.authentication import METRICS_PATH, passkey_roles
from tetkik.service.kit.access.authorization import Guard, RequestContext, allowed, check_routes, public
from tetkik.service.kit.access.middleware import Observe, template_of
from tetkik.service.kit.background.events import broker_of
from tetkik.service.kit.context import AppContext, ContextDep, context_of
from tetkik.service.kit.http.responses import Shape
from tetkik.service.kit.rendering.templates import NavigationEntry
from tetkik.settings import Settings
from tetkik.values.access import SYSTEM, Permission, Role
from tetkik.values.states import CaseState

api = APIRouter(tags=["health"])


class Health(BaseModel):
    """That it lives, or can serve."""

    status: Literal["ok"]


@api.get("/health", dependencies=[public()])
def health() -> Health:
    """The process answers."""
    return Health(status="ok")


@api.get("/ready", dependencies=[public()])
def ready(context: ContextDep) -> Health:
    """The database answers, too."""
    with context.records.read() as tx:
        tx.session.execute(text("SELECT 1"))
    return Health(status="ok")


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


@api.get("/status")
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


# `/metrics` is for tokens and people with the permission `metrics`; with the setting `metrics_public` also
# for a program on this very host that comes directly, not through a proxy.
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip", "via")


class RecordsCollector(Collector):
    """The figures of the records, counted when somebody asks."""

    def __init__(self, context: AppContext) -> None:
        self._context = context

    def describe(self) -> Iterator[Metric]:
        """Nothing in advance: registering this asks no database."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        with self._context.records.read() as tx:
            counted = collect_metrics(tx)
        queue, out, came = counted.queue, counted.outbox, counted.received
        yield from _gauges(
            ("queue_length", "Pieces of work that wait for a model.", queue.waiting),
            ("queue_age_seconds", "How long the oldest of them waits.", queue.oldest_seconds),
            ("queue_running", "Pieces of work that a worker has.", queue.running),
            ("jobs_failed", "Pieces of work that were given up.", queue.failed),
            ("claims", "Cases that somebody is reading.", counted.claims),
            ("drafts_signed", "First signatures of the last 30 days.", counted.drafts_signed),
            ("sign_ins_failed", "Failed sign-ins of the last hour.", counted.sign_ins_failed),
            ("sessions", "Open browsers.", counted.sessions),
            ("outbox_waiting", "Results that wait for another system.", out.waiting),
            ("outbox_age_seconds", "How long the oldest of them waits.", out.oldest_seconds),
            (
                "outbox_refused",
                "Results that were set aside: refused for good, or tried too often.",
                out.refused,
            ),
            (
                "received_doubtful",
                "Received studies that wait for a person to say whose they are.",
                came.doubtful,
            ),
            ("received_age_seconds", "How long the oldest of them waits.", came.oldest_seconds),
            ("received_failed", "Received studies of which no image could be taken over.", came.failed),
        )
        yield from _inference(counted)
        yield from _people(counted)
        yield from _spool(measure_spool(self._context.settings.data_dir / FOLDER))
        yield GaugeMetricFamily("tetkik_up", f"Tetkik {__version__} answers.", 1)


def _gauges(*figures: tuple[str, str, float]) -> Iterator[Metric]:
    for name, meaning, value in figures:
        yield GaugeMetricFamily(f"tetkik_{name}", meaning, value)


def _inference(counted: RecordsMetrics) -> Iterator[Metric]:
    took = GaugeMetricFamily(
        "tetkik_inference_seconds", "Seconds of a run, over the last hour.", labels=["capability", "quantile"]
    )
    runs = GaugeMetricFamily(
        "tetkik_inference_runs", "Runs that ended in the last hour.", labels=["capability", "outcome"]
    )
    for one in counted.inference:
        took.add_metric([one.capability, "0.5"], one.median_seconds)
        took.add_metric([one.capability, "0.95"], one.p95_seconds)
        runs.add_metric([one.capability, "answered"], one.runs - one.failed)
        runs.add_metric([one.capability, "failed"], one.failed)
    yield took
    yield runs


def _people(counted: RecordsMetrics) -> Iterator[Metric]:
    cases = GaugeMetricFamily("tetkik_cases", "Cases by state.", labels=["state"])
    for state, count in counted.cases.items():
        cases.add_metric([state], count)
    yield cases
    yield CounterMetricFamily(
        "tetkik_reports_signed", "Versions signed, amendments included.", counted.reports_signed
    )
    share = GaugeMetricFamily(
        "tetkik_drafts_corrected_share",
        "Share of the drafts of the last 30 days that a person changed before signing.",
    )
    if counted.corrected_share is not None:
        share.add_metric([], counted.corrected_share)
    yield share


def _spool(came: SpoolFigures | None) -> Iterator[Metric]:
    if came is None:
        return
    yield from _gauges(
        ("spool_files", "Received objects that are not in a case yet.", came.files),
        ("spool_bytes", "Bytes of them.", came.size),
        ("spool_age_seconds", "How long the oldest of them lies there.", came.oldest_seconds),
        ("spool_free_bytes", "Free bytes of their disk.", came.free),
    )
    refused = "Objects that the DICOM port refused since it was opened."
    yield CounterMetricFamily("tetkik_spool_refused", refused, came.refused)


class MetricsGuard(Guard):
    """Lets through who may see the figures, and, where the setting says so, a program on this host."""

    def __init__(self) -> None:
        super().__init__(Permission.METRICS)

    async def __call__(self, request: Request) -> RequestContext:
        if context_of(request).settings.metrics_public and _from_here(request):
            return RequestContext(request, context_of(request), SYSTEM)
        return await super().__call__(request)


metrics_router = APIRouter()


@metrics_router.get(METRICS_PATH, dependencies=[Depends(MetricsGuard())], include_in_schema=False)
def show_metrics(request: Request, context: ContextDep) -> Response:
    """Every figure, in the text format of Prometheus."""
    registry: CollectorRegistry = request.app.state.metrics
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def install(app: FastAPI, context: AppContext) -> Observe:
    """Serve the figures; gives what measures an answer by the template of its route, until its last byte."""
    registry = CollectorRegistry()
    registry.register(RecordsCollector(context))
    histogram = Histogram(
        "tetkik_page_seconds",
        "Seconds from a request to the last byte of its answer.",
        ["route", "method", "status"],
        buckets=_BUCKETS,
        registry=registry,
    )
    app.state.metrics = registry
    check_routes(metrics_router)
    app.include_router(metrics_router)

    def observe(scope: Scope, status: int, seconds: float) -> None:
        route = template_of(scope)
        method = scope["method"] if scope["method"] in _METHODS else "other"
        labels = ("other" if route == "-" else route, method, f"{status // 100}xx")
        histogram.labels(*labels).observe(seconds)

    return observe


def _from_here(request: Request) -> bool:
    """Whether a program of this host asks, and no proxy asks for somebody else."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.client.host).is_loopback
    except ValueError:
        return False


pages = APIRouter(prefix="/admin")
NAVIGATION = (
    NavigationEntry("/admin", Permission.SYSTEM, "server", Sentence("System"), "g s", position=100, start=5),
)

BACKUP_DUE = timedelta(days=2)
_NAME = re.compile(r"^[A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Part:
    name: str
    version: str
    licence: str


@pages.get("")
def system(ctx: Annotated[RequestContext, allowed(Permission.SYSTEM)]) -> HTMLResponse:
    with ctx.read() as tx:
        people, kept, trail = (
            metrics.count_accounts(tx),
            metrics.count_records(tx),
            metrics.summarize_trail(tx),
        )
        held = repair.count_suspended(tx)
        backup, waiting = metrics.last_backup(tx), queue(tx)
        schema, backup_due = version_of(tx.session.connection()), tx.now - BACKUP_DUE
    return ctx.render(
        "system/overview.html.jinja",
        people=people,
        passkeys_advised=Role.ADMINISTRATOR not in passkey_roles(ctx.settings),
        held=held,
        kept=kept,
        trail=trail,
        backup=backup,
        backup_due=backup_due,
        waiting=waiting,
        schema=schema,
        disk=shutil.disk_usage(ctx.records.folder),
        database=ctx.records.engine.dialect.name,
        bundles=available(),
        settings=shown_settings(ctx.settings),
        browser_parts=browser_parts(),
        python_parts=python_parts(),
        version=__version__,
    )


def shown_settings(settings: Settings) -> tuple[tuple[str, str], ...]:
    """Every setting with its value; of a secret only whether it is set."""
    shown = []
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        shown.append((name, "•••" if isinstance(value, SecretStr) else "" if value is None else str(value)))
    return tuple(shown)


@cache
def browser_parts() -> tuple[Part, ...]:
    """What the pages take from others, from the manifests beside it."""
    found = []
    for folder in resources.files("tetkik.service").joinpath("static", "vendor").iterdir():
        if folder.is_dir():
            manifest = json.loads(folder.joinpath("manifest.json").read_text("utf-8"))
            found += [Part(one["name"], one["version"], one["licence"]) for one in manifest["packages"]]
    return tuple(sorted(found, key=lambda part: part.name))


@cache
def python_parts() -> tuple[Part, ...]:
    """The Python packages that this one names and that are installed; not those of its own tests."""
    found = {}
    for requirement in metadata.requires("tetkik") or ():
        if 'extra == "dev"' in requirement:
            continue
        name = _NAME.match(requirement)
        try:
            about = metadata.metadata(name.group()) if name else None
        except metadata.PackageNotFoundError:
            continue
        if about is not None and about["Name"] != "tetkik":
            found[about["Name"].lower()] = Part(about["Name"], about["Version"], _licence(about))
    return tuple(found[name] for name in sorted(found))


def _licence(about: metadata.PackageMetadata) -> str:
    def field(key: str) -> str:
        return about[key].strip() if key in about else ""

    classified = [line for line in about.get_all("Classifier") or () if line.startswith("License ::")]
    names = ", ".join(line.rsplit("::", 1)[-1].strip() for line in classified)
    return field("License-Expression") or names or field("License").split("\n")[0][:60] or "–"
