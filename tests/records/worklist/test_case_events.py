"""Events: in the order of commits, for those who may know, without a gap."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import select, update

from tests.records.kit import made_case, made_user
from tetkik.records.schema import Case, Event
from tetkik.records.worklist import case_contents
from tetkik.values import SYSTEM, Role

pytestmark = pytest.mark.both_databases


@pytest.fixture
def records(both_records):
    return both_records


def announce(records, *kinds, case_id=None):
    with records.write(SYSTEM) as tx:
        for kind in kinds:
            tx.announce(kind, case_id)


def received(records, actor, seq=0):
    with records.read(actor) as tx:
        return case_contents.load_events_after(tx, seq)


def test_what_a_failed_transaction_announced_is_not_heard(records):
    with pytest.raises(RuntimeError), records.write(SYSTEM) as tx:
        tx.announce("case")
        raise RuntimeError
    announce(records, "job", "job", "case")
    hearing = received(records, SYSTEM)
    assert [one.kind for one in hearing.events] == ["job", "case"]
    assert hearing.upto == hearing.events[-1].seq
    assert received(records, SYSTEM, hearing.upto).events == ()


def test_this_process_wakes_after_the_commit(records):
    woken = []
    records.on_announcement.append(lambda: woken.append(len(received(records, SYSTEM).events)))
    announce(records, "case")
    announce(records)
    assert woken == [1]


def test_a_smaller_number_never_comes_later(records):
    """Whoever has heard number n has heard every smaller one, whichever transaction ended first."""
    missed: list[int] = []
    stop = threading.Event()

    def write(name):
        for number in range(15):
            announce(records, f"{name} {number}")

    def listen():
        known: set[int] = set()
        upto = 0
        while not stop.is_set():
            known |= {one.seq for one in received(records, SYSTEM, upto).events}
            upto = max(known, default=0)
        with records.read() as tx:
            missed.extend(set(tx.session.scalars(select(Event.seq).where(Event.seq <= upto))) - known)

    listener = threading.Thread(target=listen)
    writers = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    listener.start()
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    stop.set()
    listener.join()
    assert missed == []
    assert len(received(records, SYSTEM).events) == 60


def test_nobody_hears_of_a_case_that_they_may_not_see(records):
    desk = made_user(records, Role.RECEPTION)
    own = made_case(records, desk, department="Kardiyoloji")
    other = made_case(records, desk, department="Dahiliye")
    announce(records, "house")
    clinician = made_user(records, Role.CLINICIAN, departments=("Kardiyoloji",))
    hearing = received(records, clinician)
    assert [one.case_id for one in hearing.events] == [own, None]
    assert hearing.upto == received(records, SYSTEM).upto
    assert {one.case_id for one in received(records, desk).events} == {own, other, None}
    with records.write(SYSTEM) as tx:
        tx.session.get_one(Case, own).restricted = True
    assert [one.case_id for one in received(records, clinician).events] == [None]


def test_what_is_removed_is_told(records):
    for number in range(3):
        announce(records, f"kind {number}")
    first = received(records, SYSTEM).events[0].seq
    with records.write(SYSTEM) as tx:
        tx.session.execute(update(Event).values(at=tx.now - case_contents.KEPT - timedelta(minutes=1)))
        case_contents.delete_old_events(tx)
    with records.read() as tx:
        assert list(tx.session.scalars(select(Event.kind))) == ["kind 2"]
    assert received(records, SYSTEM, first).missed
    assert not received(records, SYSTEM, 0).missed
    announce(records, "new")
    assert received(records, SYSTEM, first + 2).events[0].seq > first + 2
