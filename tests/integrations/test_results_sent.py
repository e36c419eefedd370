"""Objects of a report are stored in real archives, and every refusal is told from every other."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from io import BytesIO

import pydicom
import pytest
from pydicom.uid import Comprehensive3DSRStorage, EncapsulatedPDFStorage, SecondaryCaptureImageStorage

from tests.documents.sample import document, picture
from tests.integrations.archives import archive, orthanc, storescp, systems, web
from tests.patience import PATIENCE
from tests.ports import free_port
from tetkik.documents.capture import to_capture
from tetkik.documents.encapsulated_pdf import to_encapsulated_pdf
from tetkik.documents.sr import to_sr
from tetkik.integrations.calling import Answer, CallOutcome
from tetkik.integrations.dicom.query import store
from tetkik.integrations.dicomweb import DicomwebError, fetch, find, stow
from tetkik.settings import Settings
from tetkik.values import ReportState

SIGNED = document(ReportState.FINAL)
SIGNED = replace(SIGNED, image=picture(), heatmap=picture("RGB", (200, 80, 40)), heatmap_label="Effusion")
OBJECTS = (to_sr(SIGNED), to_encapsulated_pdf(SIGNED), to_capture(SIGNED))
SETTINGS = Settings()
WANTED = (Comprehensive3DSRStorage, EncapsulatedPDFStorage, SecondaryCaptureImageStorage)


def uids(objects=OBJECTS):
    return [pydicom.dcmread(BytesIO(one)).SOPInstanceUID for one in objects]


def stored(peer, objects=OBJECTS):
    chosen = systems(peer)
    return store(chosen, chosen.peers[0], objects)


def stowed(peer, objects=OBJECTS):
    chosen = systems(peer)
    return stow(chosen, chosen.peers[0], objects, SETTINGS)


@pytest.fixture(scope="module")
def pacs(tmp_path_factory):
    with orthanc(tmp_path_factory.mktemp("orthanc")) as made:
        yield made


@pytest.mark.program("orthanc")
@pytest.mark.parametrize("way", ["dimse", "web"])
def test_an_archive_has_the_same_objects_however_often_they_are_sent(pacs, way):
    pacs.clear()
    for _ in range(2):
        answer = stored(pacs.peer()) if way == "dimse" else stowed(pacs.peer(web=True))
        assert answer.outcome is CallOutcome.DONE, answer
        assert answer.status == ("0000H" if way == "dimse" else "HTTP 200, 0000H")
    found = pacs.instances()
    assert sorted(found) == sorted(uids())
    kept = pydicom.dcmread(BytesIO(pacs.file(found[uids()[0]]["ID"])))
    assert kept.PatientName == "ŞAHİN^Gülçin Işıl^^Uzm." and kept.SOPClassUID == Comprehensive3DSRStorage
    pdf = pydicom.dcmread(BytesIO(pacs.file(found[uids()[1]]["ID"])))
    assert pdf.EncapsulatedDocument[: pdf.EncapsulatedDocumentLength].startswith(b"%PDF-")


@pytest.mark.program("orthanc")
def test_what_an_archive_has_is_found_and_fetched_by_dicomweb(pacs):
    pacs.clear()
    assert stored(pacs.peer()).outcome is CallOutcome.DONE
    chosen = systems(pacs.peer(web=True))
    peer = chosen.peers[0]
    study = pydicom.dcmread(BytesIO(OBJECTS[0])).StudyInstanceUID
    (known,) = find(chosen, peer, "studies", {"StudyInstanceUID": study}, SETTINGS)
    assert known.PatientName == "ŞAHİN^Gülçin Işıl^^Uzm."
    assert find(chosen, peer, "studies", {"StudyInstanceUID": "2.25.1"}, SETTINGS) == ()
    files = fetch(chosen, peer, f"studies/{study}", 10_000_000, SETTINGS)
    assert sorted(uids(files)) == sorted(uids())
    with pytest.raises(DicomwebError, match="more than 1000 bytes"):
        fetch(chosen, peer, f"studies/{study}", 1000, SETTINGS)
    with pytest.raises(DicomwebError, match="HTTP 404"):
        fetch(chosen, peer, "studies/2.25.1", 1000, SETTINGS)


@pytest.mark.program("orthanc")
def test_a_called_ae_title_that_the_archive_does_not_have_is_refused_for_good(pacs):
    until = time.monotonic() + PATIENCE
    answer = stored(pacs.peer() | {"ae_title": "WRONG"})
    while answer.outcome is CallOutcome.TRANSIENT and time.monotonic() < until:  # as the outbox does
        answer = stored(pacs.peer() | {"ae_title": "WRONG"})
    assert answer == Answer.permanent("A-ASSOCIATE-RJ: Rejected Permanent, Called AE title not recognised")


@pytest.mark.program("storescp")
def test_storescp_stores_them_and_refuses_as_it_is_told_to(tmp_path):
    with storescp(tmp_path) as peer:
        assert stored(peer) == Answer.done("0000H")
    assert sorted(pydicom.dcmread(file).SOPInstanceUID for file in tmp_path.iterdir()) == sorted(uids())
    with storescp(tmp_path, "--refuse") as peer:
        # It ends the connection with the refusal, and whichever is seen first, nothing counts as stored.
        assert stored(peer).outcome is not CallOutcome.DONE
    with storescp(tmp_path, "--abort-after") as peer:
        assert stored(peer).outcome is CallOutcome.TRANSIENT


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        (0x0000, CallOutcome.DONE),
        (0xB000, CallOutcome.DONE),  # coerced
        (0xB007, CallOutcome.DONE),
        (0x0111, CallOutcome.DONE),  # it has it already
        (0xA700, CallOutcome.TRANSIENT),  # full
        (0x0110, CallOutcome.TRANSIENT),
        (0xA900, CallOutcome.PERMANENT),
        (0xC123, CallOutcome.PERMANENT),
        (0x0124, CallOutcome.PERMANENT),
    ],
)
def test_each_status_of_an_archive_is_kept_and_understood(status, outcome):
    with archive(*WANTED) as told:
        told.status, told.comment = status, "" if status == 0 else "the archive's own words"
        answer = stored(told.peer())
    assert answer.outcome is outcome
    assert answer.status == " ".join(filter(None, (f"{status:04X}H", told.comment)))
    # Nothing more is sent once one was not stored.
    assert len(told.got) == (3 if outcome is CallOutcome.DONE else 1)


def test_an_archive_that_knows_implicit_vr_alone_gets_the_same_object():
    with archive(*WANTED, implicit=True) as told:
        assert stored(told.peer()) == Answer.done("0000H")
    assert told.got == uids()


def test_an_archive_without_structured_reports_says_so():
    with archive(SecondaryCaptureImageStorage) as told:
        answer = stored(told.peer())
    assert answer == Answer.permanent("no presentation context for Comprehensive 3D SR Storage")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_dead_peer_one_that_hangs_up_and_one_that_is_busy_are_tried_again():
    dead = {"name": "dead", "ae_title": "DEAD", "host": "127.0.0.1", "port": free_port()}
    assert stored(dead) == Answer.unavailable("no connection: Connection refused")
    with archive(*WANTED) as told:
        told.hang_up = True
        assert stored(told.peer()).outcome is CallOutcome.TRANSIENT
    with archive(*WANTED, maximum_associations=1) as told, told.occupied():
        assert stored(told.peer()) == Answer.unavailable(
            "A-ASSOCIATE-RJ: Rejected Transient, Local limit exceeded"
        )


def _failed(reason, name="00081198"):
    return json.dumps({name: {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [reason]}}]}}).encode()


def _kept(many=3, **more):
    items = [{"00081155": {"vr": "UI", "Value": [uid]}} for uid in uids()[:many]]
    return json.dumps({"00081199": {"vr": "SQ", "Value": items}} | more).encode()


@pytest.mark.parametrize(
    ("status", "content", "expected"),
    [
        (200, _kept(), Answer.done("HTTP 200, 0000H")),
        (200, b"{}", Answer.transient("HTTP 200, not every object was named")),  # a proxy
        (202, _kept(2), Answer.transient("HTTP 202, not every object was named")),
        (200, _kept(**json.loads(_failed(0xA900, "0008119A"))), Answer.permanent("HTTP 200, A900H")),
        (202, _failed(0xA700), Answer.unavailable("HTTP 202, A700H")),
        (200, _failed(0x0110), Answer.transient("HTTP 200, 0110H")),
        (409, _failed(0x0122), Answer.permanent("HTTP 409, 0122H")),
        (409, b"<html>", Answer.permanent("HTTP 409, not in DICOM JSON")),
        (409, b"{}", Answer.permanent("HTTP 409, no reason given")),
        (200, b"[[[[", Answer.transient("HTTP 200, not in DICOM JSON")),
        (401, b"", Answer.permanent("HTTP 401")),
        (302, b"", Answer.permanent("HTTP 302")),
        (500, b"", Answer.transient("HTTP 500")),
        (503, b"", Answer.unavailable("HTTP 503", 120.0)),
    ],
)
def test_each_answer_of_a_dicomweb_server_is_kept_and_understood(status, content, expected):
    with web() as server:
        server.status, server.content = status, content
        server.headers |= {"Retry-After": "120"} if status == 503 else {}
        assert stowed(server.peer()) == expected


def test_the_token_of_a_peer_goes_along_and_nothing_of_the_patient_stands_in_the_address(tmp_path):
    (tmp_path / "tetkik-peer-web").write_text("geheim\n", "utf-8")
    with web() as server:
        chosen = systems(server.peer())
        stow(chosen, chosen.peers[0], OBJECTS, Settings(secrets_dir=tmp_path))
    ((method, path, headers, body),) = server.asked
    assert (method, path, headers["Authorization"]) == ("POST", "/dicom-web/studies", "Bearer geheim")
    assert body.count(b"Content-Type: application/dicom\r\n") == 3


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("text/html", b"<html>"),
        ("multipart/related", b"--x--"),
        ('multipart/related; boundary="a\nb"', b"--a--"),
        ("multipart/related; boundary=x", b"--x\r\nno end of headers"),
        ("multipart/related; boundary=x", b"--x\r\n\r\nno end"),
    ],
)
def test_what_is_no_multipart_answer_is_refused(kind, content):
    with web() as server:
        server.headers, server.content = {"Content-Type": kind.replace("\n", " ")}, content
        chosen = systems(server.peer())
        with pytest.raises(DicomwebError):
            fetch(chosen, chosen.peers[0], "studies/1", 1000, SETTINGS)
        with pytest.raises(DicomwebError):
            find(chosen, chosen.peers[0], "studies", {}, SETTINGS)


def test_results_do_not_leave_the_hospital_without_tls(monkeypatch):
    from tetkik.integrations import calling

    monkeypatch.setattr(calling, "addresses_of", lambda _: ("93.184.216.34",))
    assert stowed({"name": "far", "dicomweb": "http://pacs.example/dicom-web"}) == Answer.unavailable(
        "ConnectError"
    )
