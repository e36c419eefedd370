"""`kill -9` in the middle of a zip: what was answered as kept is kept, and sent again nothing doubles."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from tests.patience import PATIENCE
from tests.records.kit import made_records, made_user
from tests.records.pictured import film
from tests.service.kit import make_context, opened_session, served
from tests.service.zips import cd, zipped
from tetkik.records.images import images
from tetkik.records.schema import Blob, Case, Image, Job, Patient
from tetkik.values import Role

COUNT = 8
_SERVED = """
import itertools, pathlib, sys, threading, uvicorn
from tests.service.kit import make_context
from tetkik.service.app import create_app
from tetkik.service.studies.upload import Upload
kept, keep = itertools.count(1), Upload.keep
def held(upload, language, tx):
    if next(kept) > 5:
        threading.Event().wait()  # until it is killed, in the middle of a transaction
    return keep(upload, language, tx)
Upload.keep = held
app = create_app(make_context(pathlib.Path(sys.argv[1])), work=False)
uvicorn.Server(uvicorn.Config(app, fd=int(sys.argv[2]), log_level="error")).run()
"""


@contextmanager
def hospital_apart(folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A hospital in a process of its own, which can be killed; its socket listens from the start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        free.listen()
        address, number = f"http://127.0.0.1:{free.getsockname()[1]}", free.fileno()
        command = [sys.executable, "-c", _SERVED, str(folder), str(number)]
        process = subprocess.Popen(command, pass_fds=[number], stdout=subprocess.DEVNULL)
    try:
        yield address, process
    finally:
        process.kill()
        process.wait()


def test_a_hospital_that_is_killed_over_a_zip_keeps_what_it_answered(tmp_path):
    films = [film(0, side=64 + 2 * number) for number in range(COUNT)]
    records = made_records(tmp_path)
    cookie, csrf = opened_session(make_context(tmp_path, records), made_user(records, Role.TECHNICIAN))
    records.close()
    disk, headers = zipped(cd(*films)), {"X-CSRF-Token": csrf, "Idempotency-Key": "cd"}
    address = "/api/v1/images/archive"
    kept: list[str] = []
    with (
        hospital_apart(tmp_path) as (base, process),
        httpx.Client(base_url=base, cookies={"tetkik": cookie}, timeout=PATIENCE) as client,
        pytest.raises(httpx.TransportError),
        client.stream("POST", address, content=disk, headers=headers) as answer,
    ):
        for number, line in enumerate(answer.iter_lines()):
            if number:
                kept.append(json.loads(line)["answer"]["image"]["id"])
            if number == 3:
                process.kill()
    assert 3 <= len(kept) < COUNT
    again = make_context(tmp_path)
    with served(again) as browser, again.records.read() as tx:
        for image_id, content in zip(kept, films, strict=False):
            assert images.read_content(tx, images.load_image(tx, image_id)) == content
        browser.cookies.set("tetkik", cookie)
        _, *lines = browser.post(address, content=disk, headers=headers).text.splitlines()
        ids = [json.loads(line)["answer"]["image"]["id"] for line in lines]
    assert ids[: len(kept)] == kept and len(set(ids)) == COUNT
    with again.records.read() as tx:
        counts = [tx.session.scalar(select(func.count()).select_from(table)) for table in (Image, Job, Blob)]
        assert counts == [COUNT, COUNT, COUNT]
        assert [tx.session.scalar(select(func.count()).select_from(table)) for table in (Case, Patient)] == [
            1,
            1,
        ]
    again.records.close()
