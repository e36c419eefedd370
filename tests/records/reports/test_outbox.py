"""The outbox: one object at a time for each system, in order, never lost, no old one after a new one."""

from __future__ import annotations

from datetime import timedelta
from io import BytesIO

import pytest
from pydicom import dcmread
from sqlalchemy import select, update

from tests.records.kit import made_user
from tests.records.reports_kit import proof_of, sign, signed_report
from tetkik.documents.rejection import to_rejection
from tetkik.errors import Conflict, NotFound
from tetkik.records.cases.patients import Person
from tetkik.records.lifecycle import erasure
from tetkik.records.lifecycle.erasure import ErasureReason
from tetkik.records.reports import outbox, signing, withdrawal
from tetkik.records.reports.versions import version_of
from tetkik.records.schema import AuditRow, OutboxItem
from tetkik.values import SYSTEM, OutboxState, Role, WithdrawalReason

pytestmark = pytest.mark.both_databases
BOTH = (("pacs", "sr"), ("pacs", "pdf"), ("hbys", "hl7"))


@pytest.fixture
def radiologist(both_records):
    return made_user(both_records, Role.RADIOLOGIST, name="Gül Işık")


@pytest.fixture
def made(both_records, radiologist):
    report = signed_report(both_records, radiologist, person=Person("Gülçin ŞAHİN", number="4711"))
    with both_records.write(radiologist) as tx:
        outbox.queue_version(tx, report.id, BOTH)
    return report


def taken(records):
    with records.write(SYSTEM) as tx:
        due = (outbox.take_due(tx, name) for name in sorted(outbox.due_destinations(tx)))
        return next(due, None)


def settled(records, due, state=OutboxState.SENT, status="0000H", wait=None, *, alone=False):
    with records.write(SYSTEM) as tx:
        outbox.settle(tx, due, state, status, wait, alone=alone)


def listed(records):
    with records.read() as tx:
        rows = tx.session.scalars(select(OutboxItem).order_by(OutboxItem.id)).all()
        return {(row.destination, row.form, row.number, row.withdrawal): row.state for row in rows}


def moved(records, **values):
    with records.write(SYSTEM) as tx:
        tx.apply(update(OutboxItem).where(OutboxItem.next_at.is_not(None)).values(next_at=tx.now, **values))


def amended(records, actor, report_id):
    with records.write(actor) as tx:
        signing.begin_amendment(tx, report_id, "Ölçü düzeltildi.")
        sign(tx, report_id, actor)
        outbox.queue_version(tx, report_id, BOTH)


def withdrawn(records, actor, report_id, number=1):
    with records.write(actor) as tx:
        withdrawal.withdraw(tx, report_id, number, WithdrawalReason.WRONG_IMAGE, "", proof_of(actor))
        outbox.queue_withdrawal(tx, report_id)


def test_one_object_at_a_time_goes_to_a_system(both_records, made):
    first, second = taken(both_records), taken(both_records)
    assert {first.destination, second.destination} == {"pacs", "hbys"}
    assert taken(both_records) is None
    for due in (first, second):
        settled(both_records, due)
    last = taken(both_records)
    assert (last.destination, last.tries, last.number) == ("pacs", 1, 1)
    settled(both_records, last)
    assert taken(both_records) is None
    assert set(listed(both_records).values()) == {OutboxState.SENT}
    with both_records.read() as tx:
        assert outbox.count_items(tx) == outbox.OutboxCounts(0, 0, 0.0)
        (view, *_) = outbox.items_of_report(tx, made.id)
        assert (view.status, view.report_number[-2:]) == ("0000H", "-1")
        details = tx.session.scalars(select(AuditRow.content).where(AuditRow.action == "result.sent")).all()
    assert len(details) == 3 and all('"sent": true' in one or '"sent":true' in one for one in details)


def test_what_was_being_sent_when_the_process_died_is_sent_again_before_anything_else(both_records, made):
    first = taken(both_records)
    assert taken(both_records).destination != first.destination
    assert taken(both_records) is None
    moved(both_records)  # ten minutes later
    again = {one.id: one for one in (taken(both_records), taken(both_records))}
    assert first.id in again and taken(both_records) is None
    # The process was slow and not dead: its answer comes late, and is not that of the second try.
    settled(both_records, first, OutboxState.REFUSED, "C000H")
    settled(both_records, again[first.id])
    settled(both_records, first, OutboxState.REFUSED, "C000H")
    with both_records.read() as tx:
        row = tx.session.get_one(OutboxItem, first.id)
        assert (row.state, row.tries) == (OutboxState.SENT, 2)


def test_a_system_that_does_not_answer_is_asked_once_and_keeps_no_other_waiting(both_records, made):
    first = taken(both_records)
    while first.destination != "pacs":
        settled(both_records, first)
        first = taken(both_records)
    settled(both_records, first, OutboxState.WAITING, "no connection", timedelta(minutes=1))
    left = taken(both_records)
    assert left is None or left.destination == "hbys"
    with both_records.read() as tx:
        waits = tx.session.scalars(
            select(OutboxItem.next_at).where(
                OutboxItem.destination == "pacs", OutboxItem.state == OutboxState.WAITING
            )
        ).all()
        assert len(waits) == 2 and all(at > tx.now + timedelta(seconds=50) for at in waits)


def test_an_amendment_takes_the_place_of_what_waits_and_not_of_what_is_being_sent(
    both_records, radiologist, made
):
    first = taken(both_records)
    amended(both_records, radiologist, made.id)
    states = listed(both_records)
    one = (first.destination, first.form, 1, False)
    assert states.pop(one) is OutboxState.SENDING
    assert {key[2]: state for key, state in states.items()} == {
        1: OutboxState.SUPERSEDED,
        2: OutboxState.WAITING,
    }
    settled(both_records, first, OutboxState.WAITING, "A700H", timedelta(minutes=1))
    assert listed(both_records)[one] is OutboxState.SUPERSEDED


def test_a_withdrawal_reaches_every_system_that_may_have_the_report_and_no_other(
    both_records, radiologist, made
):
    first = taken(both_records)
    while first.destination != "pacs":
        settled(both_records, first, OutboxState.WAITING, "", timedelta(hours=1))
        first = taken(both_records)
    withdrawn(both_records, radiologist, made.id)
    told = {key: state for key, state in listed(both_records).items() if key[3]}
    assert told[("pacs", "rejection", 1, True)] is OutboxState.WAITING
    # The message may have arrived where it was tried, whatever came back.
    assert set(told) <= {("pacs", "rejection", 1, True), ("hbys", "hl7", 1, True)}
    settled(both_records, first)
    moved(both_records)
    assert {taken(both_records).form for _ in told} == {key[1] for key in told}


def test_a_withdrawal_reaches_a_system_that_was_to_get_the_report_once_more(both_records, radiologist, made):
    for _ in BOTH:
        settled(both_records, taken(both_records))
    with both_records.write(radiologist) as tx:
        for item in outbox.items_of_report(tx, made.id):
            outbox.resend(tx, item.id)
    withdrawn(both_records, radiologist, made.id)
    told = {key for key in listed(both_records) if key[3]}
    assert told == {("pacs", "rejection", 1, True), ("hbys", "hl7", 1, True)}


def test_a_withdrawal_names_each_version_that_an_archive_may_have(both_records, radiologist, made):
    for _ in BOTH:
        settled(both_records, taken(both_records))
    amended(both_records, radiologist, made.id)
    for _ in BOTH:
        settled(both_records, taken(both_records))
    withdrawn(both_records, radiologist, made.id, 2)
    notes = {("pacs", "rejection", 1, True), ("pacs", "rejection", 2, True)}
    assert {key for key in listed(both_records) if key[3]} == {*notes, ("hbys", "hl7", 2, True)}
    with both_records.read() as tx:
        named = [
            {
                one.ReferencedSOPInstanceUID
                for study in note.CurrentRequestedProcedureEvidenceSequence
                for series in study.ReferencedSeriesSequence
                for one in series.ReferencedSOPSequence
            }
            for note in (
                dcmread(BytesIO(to_rejection(version_of(tx, made.id, number).document))) for number in (1, 2)
            )
        ]
    assert named[0] and named[1] and not named[0] & named[1]


def test_what_a_system_cannot_digest_goes_behind_what_it_was_not_asked_to_take_yet(both_records, radiologist):
    reports = {
        signed_report(both_records, radiologist, person=Person(name, number=name)).id
        for name in ("A", "B", "C")
    }
    with both_records.write(radiologist) as tx:
        for report_id in reports:
            outbox.queue_version(tx, report_id, [("pacs", "sr")])
    first = taken(both_records)
    settled(both_records, first, OutboxState.WAITING, "0110H", timedelta(hours=1), alone=True)
    second = taken(both_records)  # at once
    settled(both_records, second, OutboxState.WAITING, "A700H", timedelta(hours=1))
    assert taken(both_records) is None  # the system is full
    moved(both_records)
    third = taken(both_records)
    assert {first.report_id, second.report_id, third.report_id} == reports


def test_nothing_is_told_of_a_withdrawal_where_nothing_was_sent(both_records, radiologist, made):
    withdrawn(both_records, radiologist, made.id)
    assert set(listed(both_records).values()) == {OutboxState.SUPERSEDED}


def test_a_person_sends_again_what_was_refused_but_nothing_that_holds_no_longer(
    both_records, radiologist, made
):
    first = taken(both_records)
    with both_records.write(radiologist) as tx, pytest.raises(Conflict, match="on its way"):
        outbox.resend(tx, first.id)
    settled(both_records, first, OutboxState.REFUSED, "A900H")
    with both_records.write(radiologist) as tx:
        assert outbox.resend_refused(tx, "elsewhere") == 0
        assert outbox.resend_refused(tx, first.destination) == 1
    again = [taken(both_records) for _ in range(2)]
    sent = next(one for one in again if one.id == first.id)
    assert sent.tries == 1
    settled(both_records, sent)
    amended(both_records, radiologist, made.id)
    with both_records.write(radiologist) as tx, pytest.raises(Conflict, match="later version"):
        outbox.resend(tx, first.id)
    with both_records.write(radiologist) as tx, pytest.raises(NotFound):
        outbox.resend(tx, made.id)


def test_nothing_of_it_is_left_of_an_erased_patient(both_records, made):
    settled(both_records, taken(both_records), OutboxState.REFUSED, "AE: ŞAHİN bilinmiyor")
    with both_records.read() as tx:
        row = tx.session.scalars(select(OutboxItem)).first()
        kept = tx.session.scalars(select(OutboxItem.status)).all()
        assert all("AHİN".encode() not in (one or b"") for one in kept)
        patient = row.patient_id
    erasure.erase(both_records, patient, ErasureReason.REQUEST, years=20)
    assert listed(both_records) == {}
