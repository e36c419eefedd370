"""The modality worklist: scanners ask us (dcmtk's findscu), and we ask others (dcmtk's wlmscpfs)."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRLittleEndian
from sqlalchemy import select

from tests.integrations.dicom.importing import AYSE, hospital, listening
from tests.patience import PATIENCE
from tests.ports import free_port
from tests.programs import program
from tetkik.integrations.dicom import query
from tetkik.integrations.dicom.worklist import matches_wildcards, study_uid, take_worklist
from tetkik.records.audit_chain import Action
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.orders.orders import cancel_order, scheduled_orders
from tetkik.records.schema import AuditRow, Order
from tetkik.values import SYSTEM

_SAHIN = Person(name="GÖKÇE ŞAHİN", number="4712", birth_date="19700101")
_KEYS = (
    "AccessionNumber",
    "PatientName",
    "PatientID",
    "StudyInstanceUID",
    "RequestedProcedureDescription",
    "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate",
    "ScheduledProcedureStepSequence[0].ScheduledStationAETitle",
)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """A hospital with three orders, one for another station, and a cancelled one."""
    with hospital(tmp_path_factory.mktemp("hospital")) as made:
        first = made.order(_SAHIN, "A1", procedure="Akciğer grafisi", station_ae="CT1")
        made.order(AYSE, "A2")
        made.order(AYSE, "A3", station_ae="OTHER")
        cancelled = made.order(_SAHIN, "A4")
        with made.records.write(SYSTEM) as tx:
            cancel_order(tx, cancelled)
        with listening(made) as port:
            yield made, port, first


def find(port: int, folder: Path, *keys: str) -> list[Dataset]:
    folder.mkdir()
    command = [program("findscu"), "-W", "-X", "-od", str(folder), "-aet", "CT1", "-aec", "TETKIK"]
    for key in keys:
        command += ["-k", key]
    subprocess.run([*command, "127.0.0.1", str(port)], check=True, capture_output=True)
    return sorted(
        (dcmread(file, force=True) for file in folder.glob("rsp*.dcm")), key=lambda one: one.AccessionNumber
    )


@pytest.mark.program("findscu")
@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ((), ["A1", "A2", "A3"]),
        (("ScheduledProcedureStepSequence[0].ScheduledStationAETitle=CT1",), ["A1", "A2"]),
        (("ScheduledProcedureStepSequence[0].Modality=MR",), []),
        (("ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate=20261120",), ["A1", "A2", "A3"]),
        (("ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate=20261121-",), []),
        (("PatientName=sahin*",), ["A1"]),
        (("PatientID=4711", "AccessionNumber=A3"), ["A3"]),
    ],
)
def test_a_scanner_gets_the_orders_that_it_asks_for(served, tmp_path, asked, found):
    plain = [key for key in _KEYS if key not in {one.partition("=")[0] for one in asked}]
    answers = find(served[1], tmp_path / "answers", *plain, *asked)
    assert [one.AccessionNumber for one in answers] == found


@pytest.mark.program("findscu")
def test_an_entry_says_who_and_what_in_a_character_set_of_old_scanners(served, tmp_path):
    made, port, order_id = served
    (entry,) = find(port, tmp_path / "old", *_KEYS, "AccessionNumber=A1")
    assert entry.SpecificCharacterSet == "ISO_IR 148"
    assert (entry.PatientName, entry.PatientID) == ("ŞAHİN^GÖKÇE", "4712")
    assert entry.StudyInstanceUID == study_uid(order_id)
    assert entry.RequestedProcedureDescription == "Akciğer grafisi"
    step = entry.ScheduledProcedureStepSequence[0]
    assert (step.ScheduledProcedureStepStartDate, step.ScheduledStationAETitle) == ("20261120", "CT1")
    assert "PatientBirthDate" not in entry  # nobody asked for it
    (entry,) = find(port, tmp_path / "new", *_KEYS, "SpecificCharacterSet=ISO_IR 192", "AccessionNumber=A1")
    assert (entry.SpecificCharacterSet, entry.PatientName) == ("ISO_IR 192", "ŞAHİN^GÖKÇE")
    with made.records.read() as tx:
        rows = tx.session.scalars(select(AuditRow.content).where(AuditRow.action == Action.WORKLIST_SENT))
        assert any('"count":1,"peer":"ct1"' in (row or "") for row in rows)


@pytest.mark.program("findscu")
def test_a_query_that_makes_no_sense_gets_a_failure_and_the_next_an_answer(served, tmp_path):
    _, port, _ = served
    key = "ScheduledProcedureStepSequence[0].ScheduledProcedureStepStartDate"
    assert find(port, tmp_path / "bad", "AccessionNumber", f"{key}=whenever") == []
    assert len(find(port, tmp_path / "good", "AccessionNumber")) == 3


def worklist_entry(folder: Path, number: str, name: str, accession: str, declared: str, codec: str) -> None:
    """A file for dcmtk's provider of worklists; the name may be in another character set than declared."""
    step, entry = Dataset(), Dataset()
    step.Modality, step.ScheduledStationAETitle = "DX", "CT1"
    tomorrow = datetime.now(ZoneInfo("Europe/Istanbul")) + timedelta(days=1)
    step.ScheduledProcedureStepStartDate, step.ScheduledProcedureStepStartTime = (
        f"{tomorrow:%Y%m%d}",
        "093000",
    )
    step.ScheduledProcedureStepDescription, step.ScheduledProcedureStepID = "TORAKS PA", "S1"
    step.ScheduledPerformingPhysicianName = ""
    entry.SpecificCharacterSet = declared
    entry.AccessionNumber, entry.PatientName, entry.PatientID = accession, "N" * 24, number
    entry.PatientBirthDate, entry.PatientSex = "19800101", "F"
    entry.StudyInstanceUID, entry.RequestedProcedureID = f"2.25.{number}1", f"R{accession}"
    entry.RequestedProcedureDescription = "TORAKS PA"
    entry.ScheduledProcedureStepSequence = [step]
    entry.file_meta = Dataset()  # type: ignore[assignment]
    entry.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = folder / f"{accession}.wl"
    entry.save_as(file, enforce_file_format=False, implicit_vr=False, little_endian=True)
    file.write_bytes(file.read_bytes().replace(b"N" * 24, name.encode(codec).ljust(24)))


@contextmanager
def provider(folder: Path) -> Iterator[int]:
    """dcmtk's provider of worklists over `folder`; gives the port."""
    place = folder / "HBYS"
    place.mkdir(exist_ok=True)
    (place / "lockfile").touch()
    port = free_port()
    running = subprocess.Popen([program("wlmscpfs"), "-dfp", str(folder), "-dfr", str(port)])
    try:
        end = time.monotonic() + PATIENCE
        while subprocess.run(
            [program("findscu").replace("findscu", "echoscu"), "-aec", "HBYS", "127.0.0.1", str(port)],
            capture_output=True,
            check=False,
        ).returncode:
            assert time.monotonic() < end and running.poll() is None
            time.sleep(0.05)
        yield port
    finally:
        running.terminate()
        running.wait()


@pytest.mark.program("wlmscpfs")
def test_orders_are_taken_from_another_worklist_once_and_repaired(tmp_path):
    folder = tmp_path / "worklists"
    (folder / "HBYS").mkdir(parents=True)
    worklist_entry(folder / "HBYS", "4711", "YILDIZ^AYŞE", "A1", "ISO_IR 192", "utf-8")
    worklist_entry(folder / "HBYS", "4712", "ŞAHİN^GÖKÇE", "A2", "ISO_IR 100", "iso8859_9")
    worklist_entry(folder / "HBYS", "4713", "DEMİR^ALİ", "A3", "ISO_IR 192", "utf-8")
    with provider(folder) as port:
        peer = {"name": "hbys", "ae_title": "HBYS", "host": "127.0.0.1", "port": port, "worklist": True}
        with hospital(tmp_path / "hospital", {**peer, "character_set": "ISO_IR 148"}) as made:
            with made.records.write(SYSTEM) as tx:
                patients.create(tx, Person(name="BÜLENT KAYA", number="4713", birth_date="19500505"))
            (hbys,) = made.systems.peers
            zone = ZoneInfo("Europe/Istanbul")
            assert take_worklist(made.records, made.systems, hbys, zone) == 2  # 4713 is somebody else here
            assert take_worklist(made.records, made.systems, hbys, zone) == 0
            with made.records.read() as tx:
                taken = scheduled_orders(tx, since=datetime.now(UTC))
                assert [(one.content.accession, one.content.modality) for one in taken] == [
                    ("A1", "DX"),
                    ("A2", "DX"),
                ]
                assert [patients.load_person(tx, one.patient_id).name for one in taken] == [
                    "AYŞE YILDIZ",
                    "GÖKÇE ŞAHİN",
                ]
                assert tx.count(Order) == 2


@pytest.mark.parametrize(
    ("asked", "fits"),
    [
        ("yilmaz*", True),
        ("*AYŞE", True),
        ("Y?LMAZ^A*E", True),
        ("**MAZ**A*", True),
        ("YILMAZ", False),
        ("*AYŞE?", False),
        ("AYŞE*YILMAZ", False),
        ("YILMAZ^AYŞE*AYŞE", False),
    ],
)
def test_wildcards_stand_for_any_letters(asked, fits):
    assert matches_wildcards(asked, "YILMAZ^AYŞE") is fits


@pytest.mark.attack
@pytest.mark.parametrize("asked", ["*" * 190 + "#", "*A" * 90 + "#", "*" * 1_000_000])
def test_many_wildcards_take_no_time(asked):
    assert not matches_wildcards(asked, "A" * 64)


def test_an_entry_changes_no_order_of_another_patient(tmp_path, monkeypatch):
    """Many systems number the procedures of each study from 1, and one request may have several."""

    def entry(number: str, accession: str, requested: str, placer: str = "") -> Dataset:
        made, step = Dataset(), Dataset()
        made.PatientID, made.PatientName, made.PatientBirthDate = number, f"HASTA^N{number}", "19700101"
        made.AccessionNumber, made.RequestedProcedureID = accession, requested
        made.PlacerOrderNumberImagingServiceRequest = placer
        step.Modality, step.ScheduledProcedureStepStartTime = "DX", "1000"
        step.ScheduledProcedureStepStartDate = f"{datetime.now(UTC) + timedelta(days=1):%Y%m%d}"
        made.ScheduledProcedureStepSequence = [step]
        return made

    entries = [
        *(entry("1", "ACC1", "1"), entry("2", "ACC2", "1"), entry("1", "ACC1", "2")),
        *(entry("1", "ACC3", "1", "P1"), entry("2", "ACC4", "1", "P1")),
    ]
    monkeypatch.setattr(query, "find_worklist", lambda *_: iter(entries))
    with hospital(tmp_path, {"name": "ris", "ae_title": "RIS", "host": "x", "worklist": True}) as made:
        (ris,) = made.systems.peers
        zone = ZoneInfo("Europe/Istanbul")
        assert take_worklist(made.records, made.systems, ris, zone) == 4
        assert take_worklist(made.records, made.systems, ris, zone) == 0
        with made.records.read() as tx:
            found = sorted(
                (patients.load_person(tx, one.patient_id).number, one.content.accession)
                for one in scheduled_orders(tx)
            )
    assert found == [("1", "ACC1"), ("1", "ACC1"), ("1", "ACC3"), ("2", "ACC2")]
