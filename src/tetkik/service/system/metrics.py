"""Figures for Prometheus: how long pages take, and counts of the records. No ids, no names.

`/metrics` is for tokens and people with the permission `metrics`; with the setting `metrics_public` also for
a program on this very host that comes directly, not through a proxy.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import Scope

from tetkik import __version__
from tetkik.integrations.dicom.spool import FOLDER, SpoolFigures, measure_spool
from tetkik.records.metrics import RecordsMetrics, collect_metrics
from tetkik.service.kit.access.authentication import METRICS_PATH
from tetkik.service.kit.access.authorization import Guard, RequestContext, check_routes
from tetkik.service.kit.access.middleware import Observe, template_of
from tetkik.service.kit.context import AppContext, ContextDep, context_of
from tetkik.values import SYSTEM, Permission

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
        yield from _queue(counted)
        yield from _inference(counted)
        yield from _people(counted)
        yield from _outbox(counted)
        yield from _received(counted)
        yield from _spool(measure_spool(self._context.settings.data_dir / FOLDER))
        yield GaugeMetricFamily("tetkik_up", f"Tetkik {__version__} answers.", 1)


def _gauges(*figures: tuple[str, str, float]) -> Iterator[Metric]:
    for name, meaning, value in figures:
        yield GaugeMetricFamily(f"tetkik_{name}", meaning, value)


def _queue(counted: RecordsMetrics) -> Iterator[Metric]:
    queue = counted.queue
    return _gauges(
        ("queue_length", "Pieces of work that wait for a model.", queue.waiting),
        ("queue_age_seconds", "How long the oldest of them waits.", queue.oldest_seconds),
        ("queue_running", "Pieces of work that a worker has.", queue.running),
        ("jobs_failed", "Pieces of work that were given up.", queue.failed),
    )


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
    yield from _gauges(
        ("claims", "Cases that somebody is reading.", counted.claims),
        ("drafts_signed", "First signatures of the last 30 days.", counted.drafts_signed),
        ("sign_ins_failed", "Failed sign-ins of the last hour.", counted.sign_ins_failed),
        ("sessions", "Open browsers.", counted.sessions),
    )


def _outbox(counted: RecordsMetrics) -> Iterator[Metric]:
    out = counted.outbox
    return _gauges(
        ("outbox_waiting", "Results that wait for another system.", out.waiting),
        ("outbox_age_seconds", "How long the oldest of them waits.", out.oldest_seconds),
        ("outbox_refused", "Results that were set aside: refused for good, or tried too often.", out.refused),
    )


def _received(counted: RecordsMetrics) -> Iterator[Metric]:
    came = counted.received
    return _gauges(
        (
            "received_doubtful",
            "Received studies that wait for a person to say whose they are.",
            came.doubtful,
        ),
        ("received_age_seconds", "How long the oldest of them waits.", came.oldest_seconds),
        ("received_failed", "Received studies of which no image could be taken over.", came.failed),
    )


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


router = APIRouter()


@router.get(METRICS_PATH, dependencies=[Depends(MetricsGuard())], include_in_schema=False)
def metrics(request: Request, context: ContextDep) -> Response:
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
    check_routes(router)
    app.include_router(router)

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
