"""What the measurements of workers share: real processes, and studies sent to them by DICOM."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import pydicom
from pydicom import Dataset
from pydicom.uid import UID, JPEG2000Lossless, generate_uid
from pynetdicom import AE
from sqlalchemy import func, select

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.fleet.fleet import Fleet, children_of, cpu_seconds
from tests.ports import free_port
from tests.records.kit import made_records
from tests.records.pictured import film
from tetkik.integrations.dicom.spool import FOLDER
from tetkik.records.database import Records
from tetkik.records.schema import Image, Job, ReceivedFile, Report, Run
from tetkik.records.trail.verify import verify
from tetkik.values import JobState

QUIET_SECONDS = 1
"""After which nothing more of a study is expected."""
_SYSTEMS = """
[listen]
address = "127.0.0.1"
port = {port}
processes = 2
quiet_seconds = {quiet}
reserve_bytes = 0
[[peer]]
name = "dx1"
ae_title = "DX1"
addresses = ["127.0.0.1"]
allow = ["store"]
without_orders = true
"""


def studies(side: int, *, compressed: bool = False) -> Iterator[Dataset]:
    """Radiographs without an end, each a study of a patient of its own; four pictures take turns.

    Pixels are plain, or `compressed` as JPEG 2000 without loss.
    """
    known = [pydicom.dcmread(io.BytesIO(film(seed, ("Effusion",), side=side))) for seed in range(4)]
    for one in known if compressed else ():
        one.compress(JPEG2000Lossless)
    for number in count(1):
        one = known[number % len(known)]
        one.PatientID, one.PatientName = f"LOAD-{number}", f"DENEME^{number}"
        one.StudyInstanceUID, one.SeriesInstanceUID = generate_uid(), generate_uid()
        one.SOPInstanceUID = one.file_meta.MediaStorageSOPInstanceUID = UID(generate_uid())
        one.AccessionNumber = f"L{number}"
        yield one


@dataclass
class Installation:
    """A listener, workers and PostgreSQL, with what they are asked to tell."""

    folder: Path
    fleet: Fleet
    records: Records
    listener: subprocess.Popen[bytes]
    port: int

    @property
    def worker_cpu(self) -> float:
        """Seconds of the workers and their decoders."""
        return sum(cpu_seconds(process.pid) for process in self.fleet.processes)

    @property
    def listener_cpu(self) -> float:
        return cpu_seconds(self.listener.pid)

    @property
    def importer_cpu(self) -> float:
        """Of `listener_cpu`, seconds of the process that imports, which alone has a decoder."""
        return sum(cpu_seconds(pid) for pid in children_of(self.listener.pid) if children_of(pid))

    @property
    def database_cpu(self) -> float:
        """Seconds of PostgreSQL's processes; what backends that ended took is their parent's."""
        return cpu_seconds(self.fleet.cluster.pid)

    def cpu(self) -> dict[str, float]:
        """Seconds of everybody until now; the importer is part of the listener, the sender this process."""
        names = ("worker_cpu", "listener_cpu", "database_cpu", "importer_cpu")
        return {name: getattr(self, name) for name in names} | {"sender_cpu": time.process_time()}

    def done(self) -> int:
        with self.records.read() as tx:
            return tx.count(Job, Job.state == JobState.DONE)

    def wait_done(self, many: int, seconds: float) -> None:
        end = time.monotonic() + seconds
        while self.done() < many:
            if time.monotonic() > end:
                raise SystemExit(f"{self.done()} of {many} studies were read in {seconds:.0f} s")
            time.sleep(0.1)

    def waits(self, patients: set[str] | None = None) -> list[float]:
        """Seconds from the port, or from the upload, of each image to its answer, by when it was answered.

        Of some cases alone.
        """
        with self.records.read() as tx:
            came = func.coalesce(ReceivedFile.received_at, Job.created_at)
            rows = tx.session.execute(
                select(Job.case_id, came, Job.finished_at)
                .join(ReceivedFile, ReceivedFile.image_id == Job.image_id, isouter=True)
                .where(Job.state == JobState.DONE)
                .order_by(Job.finished_at)
            ).all()
        return [
            (finished - begun).total_seconds()
            for case, begun, finished in rows
            if finished is not None and (patients is None or case in patients)
        ]

    def faults(self, many: int) -> list[str]:
        """What was lost or doubled of so many studies of one image."""
        with self.records.read() as tx:
            found = [
                f"{counted} {table.__tablename__} of {many} studies"
                for table in (Image, Job, Run, Report)
                if (counted := tx.count(table)) != many
            ]
            twice = select(Run.image_id).group_by(Run.image_id).having(func.count() > 1)
            found += [f"read twice: {image}" for image in tx.session.scalars(twice)]
            found += [] if verify(tx).whole else ["the audit trail is broken"]
        left = len(list((self.folder / FOLDER).iterdir()))
        return found + ([f"{left} files left in the spool"] if left else [])


@contextmanager
def installed(folder: Path, workers: int) -> Iterator[Installation]:
    """Everything started, on an empty database."""
    port = free_port()
    (folder / "systems.toml").write_text(_SYSTEMS.format(port=port, quiet=QUIET_SECONDS))
    given = {"TETKIK_INTEGRATIONS": str(folder / "systems.toml"), "TETKIK_WORKER_IMAGES": "1"}
    with Fleet(folder, workers, given) as fleet:
        records = made_records(folder, fleet.url)
        fleet.start()
        environment = os.environ | {"TETKIK_DATA_DIR": str(folder), "TETKIK_ALLOW_ROOT": "true"}
        listener = subprocess.Popen(
            [sys.executable, "-m", "tetkik", "listen"],
            env=environment | fleet.settings,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not all((folder / f"worker-{number}").exists() for number in range(workers)):
                time.sleep(0.1)
            yield Installation(folder, fleet, records, listener, port)
        finally:
            listener.terminate()
            listener.wait()
            records.close()


class Sender:
    """A modality with one association, that sends until all is acknowledged."""

    def __init__(self, port: int, one: Dataset) -> None:
        self._port = port
        self._ae = AE("DX1")
        self._ae.add_requested_context(one.SOPClassUID, one.file_meta.TransferSyntaxUID)
        self._association = self._ae.associate("127.0.0.1", port, ae_title="TETKIK")
        self._lock = threading.Lock()

    def send(self, one: Dataset) -> None:
        """Send it again until it is acknowledged: it may be refused while there is no room."""
        while True:
            with self._lock:
                if not self._association.is_established:
                    self._association = self._ae.associate("127.0.0.1", self._port, ae_title="TETKIK")
                if self._association.is_established:
                    answer = self._association.send_c_store(one)
                    if answer and answer.Status == 0:
                        return
            time.sleep(0.2)

    def close(self) -> None:
        self._association.release()
