"""The installed models, as a request names them, and their references."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum

from fastapi.responses import Response

from tetkik.bundle import (
    AnyReference,
    Bundle,
    ComplaintReference,
    ImageReference,
    Manifest,
    available,
    read_reference,
    sha256_of,
)
from tetkik.bundle.store import MANIFEST
from tetkik.errors import NotFound
from tetkik.records.cases import complaint_drift, triage_feedback
from tetkik.records.database import Transaction
from tetkik.records.drift import BundleUsage, Drift
from tetkik.records.images import drift as images
from tetkik.service.kit.access.authorization import RequestContext
from tetkik.service.kit.http.responses import download_headers
from tetkik.values import Capability


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
    return (*images.list_bundles(tx), *complaint_drift.list_bundles(tx))


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
        return complaint_drift.measure_drift(
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
        found.as_csv(),
        media_type="text/csv; charset=utf-8",
        headers=download_headers("triage-feedback.csv"),
    )
