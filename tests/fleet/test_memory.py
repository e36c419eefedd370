"""A worker that reads image after image holds no more memory in the end."""

from __future__ import annotations

import gc
import tracemalloc

from tests.fleet.queue import Queue, made_worker, wait_until
from tests.records.kit import made_records
from tests.records.pictured import radiograph
from tetkik.language import Language
from tetkik.records.schema import Job
from tetkik.values import JobState
from tetkik.workflow import image_processing
from tetkik.workflow.reports import analyse_image

WARM, MANY = 10, 40
MOST = 8 * 2**20
"""Bytes that may be added by so many; one picture of 256 pixels a side that stayed would be 10 MB."""


def test_memory_does_not_grow_with_what_was_read(tmp_path, monkeypatch):
    records = made_records(tmp_path)
    queue, worker = Queue(records), made_worker(records)
    monkeypatch.setattr(worker._pixels, "pixels", lambda image, frame: radiograph())
    monkeypatch.setattr(worker._pixels, "start", lambda: None)
    # The network is that of every image; `benchmarks/fleet_memory.py` runs it 10,000 times.
    known = analyse_image(radiograph(), model="findings-mobilenet-cxr", language=Language.TR)
    monkeypatch.setattr(image_processing, "analyse_image", lambda *given, **named: known)
    worker.start()

    def read(many: int) -> int:
        for _ in range(many):
            queue.add()
        worker._woken.set()
        with records.read() as tx:
            count = tx.count(Job)
        wait_until(lambda: sum(one is JobState.DONE for one in queue.all_states()) == count)
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = read(WARM)
        after = read(MANY)
    finally:
        tracemalloc.stop()
        worker.stop()
    records.close()
    assert after - before < MOST
