"""Several images at once, the critical beside them; nothing lost where disk or database are away."""

from __future__ import annotations

import errno
import os
import threading
import time
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InternalError
from sqlalchemy.exc import TimeoutError as NoConnection

from tests.fleet.queue import HeldModel, Queue, finished, made_worker, wait_until
from tests.records.kit import made_records, take_job
from tetkik.fleet import worker
from tetkik.records import database
from tetkik.records.images import jobs
from tetkik.records.images.jobs import STARTS
from tetkik.records.schema import Job
from tetkik.settings import Settings
from tetkik.values import SYSTEM, JobState, Priority
from tetkik.workflow.pixel_reader import PixelReader


@pytest.fixture(autouse=True)
def light(monkeypatch):
    """No model is loaded, no decoder started, and nobody waits for seconds."""
    monkeypatch.setattr(worker, "warm_up", lambda model: None)
    monkeypatch.setattr(PixelReader, "start", lambda self: None)
    monkeypatch.setattr(worker, "POLL_SECONDS", 0.05)
    monkeypatch.setattr(worker, "_SHORTEST_PAUSE", 0.05)
    monkeypatch.setattr(worker, "read_case_image", finished)


@pytest.fixture
def queue(both_records):
    return Queue(both_records)


@pytest.fixture
def held(monkeypatch):
    model = HeldModel()
    monkeypatch.setattr(worker, "read_case_image", model)
    yield model
    model.go.set()


@pytest.fixture
def working():
    """Starts workers, and stops them in the end."""
    started = []

    def start(records, most=1):
        started.append(made_worker(records, most))
        started[-1].start()
        return started[-1]

    yield start
    for one in started:
        one.end()
    for one in started:
        one.stop()


@pytest.mark.both_databases
def test_as_many_as_it_may_go_on_at_once_and_a_critical_one_beside_them(queue, working, held):
    routine = [queue.add() for _ in range(3)]
    working(queue.records, most=2)
    wait_until(lambda: len(held.begun) == 2)
    red = queue.add(Priority.CRITICAL)
    wait_until(lambda: len(held.begun) == 3)
    assert held.begun[2] == red and sorted(held.begun[:2]) == routine[:2]
    second = queue.add(Priority.CRITICAL)
    time.sleep(0.3)
    assert len(held.begun) == 3, "there is one place more, not any number"
    held.go.set()
    wait_until(lambda: queue.states(*routine, red, second) == [JobState.DONE] * 5)
    assert held.begun[3] == second


@pytest.mark.both_databases
def test_what_was_begun_before_goes_alone(queue, working, held):
    again, *new = (queue.add() for _ in range(4))
    with queue.records.write(SYSTEM) as tx:
        assert jobs.take_jobs(tx, "killed")[0].id == again
        jobs.requeue_abandoned(tx, lambda name: False)
    working(queue.records, most=3)
    wait_until(lambda: held.begun)
    time.sleep(0.3)
    assert held.begun == [again]
    held.go.set()
    wait_until(lambda: queue.states(again, *new) == [JobState.DONE] * 4)


@pytest.mark.both_databases
def test_new_work_does_not_pass_by_what_was_begun_before(queue):
    first, again, last = (queue.add() for _ in range(3))
    with queue.records.write(SYSTEM) as tx:
        taken = {one.id: one for one in jobs.take_jobs(tx, "killed", 3)}
        jobs.requeue_abandoned(tx, lambda name: False)
    with queue.records.write(SYSTEM) as tx:
        tx.session.get_one(Job, first).attempts = tx.session.get_one(Job, last).attempts = 0
    assert len(taken) == 3
    with queue.records.write(SYSTEM) as tx:
        assert [one.id for one in jobs.take_jobs(tx, "w", 3, idle=False)] == [first]
        assert jobs.take_jobs(tx, "w", 3, idle=False) == ()
        assert [one.id for one in jobs.take_jobs(tx, "w", 3)] == [again]
        assert [one.id for one in jobs.take_jobs(tx, "w", 3, idle=False)] == [last]


@pytest.mark.both_databases
def test_a_worker_that_ends_gives_back_what_it_cannot_finish(queue, working, held, monkeypatch):
    monkeypatch.setattr(worker, "DRAIN_SECONDS", 0.2)
    slow, waits = queue.add(), queue.add()
    one = working(queue.records)
    wait_until(lambda: held.begun)
    one.stop()
    row = queue.row(slow)
    assert (row.state, row.attempts, row.worker, row.lease_until) == (JobState.QUEUED, 0, None, None)
    held.go.set()  # it comes too late, and its answer does not count
    monkeypatch.setattr(worker, "read_case_image", finished)
    working(queue.records)
    wait_until(lambda: queue.states(slow, waits) == [JobState.DONE] * 2)
    assert queue.row(slow).attempts == 1


def test_a_worker_that_ends_finishes_what_it_has(queue, working, held):
    job, waits = queue.add(), queue.add()
    one = working(queue.records)
    wait_until(lambda: held.begun)
    one.end()
    time.sleep(0.2)
    held.go.set()
    one.stop()
    assert queue.states(job, waits) == [JobState.DONE, JobState.QUEUED]


def test_a_full_disk_is_no_fault_of_the_image(queue, working, monkeypatch):
    faults = [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))] * (jobs.ATTEMPTS + 2)

    def fails(*given):
        if faults:
            raise faults.pop()
        finished(*given)

    monkeypatch.setattr(worker, "read_case_image", fails)
    monkeypatch.setattr(worker, "_LONGEST_PAUSE", 0.05)
    job = queue.add()
    working(queue.records)
    wait_until(lambda: queue.states(job) == [JobState.DONE])
    assert not faults and queue.row(job).attempts == 1


@pytest.mark.program("postgresql")
def test_connections_that_are_cut_cost_no_attempt(postgres, tmp_path, working, monkeypatch):
    url = postgres.fresh()
    mine, records = made_records(tmp_path, url), made_records(tmp_path, f"{url}&application_name=cut")
    queue, cuts = Queue(mine), [1, 2]

    def cut(*given):
        if cuts:
            cuts.pop()
            postgres.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut'"
            )
        finished(*given)

    monkeypatch.setattr(worker, "read_case_image", cut)
    monkeypatch.setattr(worker, "_LONGEST_PAUSE", 0.05)
    ids = [queue.add() for _ in range(3)]
    one = working(records)
    wait_until(lambda: not cuts)
    wait_until(lambda: queue.states(*ids) == [JobState.DONE] * 3)
    assert [queue.row(job).attempts for job in ids] == [1, 1, 1]
    one.stop()
    records.close()
    mine.close()
    postgres.drop(url)


@pytest.mark.program("postgresql")
def test_two_workers_do_each_piece_once(postgres, tmp_path, working, monkeypatch):
    url, done = postgres.fresh(), []

    def counted(records, _settings, work, *_):
        done.append(work.id)
        finished(records, _settings, work)

    monkeypatch.setattr(worker, "read_case_image", counted)
    records = [made_records(tmp_path, url) for _ in range(2)]
    queue = Queue(records[0])
    ids = [queue.add() for _ in range(30)]
    both = [working(one, most=3) for one in records]
    wait_until(lambda: queue.states(*ids) == [JobState.DONE] * 30)
    assert sorted(done) == sorted(ids)
    for one in both:
        one.stop()
    for opened in records:
        opened.close()
    postgres.drop(url)


@pytest.mark.both_databases
def test_a_second_worker_in_a_process_leaves_the_first_its_work(queue, working, held):
    first = queue.add()
    working(queue.records)
    wait_until(lambda: held.begun == [first])
    working(queue.records)
    second = queue.add()
    wait_until(lambda: len(held.begun) == 2)
    held.go.set()
    wait_until(lambda: queue.states(first, second) == [JobState.DONE] * 2)
    assert held.begun == [first, second]


@pytest.mark.program("postgresql")
def test_a_clock_that_is_ahead_takes_nobody_elses_work(postgres, tmp_path, monkeypatch):
    url = postgres.fresh()
    records = made_records(tmp_path, url)
    queue = Queue(records)
    queue.add()
    with records.write(SYSTEM) as tx:
        assert take_job(tx, "right") is not None

    class Ahead(datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(hours=1)

    monkeypatch.setattr(database, "datetime", Ahead)
    with records.write(SYSTEM) as tx:
        assert take_job(tx, "ahead") is None
    monkeypatch.undo()
    with records.write(SYSTEM) as tx:  # a lease of the clock that was ahead lasts no longer either
        tx.session.execute(text("UPDATE jobs SET lease_until = now() - interval '1 second'"))
    with records.write(SYSTEM) as tx:
        assert take_job(tx, "right") is not None
    records.close()
    postgres.drop(url)


def test_what_no_program_survives_is_set_aside_with_its_reason(queue, working):
    job = queue.add()
    with queue.records.write(SYSTEM) as tx:
        tx.session.get_one(Job, job).attempts = STARTS
    working(queue.records)
    wait_until(lambda: queue.states(job) == [JobState.FAILED])
    assert "ended {count} times" in (queue.row(job).fault or "")


@pytest.mark.both_databases
def test_a_sick_worker_gives_back_what_others_can_read(queue, working, monkeypatch):
    tried: list[str] = []

    def reads(records, settings, work, *_):
        if work.worker == sick._name:
            tried.append(work.id)
            raise RuntimeError("CUDA error")
        time.sleep(0.2)
        finished(records, settings, work)

    monkeypatch.setattr(worker, "read_case_image", reads)
    monkeypatch.setattr(worker, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(jobs, "_REST", timedelta(seconds=0.2))
    monkeypatch.setattr(worker.Worker, "_may_live", lambda *_: True)  # both are in this process
    working(queue.records, most=3)
    sick = working(queue.records)
    ids = [queue.add() for _ in range(12)]
    wait_until(lambda: not {JobState.QUEUED, JobState.RUNNING} & set(queue.states(*ids)))
    assert queue.states(*ids) == [JobState.DONE] * 12 and tried


def test_images_that_fail_wherever_they_are_read_are_given_up(queue, working, monkeypatch):
    def fails(*_):
        raise RuntimeError("a fault of the images")

    monkeypatch.setattr(worker, "read_case_image", fails)
    monkeypatch.setattr(worker, "_LONGEST_PAUSE", 0.05)
    monkeypatch.setattr(jobs, "_REST", timedelta(seconds=0.02))
    ids = [queue.add() for _ in range(5)]
    for _ in range(2):
        working(queue.records)
    wait_until(lambda: queue.states(*ids) == [JobState.FAILED] * 5)


def test_a_worker_without_its_model_does_not_begin(queue, monkeypatch):
    def missing(model):
        raise OSError(errno.ENOENT, "no such bundle")

    monkeypatch.setattr(worker, "warm_up", missing)
    job = queue.add()
    one = worker.Worker(
        queue.records, Settings(data_dir=queue.records.folder), PixelReader(queue.records, 1), ready=True
    )
    one.run()
    assert queue.states(job) == [JobState.QUEUED]


def test_a_thread_that_cannot_start_gives_its_work_back(queue, working, monkeypatch):
    start, refused = threading.Thread.start, [1]

    def refuses(thread):
        if thread.name == "job" and refused:
            refused.pop()
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuses)
    monkeypatch.setattr(worker, "_LONGEST_PAUSE", 0.05)
    ids = [queue.add() for _ in range(2)]
    working(queue.records, most=2)
    wait_until(lambda: queue.states(*ids) == [JobState.DONE] * 2)
    assert not refused and queue.row(ids[0]).attempts == 1


def test_what_hangs_is_left_to_others_and_keeps_no_place(queue, working, held, monkeypatch):
    monkeypatch.setattr(worker, "STUCK_SECONDS", 0.2)
    monkeypatch.setattr(worker, "LEASE", timedelta(seconds=0.15))
    first, second = queue.add(), queue.add()
    one = working(queue.records)
    wait_until(lambda: second in held.begun)
    lease = queue.row(first).lease_until
    time.sleep(0.2)
    assert queue.row(first).lease_until == lease
    assert one.longest_seconds > worker.STUCK_SECONDS


def test_only_processes_that_are_seen_are_known_to_be_dead(queue):
    one = made_worker(queue.records)
    place = one._name.partition(":")[0]
    gone = 2**22 + 1  # higher than any
    assert len(one._name) <= 64
    assert one._may_live(f"{place[:-12]}000000000000:{gone}:0") and not one._may_live(f"{place}:{gone}:0")


def _refused(sqlstate):
    return InternalError("UPDATE", {}, type("Refused", (Exception,), {"sqlstate": sqlstate})())


@pytest.mark.parametrize(
    ("fault", "away"),
    [
        (OSError(errno.ESTALE, ""), True),
        (OSError(errno.EMFILE, ""), True),
        (FileNotFoundError(errno.ENOENT, ""), False),
        (OSError("a broken picture"), False),
        (NoConnection(), True),
        (_refused("25006"), True),
        (_refused("25P02"), False),
    ],
)
def test_what_is_no_fault_of_an_image(fault, away):
    assert worker.is_away(fault) is away
