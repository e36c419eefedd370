"""Kept complaints are counted by week and lead to nobody; what is counted tells whether triage drifts."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import select

from tests.records.desk import TEXT, made_triaged
from tests.records.kit import made_case, made_user
from tetkik.bundle import ComplaintReference, read_reference, resolve
from tetkik.records.cases import cases, complaints, patients
from tetkik.records.cases.complaints import TriagedComplaint
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.schema import TriageTally
from tetkik.statistics import SeenComplaint, Stability, Tally
from tetkik.values import SYSTEM, Actor, Capability, MeasuredComplaint, MoveReason, Role
from tetkik.workflow import case_transfer

MEASURED = MeasuredComplaint(words=4, plain=False, unknown=0.25)
SHA = "ab" * 32


@pytest.fixture
def desk(both_records) -> Actor:
    return made_user(both_records, Role.RECEPTION)


def said(department: str | None = "Kardiyoloji", sha256: str = SHA) -> TriagedComplaint:
    return replace(made_triaged(department=department), bundle_sha256=sha256, measured=MEASURED)


def rows(records: Records) -> list[TriageTally]:
    with records.read() as tx:
        return list(tx.session.scalars(select(TriageTally)))


def week(records: Records, weeks_ago: int, seen: list[SeenComplaint]) -> None:
    """A week's complaints as they were counted then."""
    tally = Tally()
    for one in seen:
        tally.add(one)
    with records.write(SYSTEM) as tx:
        row = TriageTally(
            bundle_sha256=SHA,
            week=complaints._week(tx.now) - timedelta(weeks=weeks_ago),
            bundle="triage-linear-tr 1.1",
            counts=complaints.pack_tally(tally),
        )
        tx.session.add(row)


def drawn(count: int, seed: int, by: int = 0) -> list[SeenComplaint]:
    draw = np.random.default_rng(seed)
    return [
        SeenComplaint(int(words) + by, False, 0.1, {"Dahiliye": 0.7, "Üroloji": 0.3}, "yesil", False)
        for words in draw.integers(20, 60, count)
    ]


def test_a_kept_complaint_is_counted_once_and_its_row_leads_to_nobody(both_records, desk):
    case_id = made_case(both_records, desk, complaint=said())
    made_case(both_records, desk, Person("Ali VELİ"), complaint=said(None))
    (row,) = rows(both_records)
    assert row.week.weekday() == 0 and row.week.hour == row.week.minute == 0
    assert timedelta() <= datetime.now(UTC) - row.week < timedelta(days=8)
    assert {column.name for column in TriageTally.__table__.columns} == {
        "bundle_sha256",
        "week",
        "bundle",
        "counts",
    }
    assert not TriageTally.__table__.foreign_keys
    assert all(word not in row.counts for word in (*TEXT.split(), case_id))
    counts = Tally.from_json(json.loads(row.counts))
    assert counts.total == 2 and counts.hits("refused") == 1 and counts.hits("first", "Kardiyoloji") == 1


def test_one_that_was_not_measured_counts_nowhere(both_records, desk):
    made_case(both_records, desk, complaint=made_triaged())
    made_case(both_records, desk, Person("Ali VELİ"))
    assert rows(both_records) == []


def test_what_becomes_of_the_case_changes_no_count(both_records, desk):
    case_id = made_case(both_records, desk, complaint=said())
    (before,) = rows(both_records)
    with both_records.write(desk) as tx:
        cases.change_department(tx, case_id, "Dahiliye")
        right = patients.create(tx, Person("Ali VELİ"))
        seen = case_transfer.preview_transfer(tx, case_id, right).seen
    with both_records.write(desk) as tx:
        done = case_transfer.transfer_case(tx, case_id, right, MoveReason.CHOSEN_WRONGLY, seen)
    case_transfer.remove_leftover_files(both_records, done)
    erase(both_records, right, ErasureReason.REQUEST, years=20)
    (after,) = rows(both_records)
    assert after.counts == before.counts


def test_a_case_that_is_not_opened_counts_nothing(both_records, desk):
    with pytest.raises(ZeroDivisionError), both_records.write(desk) as tx:
        complaints.count_complaint(tx, SHA, said().result, MEASURED)
        raise ZeroDivisionError
    assert rows(both_records) == []


def test_each_bundle_counts_for_itself(both_records, desk):
    made_case(both_records, desk, complaint=said())
    made_case(both_records, desk, Person("Ali VELİ"), complaint=said(sha256="cd" * 32))
    with both_records.read() as tx:
        found = complaints.list_bundles(tx)
    assert {one.sha256 for one in found} == {SHA, "cd" * 32}
    assert {(one.runs, one.capability) for one in found} == {(1, Capability.TRIAGE)}


def test_against_the_first_complaints_what_moved_is_told(both_records, monkeypatch):
    monkeypatch.setattr(complaints, "REFERENCE", 100)
    for weeks_ago, count, by in ((9, 60, 0), (8, 60, 0), (7, 60, 0), (2, 40, 30), (0, 40, 30)):
        week(both_records, weeks_ago, drawn(count, weeks_ago, by))
    with both_records.read() as tx:
        (bundle,) = complaints.list_bundles(tx)
        found = complaints.measure_drift(tx, bundle)
    assert bundle.runs == 260 and isinstance(found.before, ComplaintReference)
    assert (found.before.complaints, found.now, found.on_card) == (120, 80, False)  # in whole weeks
    assert found.moved is not None and found.moved.seen is Stability.SHIFTED
    assert found.moved.scores is Stability.STABLE


def test_the_first_complaints_are_not_those_of_now(both_records):
    week(both_records, 0, drawn(80, 1))
    with both_records.read() as tx:
        found = complaints.measure_drift(tx, complaints.list_bundles(tx)[0])
    assert found.before is not None and (found.before.total, found.now) == (80, 0)
    assert found.moved is not None and found.moved.scores is found.moved.seen is None


def test_against_the_card_the_last_four_weeks_count(both_records):
    reference = read_reference(resolve("triage-linear-tr"))
    assert isinstance(reference, ComplaintReference)
    for weeks_ago in (0, 3, 4, 30):  # the last two are over
        week(both_records, weeks_ago, drawn(60, weeks_ago))
    with both_records.read() as tx:
        found = complaints.measure_drift(tx, complaints.list_bundles(tx)[0], reference)
    assert (found.on_card, found.before, found.now) == (True, reference, 120)
    assert found.moved is not None and found.moved.scores is Stability.SHIFTED
    internal = next(one for one in found.moved.labels if one.label == "Dahiliye")
    assert internal.positive_now == (120, 120) and internal.prevalence == pytest.approx(365 / 3235)
    assert next(one for one in found.moved.labels if one.label == "Pediatri").shift is None


def test_a_model_without_a_complaint_is_none(both_records):
    with both_records.read() as tx:
        assert complaints.list_bundles(tx) == ()
