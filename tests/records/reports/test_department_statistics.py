"""The figures of a department: times, counts, shares, by modality, reader and hour, of a period alone."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from tests.records.kit import id_of, made_user
from tests.records.moving_kit import made_patient, moved, patient_of
from tests.records.reports_kit import made_report, proof_of, sign
from tetkik.records.cases.patients import Person
from tetkik.records.lifecycle.erasure import ErasureReason, erase
from tetkik.records.reports import department_statistics as figures
from tetkik.records.reports import withdrawal
from tetkik.records.reports.department_statistics import Count, Waiting, department_statistics
from tetkik.records.schema import Study
from tetkik.values import SYSTEM, RemovalReason, Role, WithdrawalReason
from tetkik.workflow import image_removal

DAY = timedelta(days=1)


def arrived_before(records, case_id, minutes):
    with records.write(SYSTEM) as tx:
        at = tx.now - timedelta(minutes=minutes)
        tx.session.execute(update(Study).where(Study.case_id == case_id).values(created_at=at, modality="DX"))


def load(records, *, back=DAY, to=timedelta(minutes=1)):
    with records.read() as tx:
        return department_statistics(tx, tx.now - back, tx.now + to)


def test_of_none_nothing_is_said(both_records):
    found = load(both_records)
    assert (found.arrived, found.signed, found.drafted, found.corrected) == (
        0,
        Waiting(0, None, None),
        Waiting(0, None, None),
        Count(),
    )
    assert found.modalities == found.readers == ()
    assert len(found.hours) == 24 and not found.cut


def test_times_run_from_the_arrival(both_records):
    doctor = made_user(both_records, Role.RADIOLOGIST, name="=Zeynep")
    for minutes in (10, 20, 60):
        made = made_report(both_records, pictures=False)
        arrived_before(both_records, made.case_id, minutes)
        with both_records.write(doctor) as tx:
            sign(tx, made.id, doctor)
    waiting = made_report(both_records, pictures=False)
    arrived_before(both_records, waiting.case_id, 5)
    found = load(both_records)
    assert (found.arrived, found.signed.n, found.drafted.n) == (4, 3, 4)
    assert found.signed.median == pytest.approx(20, abs=1)
    assert found.signed.p90 == pytest.approx(52, abs=1)
    assert found.corrected == Count(0, 3)
    (modality,) = found.modalities
    assert (modality.modality, modality.studies, modality.signed.n) == ("DX", 4, 3)
    (reader,) = found.readers
    assert (reader.user_id, reader.name, reader.signed.n, reader.corrected.total) == (
        id_of(doctor),
        "=Zeynep",
        3,
        3,
    )
    assert sum(hour.arrived for hour in found.hours) == 4
    before = load(both_records, back=2 * DAY, to=-DAY)
    assert (before.arrived, before.signed.n, before.drafted.n, before.readers) == (0, 0, 0, ())


def test_more_than_can_be_counted_is_said(both_records, monkeypatch):
    for _ in range(2):
        made_report(both_records, pictures=False)
    monkeypatch.setattr(figures, "MOST", 2)
    assert load(both_records).cut


@pytest.mark.parametrize("table", ["cases", "studies", "reports", "report_versions"])
def test_a_period_is_an_index_walk(records, table):
    with records.engine.connect() as connection:
        of_a_day = "created_at >= '2026-01-01' AND created_at < '2026-01-02'"
        plan = connection.execute(text(f"EXPLAIN QUERY PLAN SELECT id FROM {table} WHERE {of_a_day}")).all()
    assert re.search(rf"ix_{table}_(created_at|of_period) ", str(plan))


def test_what_was_moved_erased_or_taken_out_is_counted_nowhere_or_once(both_records):
    doctor = made_user(both_records, Role.RADIOLOGIST, Role.RECEPTION)

    def made(name):
        report = made_report(both_records, pictures=False, person=Person(name, "", f"H-{name}"))
        arrived_before(both_records, report.case_id, 30)
        return report

    going, erased, emptied, moving, shared = (made(name) for name in "ABCDE")
    for one in (going, erased, emptied, shared):
        with both_records.write(doctor) as tx:
            sign(tx, one.id, doctor)
    before = load(both_records)
    assert (before.arrived, before.signed.n, before.drafted.n, before.corrected.total) == (5, 4, 5, 4)
    erase(both_records, patient_of(both_records, erased.case_id), ErasureReason.REQUEST, years=20)
    with both_records.write(doctor) as tx:
        withdrawal.withdraw(tx, emptied.id, 1, WithdrawalReason.WRONG_PATIENT, "", proof_of(doctor))
    with both_records.write(doctor) as tx:
        image_removal.remove_image(tx, emptied.image_id, RemovalReason.WRONG_PATIENT)
    moved(both_records, doctor, moving.case_id, made_patient(both_records, doctor))
    after = load(both_records)
    assert (after.arrived, after.signed.n, after.drafted.n, after.corrected.total) == (3, 2, 2, 2)
    assert sum(hour.arrived for hour in after.hours) == after.modalities[0].studies == 3
