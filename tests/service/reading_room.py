"""A hospital with a case that has been read by the models, served at a port for a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from playwright._impl._api_structures import SetCookieParam
from playwright.sync_api import Browser, Locator, Page, expect

from tests.phantom import write_phantom
from tests.records.kit import made_user, take_job
from tests.service.browser import opened, serving
from tests.service.kit import make_context
from tetkik.bundle import Task, open_bundle, write_manifest
from tetkik.findings.demonstration import demonstration_model
from tetkik.imaging.read import read_image
from tetkik.records.cases import cases, patients
from tetkik.records.cases.complaints import TriagedComplaint
from tetkik.records.cases.patients import Person
from tetkik.records.images import images, jobs
from tetkik.records.images.images import ImageMetadata
from tetkik.records.images.jobs import JobKind
from tetkik.records.people import sessions, users
from tetkik.records.reports import drafts
from tetkik.records.reports.edit_conflicts import WorkingDraft
from tetkik.records.worklist import claims
from tetkik.service.kit.context import AppContext
from tetkik.values import SYSTEM, Actor, Method, Priority, Role, Sex
from tetkik.workflow import triage
from tetkik.workflow.image_processing import read_case_image

PASSWORD = "okuma odası 2026"
COMPLAINT = "üç gündür nefes darlığım var, sağ tarafım batıyor"
_FAULTS = """window.faults = [];
document.addEventListener('securitypolicyviolation', (event) => faults.push(event.violatedDirective));
window.addEventListener('error', (event) => faults.push(event.message));"""


@dataclass(frozen=True)
class Room:
    """What the tests need of it."""

    app_context: AppContext
    reader: Actor
    case_id: str
    image_id: str
    address: str = ""


def made_room(folder: Path, *signs: str, prior: bool = False) -> Room:
    """A hospital whose radiologist has a case before them, read by the model of a demonstration."""
    app_context = make_context(folder, findings_model=str(_stating_model(folder / "model")))
    reader = made_user(app_context.records, Role.RADIOLOGIST, name="Uzm. Dr. Elif Kaya")
    with app_context.records.write(SYSTEM) as tx:
        users.set_password(tx, reader.user_id or "", PASSWORD)
        person = Person("Gülçin ŞAHİN", "10000000146", "H-204518", "19680514", Sex.FEMALE)
        patient_id = patients.create(tx, person)
    if prior:
        read_one(app_context, patient_id, folder, 3)
    case_id, image_id = read_one(app_context, patient_id, folder, 1, *signs)
    return Room(app_context, reader, case_id, image_id)


def _stating_model(folder: Path) -> Path:
    """The demonstration's model with a threshold that every drawing reaches for two findings."""
    bundle = open_bundle(demonstration_model(folder), Task.FINDINGS)
    low = {**bundle.manifest.thresholds, "Atelectasis": 0.001, "Pneumonia": 0.001}
    stated = {**bundle.manifest.calibration, "asserts": low}
    write_manifest(folder, bundle.manifest.model_copy(update={"thresholds": low, "calibration": stated}))
    return folder


def another_case(room: Room) -> Room:
    """The same hospital with a fresh case of the same patient."""
    with room.app_context.records.read() as tx:
        patient_id = cases.load_case(tx, room.case_id, audit=False).patient_id
    case_id, image_id = read_one(room.app_context, patient_id, room.app_context.records.folder, 1, "Effusion")
    return replace(room, case_id=case_id, image_id=image_id)


def read_one(
    app_context: AppContext, patient_id: str, folder: Path, seed: int, *signs: str
) -> tuple[str, str]:
    """Another case of a patient, with an image that the models have read; gives the ids of both."""
    with app_context.records.write(SYSTEM) as tx:
        case_id = cases.open_case(
            tx,
            patient_id,
            complaint=TriagedComplaint(triage(COMPLAINT, "triage-linear-tr"), "0" * 64),
            priority=Priority.URGENT,
            question="Plevral efüzyon? Pnömoni?",
        )
    file = drawn(folder, seed, signs)
    with app_context.records.write(SYSTEM) as tx, file.open("rb") as content:
        stored = images.store_file(tx, patient_id, content)
        described = ImageMetadata.of(read_image(file), "chest.dcm")
        sure = ("name", "number", "birth_date")  # the phantom's
        added = images.add_image(tx, case_id, stored, described, confirmed=sure)
        jobs.add_job(tx, JobKind.READ_IMAGE, added.image, Priority.URGENT)
    with app_context.records.write(SYSTEM) as tx:
        work = take_job(tx, "test")
    assert work is not None
    read_case_image(app_context.records, app_context.settings, work, lambda *_: read_image(file))
    return case_id, added.image.id


@cache
def drawn(folder: Path, seed: int, signs: tuple[str, ...]) -> Path:
    """A file with a synthetic chest, drawn once."""
    file = folder / f"chest-{seed}.dcm"
    write_phantom(file, seed, signs, rows=512, columns=512)
    return file


def claim(room: Room) -> None:
    """The reader has opened the case from the worklist."""
    with room.app_context.records.write(room.reader) as tx:
        claims.claim_case(tx, room.case_id)


@contextmanager
def served_room(room: Room) -> Iterator[Room]:
    """The same at a port."""
    with serving(room.app_context) as address:
        yield replace(room, address=address)


def cookie_of(room: Room) -> SetCookieParam:
    """A session of the reader, as a browser's context takes it."""
    with room.app_context.records.write(room.reader) as tx:
        value = sessions.begin_session(tx, room.reader.user_id or "", Method.PASSWORD)
    return {"name": "tetkik", "value": value, "url": room.address}


@contextmanager
def reading(
    browser: Browser, room: Room, *, width: int = 1440, theme: str = "light", language: str = "tr"
) -> Iterator[Page]:
    """A page of the reader's, not at the case yet; no script may fail in it, nor breach the policy."""
    with opened(browser, room.address, width=width, theme=theme, language=language) as context:
        chosen: SetCookieParam = {"name": "tetkik-language", "value": language, "url": room.address}
        context.add_cookies([cookie_of(room), chosen])
        page = context.new_page()
        page.add_init_script(_FAULTS)
        yield page
        assert page.evaluate("window.faults") == []


def working(room: Room) -> WorkingDraft:
    """The draft as it stands at the server."""
    with room.app_context.records.read() as tx:
        return drafts.draft_of(tx, drafts.report_of_image(tx, room.image_id) or "")


def texts(room: Room) -> list[str]:
    """Its sentences."""
    return [sentence.text for sentence in working(room).draft.sentences]


def revised(page: Page, revision: int) -> None:
    """Wait until the page shows this revision."""
    expect(page.locator("[data-draft]")).to_have_attribute("data-revision", str(revision))


def fields(page: Page, section: str) -> Locator:
    """The sentences of a part, to write in."""
    return page.locator(f'[data-lines="{section}"] textarea')


def saved(page: Page) -> None:
    """Wait until everything that was written is kept."""
    expect(page.locator(".draft-side")).not_to_have_class(re.compile("unsaved"))


def seen(page: Page) -> None:
    """Wait until the image is drawn."""
    page.wait_for_selector("[data-viewer]:is([data-ready=webgl], [data-ready=processor])")
