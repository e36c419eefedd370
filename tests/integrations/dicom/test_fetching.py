"""What an archive is asked for: how many images a study has, and earlier studies of the patient."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from math import inf
from typing import Any

import httpx
import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.config import IGNORE
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, build_context, evt
from sqlalchemy import select

from tests.integrations.archives import orthanc
from tests.integrations.dicom.importing import PEER, a_file, hospital, listening
from tests.patience import PATIENCE
from tests.programs import program
from tetkik.integrations import importing
from tetkik.integrations.dicom import priors as web_archive
from tetkik.integrations.dicom import query
from tetkik.integrations.dicom.query import STUDY_FIND, STUDY_MOVE, count_images, find_studies
from tetkik.integrations.dicomweb import DicomwebError
from tetkik.integrations.systems import Configuration
from tetkik.records.audit_chain import Action
from tetkik.records.schema import AuditRow, Case, Image, Job
from tetkik.settings import Settings
from tetkik.values import CaseState, ReceivedState

_DX = "1.2.840.10008.5.1.4.1.1.1.1"


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


class Archive:
    """An archive with C-FIND and C-MOVE over a few files, told where to send."""

    def __init__(self, *files: bytes) -> None:
        self.datasets = [dcmread(BytesIO(content)) for content in files]
        self.counts: dict[str, int] = {}
        self.to = 0
        self.port = 0
        self.moved: list[str] = []
        self.sends: dict[str, str] = {}
        """What its files say otherwise than its answers."""

    def find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        query = event.identifier
        seen = set()
        for one in self.datasets:
            uid = str(one.StudyInstanceUID)
            wanted = query.get("StudyInstanceUID") in ("", None, uid)
            if uid in seen or not wanted or query.get("PatientID") not in ("", None, one.PatientID):
                continue
            seen.add(uid)
            answer = Dataset()
            answer.SpecificCharacterSet = "ISO_IR 192"
            answer.StudyInstanceUID, answer.PatientName = uid, one.PatientName
            answer.PatientID, answer.PatientBirthDate = one.PatientID, one.PatientBirthDate
            answer.StudyDate, answer.ModalitiesInStudy = one.StudyDate, one.Modality
            answer.StudyDescription = one.StudyDescription
            answer.NumberOfStudyRelatedInstances = self.counts.get(uid, 1)
            yield 0xFF00, answer

    def move(self, event: Any) -> Iterator[Any]:
        uid = event.identifier.StudyInstanceUID
        self.moved.append(uid)
        found = [one for one in self.datasets if uid == one.StudyInstanceUID]
        yield "127.0.0.1", self.to, {"contexts": [build_context(_DX, ExplicitVRLittleEndian)]}
        yield len(found)
        for one in found:
            for keyword, value in self.sends.items():
                setattr(one, keyword, value)
            yield 0xFF00, one


@contextmanager
def serving(archive: Archive) -> Iterator[None]:
    entity = AE("PACS")
    entity.add_supported_context(STUDY_FIND)
    entity.add_supported_context(STUDY_MOVE)
    handlers: Any = [(evt.EVT_C_FIND, archive.find), (evt.EVT_C_MOVE, archive.move)]
    server = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    assert server is not None and server.socket is not None
    archive.port = server.socket.getsockname()[1]
    try:
        yield
    finally:
        server.shutdown()


def _pacs(archive: Archive) -> dict[str, Any]:
    return {"name": "pacs", "ae_title": "PACS", "host": "127.0.0.1", "port": archive.port, "priors": True}


@pytest.mark.program("storescu")
def test_from_a_scanner_into_a_case_with_the_number_that_the_source_says(tmp_path, monkeypatch):
    monkeypatch.setattr(importing, "_ANSWER_SECONDS", PATIENCE)
    archive = Archive(a_file(1))
    uid = str(archive.datasets[0].StudyInstanceUID)
    archive.counts[uid] = 2
    with serving(archive):
        ct1 = {"host": "127.0.0.1", "port": archive.port, "ae_title": "PACS", "expected_count": True}
        with hospital(tmp_path, ct1) as made, listening(made) as port:
            made.order()
            for number in (1, 2):
                (tmp_path / f"{number}.dcm").write_bytes(a_file(number))
            command = [program("storescu"), "-aet", "PACS", "-aec", "TETKIK", "127.0.0.1", str(port)]
            subprocess.run([*command, str(tmp_path / "1.dcm")], check=True, capture_output=True)
            made.now = max(file.received_at for file in made.spool.incoming())
            made.look(70)
            assert (made.study().state, made.study().expected) == (ReceivedState.RECEIVING, 2)
            subprocess.run([*command, str(tmp_path / "2.dcm")], check=True, capture_output=True)
            made.look()
            assert (made.study().state, made.study().imported) == (ReceivedState.IMPORTED, 2)
            with made.records.read() as tx:
                assert tx.count(Job) == 2


@pytest.mark.attack
def test_a_source_that_is_silent_keeps_no_study_waiting(tmp_path, monkeypatch):
    """It is asked one question at a time, and nobody waits for its answer."""
    silent, asked = threading.Event(), []

    def count(*question):
        asked.append(question)
        silent.wait(PATIENCE)

    monkeypatch.setattr(importing, "_ANSWER_SECONDS", 0.01)
    monkeypatch.setattr(query, "count_images", count)
    with hospital(tmp_path, {"host": "127.0.0.1", "expected_count": True}) as made:
        made.arrive(a_file(1, key="A1"), a_file(1, key="A2"))
        try:
            made.look(70)
            assert [one.state for one in made.studies()] == [ReceivedState.DOUBTFUL] * 2
            assert len(asked) == 1
        finally:
            silent.set()
            made.importer._counting.shutdown()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # pynetdicom leaves the socket
def test_a_source_that_is_not_there_knows_no_number():
    systems = Configuration.model_validate(
        {"listen": {}, "peer": [PEER | {"host": "127.0.0.1", "port": 1, "expected_count": True}]}
    )
    with pytest.raises(query.Unanswered):
        count_images(systems, systems.peers[0], "2.25.1")
    with pytest.raises(query.Unanswered):
        find_studies(systems, systems.peers[0], "4711")


def test_relevant_earlier_studies_come_into_a_closed_case_of_the_patient(tmp_path):
    """No CT, knee or later one, none older than two others, none of another person of that number."""
    archive = Archive(
        a_file(1, key="P1", year="2024"),
        a_file(1, key="P2", year="2025"),
        a_file(1, key="P3", year="2023"),
        a_file(1, key="CT", year="2025", modality="CT"),
        a_file(1, key="KNEE", year="2025", description="Diz grafisi"),
        a_file(1, key="OTHER", year="2025", name="KAYA^MEHMET", birth_date="19500505"),
        a_file(1, key="LATER", year="2027"),
    )
    with serving(archive):
        pacs = _pacs(archive) | {"prior_count": 2}
        with hospital(tmp_path, {"priors": False}, pacs) as made, listening(made) as port:
            archive.to = port
            made.order()
            made.arrive(a_file(1))
            made.look(61)
            until(lambda: made.spooled() == 2)
            (study,) = (one for one in made.studies() if one.prior_of is None)
            uids = {str(one.StudyInstanceUID): one.StudyDate for one in archive.datasets}
            assert sorted(uids[uid] for uid in set(archive.moved)) == ["20241120", "20251120"]
            made.now = max(file.received_at for file in made.spool.incoming())
            made.look(61)
            priors = [one for one in made.studies() if one.prior_of is not None]
            assert [one.state for one in priors] == [ReceivedState.IMPORTED] * 2
            with made.records.read() as tx:
                states = {tx.session.get_one(Case, one.case_id or "").state for one in priors}
                assert states == {CaseState.CLOSED}
                assert {one.patient_id for one in priors} == {study.patient_id}
                assert (tx.count(Image), tx.count(Job)) == (3, 1)  # no model reads an earlier study
                assert tx.session.scalars(
                    select(AuditRow.content).where(AuditRow.action == Action.STUDIES_FETCHED)
                ).first()


def test_an_archive_that_sends_another_patient_than_it_said_is_refused(tmp_path):
    """Its answer names the patient; what it then sends is somebody else's of the same number."""
    archive = Archive(a_file(1, key="P1", year="2024"))
    with serving(archive), hospital(tmp_path, {}, _pacs(archive)) as made, listening(made) as port:
        archive.to = port
        made.order()
        archive.sends = {"PatientName": "KAYA^MEHMET", "PatientBirthDate": "19500505"}
        made.arrive(a_file(1))
        made.look(61)
        until(lambda: made.spooled() == 1)
        made.now = max(file.received_at for file in made.spool.incoming())
        made.look(61)
        (prior,) = (one for one in made.studies() if one.prior_of is not None)
        assert (prior.state, prior.case_id, prior.imported) == (ReceivedState.REJECTED, None, 0)
        with made.records.read() as tx:
            assert (tx.count(Image), tx.count(Case)) == (1, 1)


@pytest.mark.program("orthanc")
def test_earlier_studies_come_by_dicomweb_from_an_archive_without_dicom(tmp_path):
    """With a password, each by its own, and nothing but what was asked for."""
    (tmp_path / "pacs.secret").write_text("gizli")
    login = {"AuthenticationEnabled": True, "RegisteredUsers": {"tetkik": "gizli"}}
    with orthanc(tmp_path, **login) as pacs:
        for content in (
            a_file(1, key="P1", year="2024"),
            a_file(2, key="P1", year="2024"),
            a_file(1, key="CT"),
        ):
            sent = httpx.post(f"{pacs.url}/instances", content=content, auth=("tetkik", "gizli"))
            assert sent.is_success
        web: dict[str, Any] = {"name": "web", "ae_title": None, "addresses": [], "allow": [], "priors": True}
        secret = {"dicomweb": f"{pacs.url}/dicom-web", "user": "tetkik", "secret_file": "pacs.secret"}
        with hospital(tmp_path, {}, web | secret) as made:
            made.order()
            made.arrive(a_file(1))
            made.look(61)
            until(lambda: made.spooled() == 2)
            made.arrive(a_file(1, key="X9", year="2024"), peer="web")  # nobody asked for that
            made.now = max(file.received_at for file in made.spool.incoming())
            made.look(61)
            (prior,) = (one for one in made.studies() if one.prior_of is not None)
            assert (prior.state, prior.peer, prior.imported) == (ReceivedState.IMPORTED, "web", 2)
            assert [one.state for one in made.studies() if one.refused] == [ReceivedState.FAILED]
            with made.records.read() as tx:
                assert tx.session.get_one(Case, prior.case_id or "").state is CaseState.CLOSED
                assert (tx.count(Image), tx.count(Job)) == (3, 1)


@pytest.mark.attack
@pytest.mark.parametrize(
    ("uid", "content"),
    [
        ("1.2/../../patients", a_file(1)),
        ("..", a_file(1)),
        (".", a_file(1)),
        ("", a_file(1)),
        ("1.2.3", b""),
        ("1.2.3", a_file(1)[:150]),
        ("1.2.3", a_file(1).replace(b"1.2.840.10008.5.1.4.1.1.1.1", b"1.2.840.10008.5.1.4.9.9.9.9")),
        ("1.2.3", a_file(1)[:140] + b"\xff\xff\xff\xff" + a_file(1)[144:]),
    ],
)
def test_an_archive_cannot_choose_addresses_or_give_what_is_no_object(tmp_path, monkeypatch, uid, content):
    listed = Dataset()
    listed.SeriesInstanceUID = "1.2.3"
    listed.add(DataElement(0x00080018, "UI", uid, validation_mode=IGNORE))
    asked: list[str] = []
    monkeypatch.setattr(web_archive, "find", lambda *_: (listed,))

    def fetch(_systems: object, _peer: object, place: str, *more: object) -> tuple[bytes, ...]:
        asked.append(place)
        return (content,)

    monkeypatch.setattr(web_archive, "fetch", fetch)
    with hospital(tmp_path) as made:
        with pytest.raises(DicomwebError):
            web_archive.fetch_study(made.systems, made.systems.peers[0], "1.2", Settings(), made.spool, inf)
        assert made.spooled() == 0 and list(made.spool.folder.iterdir()) == []
    assert not any("/." in place for place in asked)


@pytest.mark.attack
def test_an_archive_that_gives_a_study_too_slowly_is_left(tmp_path, monkeypatch):
    listed = Dataset()
    listed.SeriesInstanceUID = listed.SOPInstanceUID = "1.2.3"
    monkeypatch.setattr(web_archive, "find", lambda *_: (listed,))
    monkeypatch.setattr(web_archive, "fetch", lambda *_: pytest.fail("asked"))
    archive = Archive(a_file(1, key="P1"), a_file(2, key="P1"))
    with serving(archive), hospital(tmp_path, {}, _pacs(archive)) as made, listening(made) as port:
        archive.to = port
        _, pacs = made.systems.peers
        with pytest.raises(DicomwebError):
            web_archive.fetch_study(made.systems, pacs, "1.2", Settings(), made.spool, -inf)
        assert not query.move_study(made.systems, pacs, str(archive.datasets[0].StudyInstanceUID), -inf)
