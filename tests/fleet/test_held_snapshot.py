"""A backup that reads for hours (pg_dump) keeps the rows of what was done meanwhile: workers pass them by."""

from __future__ import annotations

import pytest
from sqlalchemy import event, insert, text

from tests.fleet.queue import Queue
from tests.records.kit import made_records
from tetkik.records.ids import new_id
from tetkik.records.images import jobs
from tetkik.records.schema import Image, Job
from tetkik.values import SYSTEM

DONE = 2000


@pytest.fixture
def queue(postgres, tmp_path):
    url = postgres.fresh()
    records = made_records(tmp_path, url)
    yield Queue(records)
    records.close()
    postgres.drop(url)


def claim_plan(records):
    """How PostgreSQL finds the next work: EXPLAIN's plan of the statement that takes it."""
    seen = []

    @event.listens_for(records.engine, "before_cursor_execute")
    def note(_connection, _cursor, statement, parameters, *_):
        if "SKIP LOCKED" in statement:
            seen.append((statement, parameters))

    with records.write(SYSTEM) as tx:
        taken = jobs.take_jobs(tx, "w", 4)
        assert len(taken) == 4
        for work in taken:
            jobs.release_job(tx, work)
    event.remove(records.engine, "before_cursor_execute", note)
    ((statement, parameters),) = seen
    with records.engine.connect() as connection:
        explain = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}"
        return connection.exec_driver_sql(explain, parameters).scalar_one()[0]["Plan"]


def indexes(plan):
    return [plan.get("Index Name")] + [name for one in plan.get("Plans", ()) for name in indexes(one)]


def test_what_was_done_while_a_backup_reads_hardly_slows_the_next_claim(queue):
    queue.add()
    records = queue.records
    with records.read() as tx:
        case, image = tx.session.query(Image.case_id, Image.id).one()
    rows = [
        {"id": new_id(), "kind": "read_image", "case_id": case, "image_id": image, "state": "queued",
         "priority": 3, "attempts": 0}
        for _ in range(DONE)
    ]  # fmt: skip
    with records.write(SYSTEM) as tx:
        tx.session.execute(insert(Job), [row | {"created_at": tx.now} for row in rows])
    with records.engine.connect().execution_options(isolation_level="REPEATABLE READ") as dump:
        dump.execute(text("SELECT count(*) FROM jobs"))
        for _ in range(DONE // 50):
            with records.write(SYSTEM) as tx:
                taken = jobs.take_jobs(tx, "w", 50)
            with records.write(SYSTEM) as tx:
                jobs.renew_leases(tx, "w", [one.id for one in taken])
            with records.write(SYSTEM) as tx:
                held = text("UPDATE jobs SET state = 'done', worker = NULL WHERE worker = 'w'")
                assert tx.session.execute(held).rowcount == len(taken) > 0
        for _ in range(4):
            queue.add()
        with records.engine.connect() as connection:
            connection.execution_options(isolation_level="AUTOCOMMIT").execute(text("VACUUM ANALYZE jobs"))
        plan = claim_plan(records)
    buffers = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    assert "ix_jobs_open" in indexes(plan)
    assert buffers < DONE, f"{buffers} pages of 8 kB are looked at"
