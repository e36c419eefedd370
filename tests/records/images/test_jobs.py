"""The queue: the most urgent first, one worker for one piece of work, nothing lost and nothing done twice."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from sqlalchemy import text

from tests.fleet.queue import Queue
from tests.records.kit import made_case, made_records, made_user, take_job
from tests.records.pictured import put
from tetkik.errors import Conflict
from tetkik.language import Language, Sentence
from tetkik.records.images import images, jobs
from tetkik.records.images.jobs import ATTEMPTS, LEASE, STARTS, JobKind
from tetkik.values import SYSTEM, JobState, Priority, Role

pytestmark = pytest.mark.both_databases

WHY = Sentence("The program failed over this image ({fault}); read it without a model.", {"fault": "OSError"})


@pytest.fixture
def wait(both_records):
    """Lets work of a priority wait; gives its id."""
    technician = made_user(both_records, Role.TECHNICIAN)
    case = made_case(both_records, technician)
    seeds = iter(range(100))

    def waits(priority=Priority.ROUTINE):
        image = put(both_records, technician, case, next(seeds)).image
        with both_records.write(technician) as tx:
            return jobs.add_job(tx, JobKind.READ_IMAGE, image, priority), image

    return waits


def take(records, worker="w"):
    with records.write(SYSTEM) as tx:
        return take_job(tx, worker)


def now(records, work):
    with records.read() as tx:
        found = jobs.newest_job(tx, work.image_id)
        assert found is not None
        return found


def test_the_most_urgent_goes_first_and_the_older_of_two(both_records, wait):
    routine, critical, later, urgent = (
        wait(priority)[0]
        for priority in (Priority.ROUTINE, Priority.CRITICAL, Priority.ROUTINE, Priority.URGENT)
    )
    taken = [take(both_records) for _ in range(5)]
    assert [work.id for work in taken if work] == [critical, urgent, routine, later] and taken[-1] is None
    with both_records.read() as tx:
        assert not jobs.has_waiting_jobs(tx)


def test_the_same_work_waits_once_and_may_wait_again_when_it_is_under_way(both_records, wait):
    first, image = wait()
    with both_records.write(SYSTEM) as tx:
        assert jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority.ROUTINE, "other-model") == first
    work = take(both_records)
    assert work is not None and work.model == "other-model"
    with both_records.write(SYSTEM) as tx:
        assert jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority.ROUTINE) != first


def test_a_lease_that_runs_out_is_work_for_the_next_and_the_first_comes_too_late(both_records, wait, clock):
    wait()
    first = take(both_records, "one")
    assert take(both_records, "two") is None
    clock.go(seconds=LEASE.total_seconds() + 1)
    second = take(both_records, "two")
    assert second is not None and second.id == first.id and second.attempts == 2
    with pytest.raises(Conflict), both_records.write(SYSTEM) as tx:
        tx.announce("draft")
        jobs.finish_job(tx, first)
    assert now(both_records, first).state is JobState.RUNNING
    with both_records.write(SYSTEM) as tx:
        jobs.finish_job(tx, second)
    assert now(both_records, first).state is JobState.DONE
    for late in (jobs.finish_job, jobs.release_job):
        with pytest.raises(Conflict), both_records.write(SYSTEM) as tx:
            late(tx, second)


def test_a_lease_is_renewed_as_long_as_somebody_works(both_records, wait, clock):
    wait()
    work = take(both_records)
    for _ in range(5):
        clock.go(seconds=LEASE.total_seconds() * 0.9)
        with both_records.write(SYSTEM) as tx:
            jobs.renew_leases(tx, "w", [work.id])
    assert work is not None and take(both_records, "other") is None


def test_what_no_thread_of_a_worker_has_is_not_renewed(both_records, wait, clock):
    for _ in range(2):
        wait()
    lost, kept = take(both_records), take(both_records)  # the answer to the first never came
    clock.go(seconds=LEASE.total_seconds() * 0.9)
    with both_records.write(SYSTEM) as tx:
        jobs.renew_leases(tx, "w", [kept.id])
    clock.go(seconds=LEASE.total_seconds() * 0.9)
    assert take(both_records, "other").id == lost.id and take(both_records, "other") is None


def test_what_failed_is_left_to_others_first(both_records, wait, clock):
    wait()
    with both_records.write(SYSTEM) as tx:
        (work,) = jobs.take_jobs(tx, "one")
        jobs.fail_job(tx, work, WHY)
    clock.go(seconds=11)
    assert take(both_records, "one") is None
    again = take(both_records, "two")
    assert again is not None and again.failed_by == "one"
    with both_records.write(SYSTEM) as tx:
        jobs.release_job(tx, again, to_others=True)
    assert take(both_records, "two") is None
    assert take(both_records, "one") is not None


@pytest.mark.program("postgresql")
def test_a_job_that_is_being_finished_keeps_no_other_from_its_lease(postgres, tmp_path):
    url = postgres.fresh()
    records = made_records(tmp_path, url)
    waits = Queue(records)
    ids = [waits.add() for _ in range(2)]
    with records.write(SYSTEM) as tx:
        works = jobs.take_jobs(tx, "w", 2)
    with records.write(SYSTEM) as keeping:
        jobs.finish_job(keeping, works[0])
        keeping.session.flush()
        with records.write(SYSTEM) as tx:
            tx.session.execute(text("SET LOCAL lock_timeout = '1s'"))
            jobs.renew_leases(tx, "w", ids)
    kept, finished = (waits.row(one) for one in reversed(ids))
    assert kept.lease_until and finished.lease_until is None
    records.close()
    postgres.drop(url)


@pytest.mark.program("postgresql")
def test_work_that_is_taken_at_this_moment_is_not_changed_but_asked_for_anew(postgres, tmp_path):
    url = postgres.fresh()
    records = made_records(tmp_path, url)
    waits, asked = Queue(records), []
    job = waits.add()
    with records.read() as tx:
        image = images.load_image(tx, waits.row(job).image_id or "")

    def ask():
        with records.write(SYSTEM) as tx:
            asked.append(jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority.ROUTINE, "other-model"))

    with records.write(SYSTEM) as tx:
        assert take_job(tx, "w") is not None
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join(0.3)
    thread.join()
    assert asked != [job] and waits.row(asked[0]).model == "other-model"
    assert waits.row(job).model is None
    records.close()
    postgres.drop(url)


def test_work_that_fails_rests_and_is_given_up_in_the_end(both_records, wait, clock):
    wait()
    for attempt in range(1, ATTEMPTS + 1):
        work = take(both_records)
        assert work is not None and work.attempts == attempt
        with both_records.write(SYSTEM) as tx:
            assert jobs.fail_job(tx, work, WHY) is (attempt == ATTEMPTS)
        assert take(both_records) is None, "it rests first"
        clock.go(minutes=5)
    failed = now(both_records, work)
    assert failed.state is JobState.FAILED and failed.fault is not None and failed.finished_at is not None
    assert (
        failed.fault.in_language(Language.TR) == WHY.in_language(Language.TR) != WHY.in_language(Language.EN)
    )
    assert take(both_records) is None


def test_what_would_fail_again_is_given_up_at_once(both_records, wait):
    wait()
    work = take(both_records)
    with both_records.write(SYSTEM) as tx:
        assert jobs.fail_job(tx, work, WHY, for_good=True)
    assert now(both_records, work).state is JobState.FAILED


def test_a_long_fault_is_kept_short(both_records, wait):
    wait()
    work = take(both_records)
    with both_records.write(SYSTEM) as tx:
        jobs.fail_job(tx, work, Sentence(WHY.template, {"fault": "x" * 5000}), for_good=True)
    fault = now(both_records, work).fault
    assert fault is not None and fault.template == WHY.template


def test_work_of_a_dead_worker_is_free_at_once(both_records, wait):
    for _ in range(2):
        wait()
    dead, alive = take(both_records, "dead"), take(both_records, "alive")
    with both_records.write(SYSTEM) as tx:
        assert jobs.requeue_abandoned(tx, lambda name: name == "alive") == 1
    again = take(both_records, "new")
    assert again is not None and again.id == dead.id and alive is not None
    assert not again.deadly


def test_work_that_no_process_survives_is_known_for_it(both_records, wait, clock):
    wait()
    for start in range(1, STARTS + 2):
        work = take(both_records, f"w{start}")
        assert work is not None and work.deadly is (start > STARTS)
        clock.now += LEASE + timedelta(seconds=1)
