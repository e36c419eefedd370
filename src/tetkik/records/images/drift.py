"""Whether a model still sees images like those it began with: its scores and its inputs, then and now.

A manifest holds no distribution of scores, so the first runs of a bundle in this house are the reference;
the share of positive answers can be held against the card's own figures as well.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from sqlalchemy import func, select

from tetkik.bundle import Manifest
from tetkik.records.database import Transaction
from tetkik.records.reports.agreement import Count
from tetkik.records.schema import Image, Run, Score, Study
from tetkik.statistics import Shift, shift
from tetkik.values import Capability, RunState

REFERENCE = 500
"""The first runs of a bundle, held to be as they should."""
RECENT = timedelta(days=28)
_MOST = 2000


@dataclass(frozen=True, slots=True)
class Ran:
    """A bundle that answered here.

    Attributes:
        bundle: its name, as its results quote it.
        sha256: of its manifest.
        runs: how many.
        first: when it first answered.
        last: when it last did.
    """

    bundle: str
    sha256: str
    runs: int
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Inputs:
    """What images a model was given.

    Attributes:
        images: how many.
        refused: not suitable, of all.
        without_spacing: whose file does not say how large a pixel is, of all.
        modalities: how many of each; `""` where the file says none.
        flaws: how many with each flaw that the quality gate names.
    """

    images: int
    refused: Count
    without_spacing: Count
    modalities: Mapping[str, int]
    flaws: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LabelDrift:
    """The scores of one label, then and now.

    Attributes:
        label: of the model.
        shift: how far they moved; None with too few.
        positive_before: above the threshold, then.
        positive_now: above the threshold, now.
        card: share above the threshold in the evaluation on the card; None where it does not say.
    """

    label: str
    shift: Shift | None
    positive_before: Count
    positive_now: Count
    card: float | None


@dataclass(frozen=True, slots=True)
class Drift:
    """A model then and now.

    Attributes:
        before: the inputs of its first runs.
        now: the inputs of its latest ones.
        labels: its scores, those that moved furthest first.
    """

    before: Inputs
    now: Inputs
    labels: tuple[LabelDrift, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    id: str
    state: RunState
    spacing: str | None
    modality: str | None
    flaws: str


def ran(tx: Transaction, capability: Capability) -> tuple[Ran, ...]:
    """The bundles that answered here, the latest first."""
    rows = tx.session.execute(
        select(
            Run.bundle, Run.bundle_sha256, func.count(), func.min(Run.finished_at), func.max(Run.finished_at)
        )
        .where(Run.capability == capability)
        .group_by(Run.bundle, Run.bundle_sha256)
    )
    return tuple(sorted((Ran(*row) for row in rows), key=lambda one: one.last, reverse=True))


def drift(tx: Transaction, bundle: Ran, manifest: Manifest | None = None) -> Drift:
    """Hold the latest runs of a bundle against its first ones.

    Args:
        tx: to read in.
        bundle: which one.
        manifest: its own, for the figures of its card; None where it is no longer here.
    """
    before = _runs(tx, bundle, limit=REFERENCE)
    known = {run.id for run in before}
    latest = _runs(tx, bundle, limit=_MOST, since=tx.now - RECENT)
    now = [run for run in latest if run.id not in known]
    then_scores, now_scores = (_scores(tx, [run.id for run in runs]) for runs in (before, now))
    labels = [
        LabelDrift(
            label,
            shift(_column(then_scores[label]), _column(now_scores.get(label, ()))),
            _positive(then_scores[label]),
            _positive(now_scores.get(label, ())),
            card_share(manifest, label) if manifest else None,
        )
        for label in then_scores
    ]
    labels.sort(key=lambda one: (-(one.shift.psi if one.shift else -1), one.label))
    return Drift(_inputs(before), _inputs(now), tuple(labels))


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


def _runs(tx: Transaction, bundle: Ran, *, limit: int, since: datetime | None = None) -> list[_Run]:
    query = (
        select(Run.id, Run.state, Image.spacing, Study.modality, Run.flaws)
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
    return [_Run(*row) for row in tx.session.execute(query)]


def _scores(tx: Transaction, runs: Sequence[str]) -> dict[str, list[tuple[float, bool]]]:
    found: dict[str, list[tuple[float, bool]]] = {}
    for start in range(0, len(runs), 500):
        query = select(Score.label, Score.score, Score.positive).where(
            Score.run_id.in_(runs[start : start + 500])
        )
        for label, score, positive in tx.session.execute(query):
            found.setdefault(label, []).append((score, positive))
    return found


def _column(scores: Sequence[tuple[float, bool]]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([score for score, _ in scores], dtype=np.float64)


def _positive(scores: Sequence[tuple[float, bool]]) -> Count:
    return Count(sum(positive for _, positive in scores), len(scores))


def _inputs(runs: Sequence[_Run]) -> Inputs:
    flaws = Counter(flaw for run in runs for flaw in run.flaws.split(",") if flaw)
    return Inputs(
        len(runs),
        Count(sum(run.state is RunState.REFUSED for run in runs), len(runs)),
        Count(sum(run.spacing is None for run in runs), len(runs)),
        dict(Counter(run.modality or "" for run in runs).most_common()),
        dict(flaws.most_common()),
    )
