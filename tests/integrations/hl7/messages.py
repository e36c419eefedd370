"""Invented messages of an HBYS, written from the standard; and the HBYS as the file of systems names it."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from tetkik.integrations.hl7.content import load_mapping
from tetkik.integrations.hl7.intake import Source, take_message
from tetkik.integrations.systems import HospitalSystem, Service
from tetkik.language import Language
from tetkik.records.cases import patients
from tetkik.records.cases.patients import Person
from tetkik.records.database import Records

ZONE = ZoneInfo("Europe/Istanbul")
TCKN = "10000000146"
MAPPING = load_mapping().model_copy(update={"departments": {"1500": "Göğüs Hastalıkları"}})


def adt(
    event: str = "A01",
    control: str = "1",
    at: str = "20261101120000",
    *,
    number: str = "4711",
    tckn: str = TCKN,
    name: str = "ŞAHİN^Gülçin^Işıl",
    born: str = "19610423",
    sex: str = "F",
    visit: str = "V77",
    version: str = "2.5.1",
    more: str = "",
    codec: str = "utf-8",
    declared: str = "UNICODE UTF-8",
) -> bytes:
    """ADT; `more` is a further segment."""
    kind = f"ADT^{event}^ADT_A01" if version == "2.5.1" else f"ADT^{event}"
    numbers = "~".join(
        text for value, text in ((number, f"{number}^^^HASTANE^PI"), (tckn, f"{tckn}^^^TC^NNTUR")) if value
    )
    lines = [
        f"MSH|^~\\&|HBYS|HASTANE|TETKIK||{at}||{kind}|{control}|P|{version}||||||{declared}",
        f"EVN|{event}|{at}",
        f"PID|1||{numbers}||{name}||{born}|{sex}|||||05321234567",
        *([more] if more else []),
        f"PV1|1|I|1500^^^HASTANE{'|' * 16}{visit}",
    ]
    return ("\r".join(lines) + "\r").encode(codec)


def orm(
    control: str = "NW",
    message: str = "20",
    *,
    order: str = "P1",
    accession: str = "ACC1",
    status: str = "",
    number: str = "4711",
    at: str = "20261101121500",
    version: str = "2.3.1",
    question: str = "Efüzyon?",
) -> bytes:
    """ORM^O01 for the chest radiograph of a patient."""
    lines = [
        f"MSH|^~\\&|HBYS|HASTANE|TETKIK||{at}||ORM^O01|{message}|P|{version}||||||8859/9",
        f"PID|1||{number}^^^HASTANE^PI||ŞAHİN^Gülçin^Işıl||19610423|F",
        "PV1|1|O|1500",
        f"ORC|{control}|{order}|||{status}",
        f"OBR|1|{order}||PA-AKC^PA akciğer grafisi|||||||||{question}|||7^ÜNSAL^Ömer^^^Dr.||{accession}"
        "||||||DX||||||||||||20261101140000",
    ]
    return ("\r".join(lines) + "\r").encode("iso8859_9")


@pytest.fixture
def hbys() -> Source:
    """The system that tells of patients."""
    peer = HospitalSystem(name="hbys", allow=(Service.ORDERS,), issuer="HASTANE")
    return Source(peer, MAPPING, ZONE, Language.TR)


def taken(records: Records, source: Source, *messages: bytes) -> None:
    """Messages that are taken, one after another."""
    for data in messages:
        answer = take_message(records, source, data)
        assert answer.code == "AA", answer.answer.decode("utf-8", "replace")


def person_of(records: Records, number: str) -> Person:
    """What is known of the patient with a hospital number."""
    with records.read() as tx:
        (found,) = patients.find_by_number(tx, Person(number=number))
        return patients.load_person(tx, found)


def at(text: str) -> datetime:
    """`20261101120000` by the clocks of the hospital, as UTC."""
    return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=ZONE).astimezone(UTC)
