"""An importer over a spool of its own, files of invented patients, and orders for them."""

from __future__ import annotations

import atexit
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
from pydicom import Dataset, dcmread

from tests.records.kit import made_records
from tetkik.imaging.examples.drawings import DrawnStudy, drawn_file
from tetkik.integrations.dicom.acceptor import Acceptor
from tetkik.integrations.dicom.spool import FOLDER, Origin, Spool
from tetkik.integrations.dicom.worklist import answer_worklist
from tetkik.integrations.importing import Decoders, Importer
from tetkik.integrations.listening import imported
from tetkik.integrations.systems import Configuration
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records
from tetkik.records.images import receiving
from tetkik.records.images.receiving import ReceivedView
from tetkik.records.orders.orders import OrderContent, place_order
from tetkik.settings import Settings
from tetkik.values import SYSTEM, ReceivedState

AT = datetime(2026, 11, 20, 8, 0, tzinfo=UTC)
AYSE = Person(name="AYŞE YILDIZ", number="4711", birth_date="19800101")
KEY = "A1"
ACCESSION = f"DENEME-{KEY}"
PEER: dict[str, Any] = {
    "name": "ct1",
    "ae_title": "CT1",
    "addresses": ["127.0.0.1"],
    "allow": ["store", "echo", "worklist"],
}


def a_file(
    number: int = 1, *, key: str = KEY, name: str = "YILDIZ^AYŞE", patient: str = "4711", **more: str
) -> bytes:
    """One small radiograph of a study of a patient."""
    at = AT.replace(year=int(more.pop("year", AT.year)))
    study = DrawnStudy(key, name, patient, more.pop("birth_date", "19800101"), "F", at, **more)
    pixels = np.full((64, 64), 100 + number, np.uint16)
    return drawn_file(study, pixels, view="PA", number=number)


@cache
def decoders() -> Decoders:
    """The same for all tests of a process: they take a second to start."""
    made = Decoders(2)
    atexit.register(made.close)
    return made


@dataclass
class Hospital:
    """Everything about one importer; the time stands still until it is told."""

    records: Records
    importer: Importer
    spool: Spool
    now: datetime
    systems: Configuration

    def arrive(self, *files: bytes, peer: str = "ct1") -> None:
        for content in files:
            dataset = dcmread(BytesIO(content), stop_before_pixels=True)
            self.arrive_raw(body_of(content), dataset, peer)

    def arrive_raw(self, body: bytes, dataset: Dataset, peer: str = "ct1") -> None:
        uid, sop_class = str(dataset.SOPInstanceUID), str(dataset.SOPClassUID)
        at = self.now.isoformat()
        coming = self.spool.receive(Origin(peer, "CT1", sop_class, uid, "1.2.840.10008.1.2.1", at))
        coming.write(body)
        coming.keep()

    def look(self, seconds: float = 0) -> None:
        self.now += timedelta(seconds=seconds)
        self.importer.run_once()

    def look_at(self, seconds: float) -> None:
        """Take in and decide, and import nothing."""
        self.now += timedelta(seconds=seconds)
        self.importer.take_in()

    def order(self, person: Person = AYSE, accession: str = ACCESSION, **more: Any) -> str:
        """A patient with an order; gives the id of the order."""
        with self.records.write(SYSTEM) as tx:
            patient_id = next(iter(patients.find_by_number(tx, person)), None) or patients.create(tx, person)
            content = OrderContent(accession=accession, modality="DX", scheduled_at=AT, **more)
            return place_order(tx, patient_id, content, "hbys")

    def studies(self) -> tuple[ReceivedView, ...]:
        with self.records.read() as tx:
            return receiving.list_received(tx, ReceivedState)

    def study(self) -> ReceivedView:
        (found,) = self.studies()
        return found

    def spooled(self) -> int:
        return len(list(self.spool.incoming()))


def body_of(content: bytes) -> bytes:
    """The data set of a file, without preamble and file meta information."""
    length = int.from_bytes(content[140:144], "little")
    return content[144 + length :]


@contextmanager
def hospital(
    folder: Path,
    *peers: dict[str, Any],
    routes: tuple[dict[str, Any], ...] = (),
    url: str | None = None,
    **listen: Any,
) -> Iterator[Hospital]:
    records = made_records(folder, url)
    systems = Configuration.model_validate(
        {"listen": listen, "peer": [PEER | one for one in peers] or [PEER], "route": routes}, context=folder
    )
    spool, settings = Spool(folder / FOLDER, records.vault), Settings(data_dir=folder)
    importer = Importer(records, settings, systems, spool, decoders(), lambda: made.now)
    made = Hospital(records, importer, spool, AT, systems)
    try:
        yield made
    finally:
        made.importer.close()
        records.close()


@contextmanager
def listening(made: Hospital) -> Iterator[int]:
    """The acceptor of a hospital in this process, with its worklist; gives the port."""
    worklist = partial(answer_worklist, made.records, ZoneInfo("Europe/Istanbul"))
    with socket.create_server(("127.0.0.1", 0)) as bound:
        acceptor = Acceptor(
            made.systems, bound, made.spool, lambda uids: imported(made.records, uids), worklist
        )
        thread = threading.Thread(target=acceptor.serve)
        thread.start()
        try:
            yield bound.getsockname()[1]
        finally:
            acceptor.stop(10)
            thread.join()
