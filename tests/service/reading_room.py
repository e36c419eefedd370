"""A house with a case that has been read by the models, served at a port for a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from playwright._impl._api_structures import SetCookieParam

from tests.records.kit import made_user
from tests.service.browser import serving
from tests.service.kit import made_house
from tetkik.imaging.phantom import write_phantom
from tetkik.imaging.read import read_image
from tetkik.records.cases import cases, patients
from tetkik.records.cases.complaints import Triaged
from tetkik.records.cases.patients import Person
from tetkik.records.images import images, jobs
from tetkik.records.images.images import Described
from tetkik.records.images.jobs import JobKind
from tetkik.records.people import sessions, users
from tetkik.service.house import House
from tetkik.values import SYSTEM, Actor, Method, Priority, Role, Sex
from tetkik.workflow import triage
from tetkik.workflow.casework import read_case_image

PASSWORD = "okuma odası 2026"
COMPLAINT = "üç gündür nefes darlığım var, sağ tarafım batıyor"


@dataclass(frozen=True)
class Room:
    """What the tests need of it."""

    house: House
    reader: Actor
    case_id: str
    image_id: str
    address: str = ""


def made_room(folder: Path, *signs: str, prior: bool = False) -> Room:
    """A house whose radiologist has a case before them, read by the built-in models."""
    house = made_house(folder)
    reader = made_user(house.records, Role.RADIOLOGIST, name="Uzm. Dr. Elif Kaya")
    with house.records.write(SYSTEM) as tx:
        users.set_password(tx, reader.user_id or "", PASSWORD)
        person = Person("Gülçin ŞAHİN", "10000000146", "H-204518", "19680514", Sex.FEMALE)
        patient_id = patients.create(tx, person)
    if prior:
        read_one(house, patient_id, folder, 3)
    case_id, image_id = read_one(house, patient_id, folder, 1, *signs)
    return Room(house, reader, case_id, image_id)


def read_one(house: House, patient_id: str, folder: Path, seed: int, *signs: str) -> tuple[str, str]:
    """Another case of a patient, with an image that the models have read; gives the ids of both."""
    with house.records.write(SYSTEM) as tx:
        case_id = cases.open_case(
            tx,
            patient_id,
            complaint=Triaged(triage(COMPLAINT), "0" * 64),
            priority=Priority.URGENT,
            question="Plevral efüzyon? Pnömoni?",
        )
    file = drawn(folder, seed, signs)
    with house.records.write(SYSTEM) as tx, file.open("rb") as content:
        stored = images.store(tx, patient_id, content)
        added = images.add_image(tx, case_id, stored, Described.of(read_image(file), "chest.dcm"))
        jobs.add(tx, JobKind.READ_IMAGE, added.image, Priority.URGENT)
    with house.records.write(SYSTEM) as tx:
        work = jobs.take(tx, "test")
    assert work is not None
    read_case_image(house.records, work, lambda _image: read_image(file))
    return case_id, added.image.id


@cache
def drawn(folder: Path, seed: int, signs: tuple[str, ...]) -> Path:
    """A file with a synthetic chest, drawn once."""
    file = folder / f"chest-{seed}.dcm"
    write_phantom(file, seed, signs, rows=512, columns=512)
    return file


@contextmanager
def served_room(room: Room) -> Iterator[Room]:
    """The same at a port."""
    with serving(room.house) as address:
        yield replace(room, address=address)


def cookie_of(room: Room) -> SetCookieParam:
    """A session of the reader, as a browser's context takes it."""
    with room.house.records.write(room.reader) as tx:
        value = sessions.begin(tx, room.reader.user_id or "", Method.PASSWORD)
    return {"name": "tetkik", "value": value, "url": room.address}
