"""Storage commitment (PS3.4 annex J): success for what is safe, 0112H for the rest, reported either way."""

from __future__ import annotations

import queue
from types import SimpleNamespace
from typing import Any

import pytest
from pydicom import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, evt

from tests.integrations.dicom.listener import CR_IMAGE, association, image, listening, send
from tests.patience import PATIENCE
from tetkik.integrations.dicom.commitment import STORAGE_COMMITMENT, Commitment
from tetkik.integrations.systems import Configuration

INSTANCE = "1.2.840.10008.1.20.1.1"


def asking(*uids: str) -> Dataset:
    made = Dataset()
    made.TransactionUID = generate_uid()
    made.ReferencedSOPSequence = []
    for uid in uids:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CR_IMAGE, uid
        made.ReferencedSOPSequence.append(item)
    return made


def safe(report: Dataset) -> set[str]:
    return {item.ReferencedSOPInstanceUID for item in report.get("ReferencedSOPSequence", ())}


def failed(report: Dataset) -> dict[str, int]:
    return {item.ReferencedSOPInstanceUID: item.FailureReason for item in report.get("FailedSOPSequence", ())}


@pytest.fixture
def reports():
    """What is reported to us, and its handler."""
    told: queue.Queue[tuple[int, Dataset]] = queue.Queue()

    def handle(event):
        told.put((event.event_type, event.event_information))
        return 0, None

    return told, [(evt.EVT_N_EVENT_REPORT, handle)]


def test_on_the_same_association(tmp_path, reports):
    told, handlers = reports
    here, elsewhere, missing = image(), generate_uid(), generate_uid()
    with listening(tmp_path) as listener:
        listener.imported.add(elsewhere)
        assert send(listener.port, here) == [0]
        with association(listener.port, evt_handlers=handlers) as made:
            question = asking(here.SOPInstanceUID, elsewhere, missing)
            status, _ = made.send_n_action(question, 1, STORAGE_COMMITMENT, INSTANCE)
            assert status.Status == 0
            kind, report = told.get(timeout=PATIENCE)
            assert (kind, report.TransactionUID) == (2, question.TransactionUID)
            assert safe(report) == {here.SOPInstanceUID, elsewhere}
            assert failed(report) == {missing: 0x0112}

            made.send_n_action(asking(here.SOPInstanceUID), 1, STORAGE_COMMITMENT, INSTANCE)
            kind, report = told.get(timeout=PATIENCE)
            assert kind == 1 and "FailedSOPSequence" not in report


def test_on_an_association_of_our_own(tmp_path, reports):
    told, handlers = reports
    ae = AE("CT1")
    ae.add_supported_context(STORAGE_COMMITMENT, ExplicitVRLittleEndian, scu_role=True, scp_role=True)
    server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None
    try:
        ct1 = {"host": "127.0.0.1", "port": server.server_address[1]}
        with listening(tmp_path, ct1) as listener:
            with association(listener.port) as made:
                made.send_n_action(asking("1.2.3"), 1, STORAGE_COMMITMENT, INSTANCE)
            kind, report = told.get(timeout=PATIENCE)
            assert kind == 2 and failed(report) == {"1.2.3": 0x0112}
    finally:
        server.shutdown()


def test_what_is_removed_or_half_received_is_not_promised(tmp_path, reports):
    told, handlers = reports
    one = image()
    with listening(tmp_path) as listener:
        send(listener.port, one)
        (file,) = listener.files()
        file.path.rename(file.path.with_suffix(".part"))
        with association(listener.port, evt_handlers=handlers) as made:
            made.send_n_action(asking(one.SOPInstanceUID), 1, STORAGE_COMMITMENT, INSTANCE)
            _, report = told.get(timeout=PATIENCE)
            assert failed(report) == {one.SOPInstanceUID: 0x0112}
        listener.spool.folder.joinpath(file.path.stem + ".part").unlink()


def test_a_database_that_is_away_takes_no_place_for_good():
    def away(_uids):
        raise OSError

    nothing: Any = SimpleNamespace(held=lambda _uids: set())
    event: Any = SimpleNamespace(action_type=1, assoc=None, action_information=asking("1.2.3"))
    peer: Any = SimpleNamespace(name="ct1")
    made = Commitment(Configuration(), nothing, away)
    for _ in range(100):
        with pytest.raises(OSError):
            made.request(event, peer)


@pytest.mark.parametrize(("action", "status"), [(2, 0x0123), (1, 0x0115)])
def test_what_is_no_request_is_refused(tmp_path, action, status):
    with listening(tmp_path) as listener, association(listener.port) as made:
        answer, _ = made.send_n_action(asking(), action, STORAGE_COMMITMENT, INSTANCE)
        assert answer.Status == status
