"""Drift of a findings model: its scores and its inputs, then and now.

Then is what the bundle's own reference tells of the data that it was made from; where it has none, or where
that is asked for, the first runs of the bundle in this hospital.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, case, func, select

from tetkik.bundle import ImageReference, Manifest
from tetkik.language import Sentence
from tetkik.records.database import Transaction
from tetkik.records.drift import RECENT, REFERENCE, BundleUsage, Drift
from tetkik.records.schema import Image, Run, Score, Study
from tetkik.statistics import Observation, compare, describe
from tetkik.values import Capability, RunState

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
