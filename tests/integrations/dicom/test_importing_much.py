"""Much comes at once: what is urgent comes in first, and counting does not wait for imports."""

from __future__ import annotations

import threading
import time

import pytest

from tests.integrations.dicom.importing import ACCESSION, a_file, hospital
from tests.patience import PATIENCE
from tetkik.integrations import importing
from tetkik.records.cases.patients import Person
from tetkik.records.cases.priority import choose_priority
from tetkik.values import SYSTEM, Priority, ReceivedState

ALI = Person(name="ALİ KAYA", number="4712", birth_date="19700101")


@pytest.mark.both_databases
def test_the_study_of_an_urgent_case_comes_in_first(tmp_path, make_url, monkeypatch):
    with hospital(tmp_path, url=make_url()) as one:
        one.order()
        one.order(ALI, f"{ACCESSION}2")
        one.arrive(a_file(1))
        one.importer.take_in()
        one.arrive(a_file(key="A12", name="KAYA^ALİ", patient="4712", birth_date="19700101"))
        one.importer.take_in()
        one.look_at(61)
        states = {study.content.identity.patient_id: study for study in one.studies()}
        with one.records.write(SYSTEM) as tx:
            choose_priority(tx, states["4712"].case_id or "", Priority.CRITICAL)
        monkeypatch.setattr(importing, "_AT_ONCE", 1)
        assert one.importer.import_complete(), "more waits"
        states = {study.content.identity.patient_id: study for study in one.studies()}
        assert (states["4712"].state, states["4711"].state) == (
            ReceivedState.IMPORTED,
            ReceivedState.COMPLETE,
        )
        assert one.importer.import_complete() and not one.importer.import_complete()
        assert {study.state for study in one.studies()} == {ReceivedState.IMPORTED}


def test_what_comes_is_counted_while_a_long_study_is_imported(tmp_path, monkeypatch):
    stopping, goes_on = threading.Event(), threading.Event()
    with hospital(tmp_path) as one:
        monkeypatch.setattr(importing, "POLL_SECONDS", 0.01)
        one.order()
        one.arrive(a_file(1))
        one.importer.take_in()
        one.look_at(61)
        begun, known = threading.Event(), one.importer._import

        def slow(study):
            begun.set()
            goes_on.wait(PATIENCE)
            known(study)

        monkeypatch.setattr(one.importer, "_import", slow)
        running = threading.Thread(target=one.importer.run, args=(stopping,))
        running.start()
        try:
            assert begun.wait(PATIENCE)
            one.arrive(a_file(key="A12", name="KAYA^ALİ", patient=ALI.number, birth_date=ALI.birth_date))
            until = time.monotonic() + PATIENCE
            while len(one.studies()) < 2 and time.monotonic() < until:
                time.sleep(0.02)
            assert {study.state for study in one.studies()} == {
                ReceivedState.COMPLETE,
                ReceivedState.RECEIVING,
            }
        finally:
            goes_on.set()
            stopping.set()
            running.join()
        assert ReceivedState.IMPORTED in {study.state for study in one.studies()}
