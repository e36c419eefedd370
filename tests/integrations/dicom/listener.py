"""An acceptor in this process, over a spool of its own, and what senders and tests need around it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

from pydicom import Dataset, dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE
from pynetdicom.transport import AssociationSocket
from structlog.testing import capture_logs

from tetkik.choices import Cipher
from tetkik.integrations.dicom.acceptor import Acceptor, Worklist
from tetkik.integrations.dicom.commitment import STORAGE_COMMITMENT, VERIFICATION
from tetkik.integrations.dicom.spool import ReceivedFile, Spool
from tetkik.integrations.systems import Configuration
from tetkik.records.vault import KeyRing, Vault, VaultKeys

CR_IMAGE = UID("1.2.840.10008.5.1.4.1.1.1")
NAME = "YILDIZ^AYSE"
PEER = {
    "name": "ct1",
    "ae_title": "CT1",
    "addresses": ["127.0.0.1"],
    "allow": ["store", "echo", "commit"],
}


def new_vault() -> Vault:
    """Keys of no installation."""
    keys = VaultKeys.of(bytes(32), KeyRing.fresh())
    return Vault(keys, lambda connection: keys, Cipher.AES_256_GCM)


def image(uid: str | None = None, size: int = 20_000, fill: bytes = b"\x07") -> Dataset:
    """A CR image of so many bytes; its pixels are no picture."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CR_IMAGE, uid or generate_uid()
    made.StudyInstanceUID, made.SeriesInstanceUID = generate_uid(), generate_uid()
    made.PatientName, made.PatientID, made.Modality = NAME, "4711", "CR"
    made.add_new(0x7FE00010, "OW", fill * size)
    made.file_meta = Dataset()  # type: ignore[assignment]
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return made


@dataclass
class Listener:
    port: int
    spool: Spool
    lines: list[Any]
    """What the log said."""
    imported: set[str] = field(default_factory=set)

    def files(self) -> list[ReceivedFile]:
        return list(self.spool.incoming())

    def names(self) -> list[str]:
        return sorted(path.name for path in self.spool.folder.iterdir())

    def line(self, event: str) -> Any:
        """The one line of that kind."""
        (found,) = (line for line in self.lines if line["event"] == event)
        return found


@contextmanager
def listening(
    folder: Path, peer: dict[str, object] | None = None, *, worklist: Worklist | None = None, **own: object
) -> Iterator[Listener]:
    systems = Configuration.model_validate({"listen": own, "peer": [PEER | (peer or {})]}, context=folder)
    assert systems.listen is not None
    spool = Spool(
        folder / "incoming",
        new_vault(),
        reserve_bytes=int(str(own.get("reserve_bytes", 0))),
        object_bytes=systems.listen.object_bytes,
    )
    with capture_logs() as lines, socket.create_server(("127.0.0.1", 0)) as bound:
        made = Listener(bound.getsockname()[1], spool, lines)

        def imported(uids: Collection[str]) -> dict[str, bool]:
            return dict.fromkeys(made.imported & set(uids), True)

        acceptor = Acceptor(systems, bound, spool, imported, worklist)
        thread = threading.Thread(target=acceptor.serve, daemon=True)
        thread.start()
        try:
            yield made
        finally:
            acceptor.stop(10)
            thread.join()


@contextmanager
def association(port: int, *, ae_title: str = "CT1", called: str = "TETKIK", **more: Any) -> Iterator[Any]:
    """An association of a sender; whether it stands is to be asked."""
    ae = AE(ae_title)
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    for uid in (CR_IMAGE, VERIFICATION, STORAGE_COMMITMENT):
        ae.add_requested_context(uid, ExplicitVRLittleEndian)
    made = ae.associate("127.0.0.1", port, ae_title=called, **more)
    try:
        yield made
    finally:
        if made.is_established:
            made.release()


def send(port: int, *images: Dataset) -> list[int]:
    """The status of each."""
    with association(port) as made:
        assert made.is_established
        return [made.send_c_store(one).Status for one in images]


def close_sockets(self: AssociationSocket) -> None:
    """What pynetdicom forgets where nobody answered: in place of its `_shutdown_socket`."""
    assert self.socket is not None
    with suppress(OSError):
        self.socket.shutdown(socket.SHUT_RDWR)
    self.socket.close()


def read(file: ReceivedFile) -> Dataset:
    return dcmread(BytesIO(file.open()))
