"""Drift of complaints: how many a week fall into each bin of each measure.

A complaint is counted once, when it is kept; what is typed and never kept is not. Why counts, and not rows: a
row for each complaint, even without a name, has as many figures as an answer has departments, and would be
found again among the cases of its day. Counts of a week say how many complaints were of so many words and how
many were thought to be for so and so, and never both of one. They refer to no case: moving a case to another
patient counts nothing twice, and erasure has nothing to take out. Where there was one complaint in a whole
week, its bins can be read: a length, a share of known words, departments and urgency, which `complaints`
keeps of an erased patient, too.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select

from tetkik.bundle import ComplaintReference
from tetkik.language import Sentence
from tetkik.records.database import Transaction
from tetkik.records.drift import RECENT, REFERENCE, BundleUsage, Drift
from tetkik.records.schema import TriageTally
from tetkik.statistics import SeenComplaint, Tally, compare_complaints, described
from tetkik.values import Capability, MeasuredComplaint, TriageResult


def count_complaint(
    tx: Transaction, sha256: str, result: TriageResult, measured: MeasuredComplaint | None
) -> None:
    """Count a complaint that is being kept; one that nobody measured is not counted.

    The week's row is locked until the transaction ends. Two first complaints of a week cannot both make it:
    whoever opens a case holds the running number of cases.
    """
    if measured is None:
        return
    key = (sha256, _week(tx.now))
    row = tx.session.get(TriageTally, key, with_for_update=True)
    if row is None:
        row = TriageTally(bundle_sha256=sha256, week=key[1], bundle=result.model, counts="{}")
        tx.session.add(row)
    tally = _tally(row)
    tally.add(_counted(measured, result))
    row.counts = pack_tally(tally)
    tx.session.flush()


def pack_tally(tally: Tally) -> str:
    """Counts as a row keeps them."""
    return json.dumps(tally.as_json(), ensure_ascii=False, separators=(",", ":"))


def list_bundles(tx: Transaction) -> tuple[BundleUsage, ...]:
    """The bundles that answered complaints here, the latest first; their moments are weeks."""
    by_bundle: dict[str, list[TriageTally]] = {}
    for row in tx.session.scalars(select(TriageTally).order_by(TriageTally.week)):
        by_bundle.setdefault(row.bundle_sha256, []).append(row)
    found = (
        BundleUsage(
            rows[0].bundle,
            sha256,
            _sum(rows).total,
            rows[0].week,
            rows[-1].week,
            Capability.TRIAGE,
        )
        for sha256, rows in by_bundle.items()
    )
    return tuple(sorted(found, key=lambda one: one.last, reverse=True))


def measure_drift(tx: Transaction, bundle: BundleUsage, reference: ComplaintReference | None = None) -> Drift:
    """Hold the complaints of the last four weeks against the bundle's reference.

    Without one, against the first weeks here: as many as hold `REFERENCE` complaints.
    """
    query = select(TriageTally).where(TriageTally.bundle_sha256 == bundle.sha256).order_by(TriageTally.week)
    rows = tx.session.scalars(query).all()
    # The week of four weeks ago is left out: part of it is older.
    latest = [row for row in rows if row.week > tx.now - RECENT]
    if reference is not None:
        now = _described(bundle, latest)
        return Drift(reference, True, now.complaints if now else 0, compare_complaints(reference, now))
    first = rows[: _enough(rows)]
    now = _described(bundle, [row for row in latest if row not in first])
    before = _described(bundle, first)
    return Drift(
        before, False, now.complaints if now else 0, compare_complaints(before, now) if before else None
    )


def _enough(rows: Sequence[TriageTally]) -> int:
    """How many weeks hold as many complaints as are compared with, or all of them."""
    total = 0
    for place, row in enumerate(rows, 1):
        total += _tally(row).total
        if total >= REFERENCE:
            return place
    return len(rows)


def _described(bundle: BundleUsage, rows: Sequence[TriageTally]) -> ComplaintReference | None:
    tally = _sum(rows)
    if not tally.total:
        return None
    created = bundle.first.date().isoformat()
    return described(
        tally, data=bundle.bundle, split=(Sentence("the first complaints here"),), created=created
    )


def _sum(rows: Sequence[TriageTally]) -> Tally:
    tally = Tally()
    for row in rows:
        tally.more(_tally(row))
    return tally


def _tally(row: TriageTally) -> Tally:
    return Tally.from_json(json.loads(row.counts))


def _week(moment: datetime) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def _counted(measured: MeasuredComplaint, result: TriageResult) -> SeenComplaint:
    return SeenComplaint(
        measured.words,
        measured.plain,
        measured.unknown,
        {one.name: one.probability for one in result.departments},
        result.urgency.level,
        result.abstain,
    )
