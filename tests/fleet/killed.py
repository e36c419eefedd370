"""A worker that an image ends each time: run by `test_killed` as a program.

It forks one worker after another, as a supervisor starts them again; the model of each kills its process over
one image, with SIGKILL, beside others that it reads. What came of it goes to standard output as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from pytest import MonkeyPatch

from tests.fleet.queue import Queue, finished, made_worker
from tests.patience import PATIENCE
from tetkik.fleet import worker
from tetkik.records.database import Records
from tetkik.records.images import jobs
from tetkik.records.schema import Job
from tetkik.values import JobState
from tetkik.workflow.pixel_reader import PixelReader

patch = MonkeyPatch()
_OPEN = (JobState.QUEUED, JobState.RUNNING)


def _lives(url: str, folder: Path, deadly: str) -> bool:
    """One life of a worker; gives whether it was killed, or found nothing more to do."""
    child = os.fork()
    if child == 0:
        together = threading.Barrier(3, timeout=2)

        def kills(records: Records, settings: Any, work: jobs.ImageJob, *given: Any) -> None:
            if work.attempts == 1:  # the first time it has company
                together.wait()
            if work.id == deadly:
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(0.05)
            finished(records, settings, work)

        patch.setattr(worker, "read_case_image", kills)
        records = Records(url, folder)
        running = made_worker(records, most=3)
        running.start()
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with records.read() as tx:
                if not tx.count(Job, Job.state.in_(_OPEN)):
                    os._exit(0)
            time.sleep(0.05)
        os._exit(1)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def main(url: str, folder: Path) -> None:
    """Let one image of three end the worker as often as it can."""
    patch.setattr(worker, "warm_up", lambda model: None)
    patch.setattr(PixelReader, "start", lambda self: None)
    patch.setattr(worker, "POLL_SECONDS", 0.05)
    patch.setattr(worker, "_SHORTEST_PAUSE", 0.05)
    records = Records(url, folder)
    queue = Queue(records)
    deadly, *others = (queue.add() for _ in range(3))
    records.close()
    kills = 0
    while _lives(url, folder, deadly):
        kills += 1
    records = Records(url, folder)
    queue.records = records
    rows = [queue.row(job) for job in (deadly, *others)]
    records.close()
    found = [[row.state.value, row.attempts] for row in rows]
    sys.stdout.write(json.dumps({"kills": kills, "rows": found, "fault": rows[0].fault}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
