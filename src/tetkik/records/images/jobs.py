"""The job queue. A job whose lease runs out goes to the next worker: nothing is lost in a crash."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, select, true, update

from tetkik.errors import Conflict
from tetkik.language import Sentence
from tetkik.records.cases.transfers import require_not_moved
from tetkik.records.database import Transaction
from tetkik.records.ids import new_id
from tetkik.records.images.images import StoredImage, check_frame
from tetkik.records.schema import Case, Image, Job
from tetkik.records.schema.models import OPEN_JOB
from tetkik.values import JobState, Priority

ATTEMPTS = 3
"""After so many that fail it is given up, and a person reads the image without a model."""
STARTS = 8
"""After so many that the program did not survive it is given up, too."""
LEASE = timedelta(seconds=20)
"""How long others leave work alone whose worker gives no sign."""
_REST = timedelta(seconds=5)
_OPEN = Job.state.in_((JobState.QUEUED, JobState.RUNNING))


class JobKind(StrEnum):
    READ_IMAGE = "read_image"
    """Findings, heatmaps and draft of one image."""


@dataclass(frozen=True, slots=True)
class ImageJob:
    id: str
    kind: JobKind
    case_id: str
    image_id: str
    model: str | None
    """That was asked for; None is that of the settings."""
    frame: int | None
    """That was asked for, counted from 1; None is the middle one."""
    state: JobState
    attempts: int
    worker: str | None
    fault: Sentence | None
    created_at: datetime
    finished_at: datetime | None
    failed_by: str | None = None
    """Who tried it before in vain; None where nobody did."""

    @property
    def deadly(self) -> bool:
        """Whether the program ended so often over it that it is better left alone."""
        return self.attempts > STARTS


def add_job(
    tx: Transaction,
    kind: JobKind,
    image: StoredImage,
    priority: Priority,
    model: str | None = None,
    frame: int | None = None,
) -> str:
    """Let work wait; gives the id, or that of the same work which waits already."""
    check_frame(image, frame)
    # A worker that takes it meanwhile comes before or after: what it reads is not changed under its hands.
    # Before the lock of the case, as everybody locks both.
    same = select(Job).where(Job.image_id == image.id, Job.kind == kind, Job.state == JobState.QUEUED)
    waiting = tx.session.scalar(same.with_for_update())
    # Whoever moves the case meanwhile comes before or after.
    tx.session.execute(select(Case.id).where(Case.id == image.case_id).with_for_update(key_share=True)).all()
    require_not_moved(tx, image.case_id)
    if waiting is not None:
        waiting.model, waiting.frame = model, frame
        return waiting.id
    row = Job(id=new_id(), kind=kind, case_id=image.case_id, image_id=image.id)
    row.state, row.priority, row.created_at = JobState.QUEUED, priority, tx.now
    row.model, row.frame = model, frame
    tx.session.add(row)
    tx.session.flush()
    tx.announce("job", image.case_id)
    return row.id


def take_jobs(
    tx: Transaction, worker: str, most: int = 1, *, idle: bool = True, within: Priority | None = None
) -> tuple[ImageJob, ...]:
    """Take the most urgent work that nobody has, the older of two first.

    Work that was begun before goes alone, to an `idle` worker: where it ends a process, it ends no other.
    What failed here is left to others first.

    Args:
        within: what is less urgent is left for others.
    """
    free = select(Job).where(_ready(tx, worker, within)).order_by(Job.priority, Job.id).limit(most)
    rows = tx.session.scalars(free.with_for_update(skip_locked=True)).all()
    again = next((place for place, row in enumerate(rows) if row.attempts), len(rows))
    rows = rows[: max(again, int(idle))]
    failed_by = [row.worker if row.state is JobState.QUEUED else None for row in rows]
    for row in rows:
        row.state, row.worker, row.lease_until = JobState.RUNNING, worker, clock(tx) + LEASE
        row.started_at = tx.now
        row.attempts += 1
        tx.announce("job", row.case_id)
    tx.session.flush()
    return tuple(_value(row, name) for row, name in zip(rows, failed_by, strict=True))


def has_waiting_jobs(tx: Transaction, within: Priority | None = None, worker: str = "") -> bool:
    """Whether there is work that nobody has, for a worker."""
    return tx.session.scalar(select(Job.id).where(_ready(tx, worker, within)).limit(1)) is not None


def are_others_at_work(tx: Transaction, worker: str) -> bool:
    """Whether another worker has work and gives signs of life."""
    held = (Job.state == JobState.RUNNING) & (Job.worker != worker) & (Job.lease_until > clock(tx))
    return tx.session.scalar(select(Job.id).where(OPEN_JOB, held).limit(1)) is not None


def clock(tx: Transaction) -> Any:
    """Now, by the clock that all workers share: those of their machines may differ."""
    return func.now() if tx.session.get_bind().dialect.name == "postgresql" else tx.now


def _ready(tx: Transaction, worker: str, within: Priority | None) -> ColumnElement[bool]:
    urgent = true() if within is None else Job.priority <= within
    now = clock(tx)
    # What failed in its own hands it leaves alone for longer: another worker may be able to do it.
    others = or_(Job.state == JobState.RUNNING, Job.worker.is_(None), Job.worker != worker)
    free = and_(Job.lease_until <= now, or_(others, Job.lease_until <= now - 2 * _REST))
    return and_(OPEN_JOB, urgent, or_(Job.lease_until.is_(None), free))


def renew_leases(tx: Transaction, worker: str, works: Collection[str]) -> None:
    """Keep these works of a worker for longer.

    One that is just being finished is passed over: nobody else can take it, and no other waits for it.
    """
    held = (Job.state == JobState.RUNNING) & (Job.worker == worker) & Job.id.in_(works)
    rows = tx.session.scalars(select(Job.id).where(held).with_for_update(skip_locked=True)).all()
    if rows:
        tx.apply(update(Job).where(Job.id.in_(rows)).values(lease_until=clock(tx) + LEASE))


def release_job(tx: Transaction, work: ImageJob, *, to_others: bool = False) -> None:
    """Give work back unfinished, through no fault of its own.

    Args:
        to_others: it failed, and most likely because of its worker, which so leaves it to others first.
    """
    row = _held(tx, work)
    row.state, row.worker, row.lease_until = JobState.QUEUED, None, None
    if to_others:
        row.worker, row.lease_until = work.worker, clock(tx)
    row.attempts -= 1
    tx.announce("job", row.case_id)


def finish_job(tx: Transaction, work: ImageJob) -> None:
    """Say that work is done, where its answer is kept; `Conflict` if somebody else has it by now."""
    row = _held(tx, work)
    row.state, row.finished_at, row.fault = JobState.DONE, tx.now, None
    row.worker = row.lease_until = None
    tx.announce("job", row.case_id)


def fail_job(tx: Transaction, work: ImageJob, fault: Sentence, *, for_good: bool = False) -> bool:
    """Say that an attempt failed, and whether another would, too; gives whether the work was given up."""
    row = _held(tx, work)
    over = for_good or row.attempts >= ATTEMPTS
    row.fault, row.worker = _packed(fault), None if over else work.worker
    row.state = JobState.FAILED if over else JobState.QUEUED
    row.lease_until = None if over else clock(tx) + _REST * 2**row.attempts
    row.finished_at = tx.now if over else None
    tx.announce("job", row.case_id)
    return over


def requeue_abandoned(tx: Transaction, lives: Callable[[str], bool]) -> int:
    """Free the work of workers that are known to be dead before their leases run out; gives how much."""
    rows = tx.session.scalars(
        select(Job).where(Job.state == JobState.RUNNING).with_for_update(skip_locked=True)
    )
    dead = [row for row in rows if row.worker is not None and not lives(row.worker)]
    for row in dead:
        row.state, row.worker, row.lease_until = JobState.QUEUED, None, None
    return len(dead)


def has_open_jobs(tx: Transaction, study_id: str, *, but: str = "") -> bool:
    """Whether images of a study still wait for a model, apart from one job; removed images do not."""
    return open_job(tx, study_id, but=but) is not None


def open_job(tx: Transaction, study_id: str, *, but: str = "") -> ImageJob | None:
    """The first work that an image of a study still waits for, apart from one job; None without any."""
    wanted = (
        select(Job)
        .join(Image, Image.id == Job.image_id)
        .where(Image.study_id == study_id, Image.removed_at.is_(None), _OPEN, Job.id != but)
        .order_by(Job.id)
    )
    row = tx.session.scalar(wanted.limit(1))
    return _value(row) if row is not None else None


def newest_job(tx: Transaction, image_id: str) -> ImageJob | None:
    """The newest work about an image; None where there was never any."""
    row = tx.session.scalar(select(Job).where(Job.image_id == image_id).order_by(Job.id.desc()).limit(1))
    return _value(row) if row is not None else None


def _held(tx: Transaction, work: ImageJob) -> Job:
    row = tx.session.get(Job, work.id, with_for_update=True)
    now = (JobState.RUNNING, work.worker, work.attempts)
    if row is None or (row.state, row.worker, row.attempts) != now:
        raise Conflict("Another worker has taken this work over; its answer counts.")
    return row


def _packed(fault: Sentence) -> str:
    values = {
        name: value if isinstance(value, int | float) else str(value) for name, value in fault.values.items()
    }
    packed = json.dumps([fault.template, values], ensure_ascii=False)
    return packed if len(packed) <= 2000 else json.dumps([fault.template[:1500], {}])


def _value(row: Job, failed_by: str | None = None) -> ImageJob:
    fault = Sentence(*json.loads(row.fault)) if row.fault else None
    own = {"kind": JobKind(row.kind), "image_id": row.image_id or "", "fault": fault, "failed_by": failed_by}
    return row.to_value(ImageJob, **own)
