"""The whole way, with the command itself: storescu, `tetkik listen`, the spool, a case, a job for a model."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.integrations.dicom.importing import AT, AYSE, a_file
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.programs import program
from tetkik.integrations.dicom.spool import FOLDER
from tetkik.records.cases import patients
from tetkik.records.database import open_records
from tetkik.records.images.jobs import JobKind
from tetkik.records.orders.orders import OrderContent, load_order, place_order
from tetkik.records.schema import Image, Job, ReceivedFile
from tetkik.settings import Settings
from tetkik.values import SYSTEM, JobState, OrderState

_SYSTEMS = """
[listen]
address = "127.0.0.1"
port = {port}
processes = 1
quiet_seconds = 1
reserve_bytes = 0
[[peer]]
name = "ct1"
ae_title = "CT1"
addresses = ["127.0.0.1"]
allow = ["store", "echo"]
"""
_IMAGES = 4


def _until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def _start(folder: Path, port: int) -> subprocess.Popen[bytes]:
    environment = os.environ | {
        "TETKIK_DATA_DIR": str(folder / "data"),
        "TETKIK_INTEGRATIONS": str(folder / "systems.toml"),
    }
    command = [sys.executable, "-m", "tetkik", "listen", "--allow-root"]
    running = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def answers() -> bool:
        assert running.poll() is None
        with socket.socket() as tried:
            return tried.connect_ex(("127.0.0.1", port)) == 0

    _until(answers)
    return running


@pytest.mark.program("storescu")
def test_a_study_comes_into_its_case_though_everything_is_killed_in_between(tmp_path):
    port = free_port()
    (tmp_path / "systems.toml").write_text(_SYSTEMS.format(port=port))
    records = open_records(Settings(data_dir=tmp_path / "data"))
    spool = tmp_path / "data" / FOLDER
    with records.write(SYSTEM) as tx:
        patient_id = patients.create(tx, AYSE)
        content = OrderContent(accession="DENEME-A1", modality="DX", scheduled_at=AT)
        order_id = place_order(tx, patient_id, content, "hbys")

    def count(table: type[Image] | type[ReceivedFile]) -> int:
        with records.read() as tx:
            return tx.count(table)

    running = _start(tmp_path, port)
    try:
        for number in range(_IMAGES):
            (tmp_path / f"{number}.dcm").write_bytes(a_file(number))
        files = [str(file) for file in tmp_path.glob("*.dcm")]
        command = [program("storescu"), "-aet", "CT1", "-aec", "TETKIK", "127.0.0.1", str(port), *files]
        subprocess.run(command, check=True, capture_output=True)
        _until(lambda: count(ReceivedFile) > 0)
        running.send_signal(signal.SIGKILL)
        running.wait()
        running = _start(tmp_path, port)
        _until(lambda: count(Image) == _IMAGES and not any(spool.iterdir()))
    finally:
        running.terminate()
        running.wait()
    with records.read() as tx:
        order = load_order(tx, order_id)
        assert order.state is OrderState.COMPLETED
        waiting = tx.session.scalars(select(Job)).all()
        assert [(one.kind, one.state, one.case_id) for one in waiting] == [
            (JobKind.READ_IMAGE, JobState.QUEUED, order.case_id)
        ] * _IMAGES
    records.close()
