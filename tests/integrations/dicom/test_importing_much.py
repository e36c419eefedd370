"""Much comes at once: what is urgent comes in first, and counting does not wait for imports."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from tests.integrations.dicom.importing import ACCESSION, a_file, decoders, hospital
from tests.patience import PATIENCE
from tetkik.integrations import importing
from tetkik.records.cases import cases
from tetkik.records.cases.patients import Person
from tetkik.records.cases.priority import choose_priority
from tetkik.records.schema import Image, Job
from tetkik.records.trail.verify import verify
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
        monkeypatch.setattr(one.importer._imports, "_places", 1)
        order, known = [], one.importer._import

        def noted(study):
            order.append(study.content.identity.patient_id)
            known(study)

        monkeypatch.setattr(one.importer, "_import", noted)
        one.importer.import_complete()
        assert order == ["4712", "4711"]
        assert {study.state for study in one.studies()} == {ReceivedState.IMPORTED}


def three(one):
    """Studies of three patients that are decided; gives their ids, the one that waits longest first."""
    for number in range(3):
        one.order(replace(ALI, number=f"50{number}"), f"DENEME-B{number}")
        known = {"name": "KAYA^ALİ", "patient": f"50{number}"}
        one.arrive(*(a_file(n, key=f"B{number}", birth_date="19700101", **known) for n in (1, 2)))
        one.look_at(1)
    one.look_at(61)
    return [study.id for study in one.studies()]


def test_a_study_that_cannot_be_imported_keeps_no_other(tmp_path, monkeypatch):
    with hospital(tmp_path) as one:
        first, *others = three(one)
        monkeypatch.setattr(one.importer._imports, "_places", 1)
        tried, known = [], one.importer._import

        def fails(study):
            tried.append(study.id)
            if study.id == first:
                raise OSError("the disk is full")
            known(study)

        monkeypatch.setattr(one.importer, "_import", fails)
        one.importer.import_complete()
        assert tried == [first, *others]
        monkeypatch.setattr(one.importer, "_import", known)
        one.importer.import_complete()
        assert {study.state for study in one.studies()} == {ReceivedState.IMPORTED}


def test_a_long_study_keeps_no_other(tmp_path, monkeypatch):
    with hospital(tmp_path) as one:
        first, *others = three(one)
        known, through = one.importer._import, threading.Barrier(2)

        def imported(study):
            if study.id == first:
                through.wait(PATIENCE)
            known(study)
            if study.id == others[-1]:
                through.wait(PATIENCE)

        monkeypatch.setattr(one.importer, "_import", imported)
        one.importer.import_complete()
        assert {study.state for study in one.studies()} == {ReceivedState.IMPORTED}


def test_who_is_to_stop_ends_after_the_file_in_hand(tmp_path, monkeypatch):
    stopping = threading.Event()
    with hospital(tmp_path) as one:
        three(one)
        monkeypatch.setattr(one.importer._imports, "_places", 1)
        known = one.importer._import_file

        def last(*about):
            known(*about)
            stopping.set()

        monkeypatch.setattr(one.importer, "_import_file", last)
        one.importer.run(stopping)
        assert [study.imported for study in one.studies()] == [1, 0, 0]


def test_one_large_file_is_imported_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "_LARGE", 1)
    with hospital(tmp_path) as one:
        three(one)
        known, at_once, lock = one.importer._bring_into_case, [0, 0], threading.Lock()

        def counted(*about):
            with lock:
                at_once[0] += 1
                at_once[1] = max(at_once)
            known(*about)
            with lock:
                at_once[0] -= 1

        monkeypatch.setattr(one.importer, "_bring_into_case", counted)
        one.importer.import_complete()
        assert at_once == [0, 1]
        assert {study.state for study in one.studies()} == {ReceivedState.IMPORTED}


@pytest.mark.both_databases
def test_studies_that_are_imported_at_the_same_time_are_each_there_once(tmp_path, make_url, monkeypatch):
    """Some of one case, so that those who write to it wait for each other in turn."""
    with hospital(tmp_path, url=make_url()) as one:
        one.order(accession="DENEME-A12345678")  # an accession number has 16 characters
        one.arrive(*(a_file(number, key=f"A12345678{key}") for key in range(3) for number in (1, 2)))
        for number in range(3):
            person = replace(ALI, number=f"50{number}")
            one.order(person, f"DENEME-B{number}")
            one.arrive(
                a_file(key=f"B{number}", name="KAYA^ALİ", patient=f"50{number}", birth_date="19700101")
            )
        one.look_at(0)
        one.look_at(61)
        with one.records.write(SYSTEM) as tx:  # whoever comes first takes it up again
            shared = next(s.case_id for s in one.studies() if s.content.identity.patient_id == "4711")
            cases.close(tx, shared or "")
        imports = one.importer._import
        together = threading.Barrier(decoders().count)

        def begun_together(study):
            with suppress(threading.BrokenBarrierError):  # the last ones may be fewer
                together.wait(1)
                begun.append(study.id)
            imports(study)

        begun: list[str] = []
        monkeypatch.setattr(one.importer, "_import", begun_together)
        with capture_logs() as logged:
            one.importer.import_complete()
        assert [entry for entry in logged if entry["log_level"] == "error"] == []
        assert len(begun) >= decoders().count
        assert {study.state for study in one.studies()} == {ReceivedState.IMPORTED}
        assert sorted(study.imported for study in one.studies()) == [1, 1, 1, 2, 2, 2]
        with one.records.read() as tx:
            assert (tx.count(Image), tx.count(Job), one.spooled()) == (9, 9, 0)
            assert verify(tx).whole


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
            goes_on.set()
            while ReceivedState.IMPORTED not in {study.state for study in one.studies()}:
                assert time.monotonic() < until
                time.sleep(0.02)
        finally:
            goes_on.set()
            stopping.set()
            running.join()
