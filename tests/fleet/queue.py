"""Work that waits, and models that do what a test tells them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import select

from tests.patience import PATIENCE
from tests.records.kit import made_case, made_user
from tests.records.pictured import put
from tetkik.fleet.worker import Worker
from tetkik.records.database import Records
from tetkik.records.images import jobs
from tetkik.records.images.jobs import JobKind
from tetkik.records.schema import Job
from tetkik.settings import Settings
from tetkik.values import SYSTEM, JobState, Priority, Role
from tetkik.workflow.pixel_reader import PixelReader


class Queue:
    """Cases with an image each, which waits for a model."""

    def __init__(self, records: Records) -> None:
        self.records = records
        self.technician = made_user(records, Role.TECHNICIAN)

    def add(self, priority: Priority = Priority.ROUTINE) -> str:
        """Gives the id of the work."""
        image = put(self.records, self.technician, made_case(self.records, self.technician)).image
        with self.records.write(self.technician) as tx:
            return jobs.add_job(tx, JobKind.READ_IMAGE, image, priority)

    def row(self, job: str) -> Job:
        with self.records.read() as tx:
            return tx.session.get_one(Job, job)

    def states(self, *ids: str) -> list[JobState]:
        return [self.row(one).state for one in ids]

    def all_states(self) -> list[JobState]:
        with self.records.read() as tx:
            return list(tx.session.scalars(select(Job.state)))


def finished(records: Records, _settings: Any, work: jobs.ImageJob, *_: Any) -> None:
    """A model that has nothing to say."""
    with records.write(SYSTEM) as tx:
        jobs.finish_job(tx, work)


class HeldModel:
    """A model that keeps each image until it is let go."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.go = threading.Event()

    def __call__(self, records: Records, _settings: Any, work: jobs.ImageJob, *_: Any) -> None:
        self.begun.append(work.id)
        assert self.go.wait(PATIENCE)
        finished(records, _settings, work)


def made_worker(records: Records, most: int = 1) -> Worker:
    return Worker(records, Settings(data_dir=records.folder), PixelReader(records, 1), most=most)


def wait_until(what: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)
