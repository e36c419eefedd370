"""A film's way through the hospital's systems, each of them real: HBYS, modality, archive and a phone.

The HBYS orders by HL7, the modality finds the order in the worklist (dcmtk) and sends the film, the built-in
model reads it, a radiologist signs on a phone, and the results are in Orthanc and at the HBYS, which
acknowledged them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import hl7
import pydicom
import pytest
from hl7.client import MLLPClient
from playwright.sync_api import expect
from sqlalchemy import select

from tests.integrations.archives import orthanc
from tests.integrations.hl7.messages import adt, orm
from tests.integrations.hl7.test_listening import connect, receiver
from tests.patience import PATIENCE
from tests.phantom import write_phantom
from tests.ports import free_port
from tests.programs import program
from tests.records.kit import made_user
from tests.service.browser import chromium, opened, serving, signed_in
from tests.service.drafts.test_reading_page import accept_stated
from tests.service.kit import make_context
from tetkik.records.people import users
from tetkik.records.reports import outbox
from tetkik.records.schema import Case
from tetkik.service.kit.context import AppContext
from tetkik.values import SYSTEM, CaseState, OutboxState, Role

FINDING, IMPRESSION = "Sağ kostofrenik sinüs künttür.", "Sağda plevral efüzyon."
PASSWORD = "okuma odası 2026"
SYSTEMS = """
[listen]
address = "127.0.0.1"
port = {dicom}
processes = 1
reserve_bytes = 0
quiet_seconds = 1

[hl7]
address = "127.0.0.1"
port = {mllp}

[[peer]]
name = "dx1"
ae_title = "DX1"
addresses = ["127.0.0.1"]
allow = ["echo", "store", "commit", "worklist"]
issuer = "HASTANE"

[[peer]]
name = "hbys"
addresses = ["127.0.0.1"]
allow = ["orders"]
issuer = "HASTANE"
hl7 = "127.0.0.1:{oru}"
hl7_version = "2.3.1"

[[peer]]
name = "pacs"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {pacs}

[[route]]
from = ["dx1"]
modality = ["DX"]
send = [{{to = "pacs", as = ["sr", "pdf"]}}, {{to = "hbys", as = ["hl7"]}}]
"""


@contextmanager
def listener(folder: Path, systems: Path) -> Iterator[None]:
    """`tetkik listen` as a process of its own."""
    log = folder / "listen.log"
    settings = {
        "DATA_DIR": folder / "hospital",
        "INTEGRATIONS": systems,
        "ALLOW_ROOT": "true",
        "LANGUAGE": "tr",
    }
    environment = {**os.environ, **{f"TETKIK_{name}": str(value) for name, value in settings.items()}}
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tetkik", "listen"], env=environment, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
        said = log.read_text("utf-8")
        assert "Traceback" not in said and "AHİN" not in said, said


def dcmtk(name: str, port: int, *arguments: object) -> str:
    """What a program of dcmtk says, spoken as the modality."""
    command = [program(name), "-aet", "DX1", "-aec", "TETKIK", *map(str, arguments)]
    at = command.index("AT")
    command[at : at + 1] = ["127.0.0.1", str(port)]
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    said = (done.stdout + done.stderr).decode("utf-8", "replace")
    assert done.returncode == 0, said
    return said


def film(file: Path, accession: str) -> Path:
    write_phantom(file, seed=11, signs=("Effusion", "Cardiomegaly"), rows=512, columns=512)
    made = pydicom.dcmread(file)
    made.SpecificCharacterSet = "ISO_IR 148"
    made.PatientName, made.PatientID, made.PatientSex = "ŞAHİN^GÜLÇİN^IŞIL", "4711", "F"
    made.PatientBirthDate, made.AccessionNumber, made.Modality = "19610423", accession, "DX"
    made.StudyDate, made.StudyTime = "20261101", "141000"  # ten minutes after the time of the order
    made.save_as(file)
    return file


def wait_for_draft(app_context: AppContext) -> str:
    """The case, once the model has read its film."""
    until = time.monotonic() + PATIENCE
    while True:
        with app_context.records.read() as tx:
            found = tx.session.scalar(select(Case.id).where(Case.state == CaseState.TO_READ))
        if found is not None:
            return found
        assert time.monotonic() < until
        time.sleep(0.1)


def wait_until_sent(app_context: AppContext, count: int) -> tuple[outbox.OutboxView, ...]:
    """The items of the outbox, once there are so many and all of them are answered well."""
    until = time.monotonic() + PATIENCE
    while True:
        with app_context.records.read() as tx:
            items = outbox.list_items(tx)
        if len(items) == count and {one.state for one in items} == {OutboxState.SENT}:
            return items
        assert time.monotonic() < until, items
        time.sleep(0.1)


@pytest.mark.program("chromium", "orthanc", "findscu", "storescu")
def test_from_the_order_to_the_signed_report_in_the_archive(tmp_path):
    dicom, mllp, results = free_port(), free_port(), list[hl7.Message]()
    with (
        orthanc(tmp_path) as pacs,
        receiver(lambda message: str(message.create_ack("AA")), results) as oru,
        chromium() as browser,
    ):
        systems = tmp_path / "systems.toml"
        systems.write_text(SYSTEMS.format(dicom=dicom, mllp=mllp, oru=oru, pacs=pacs.dicom), "utf-8")
        app_context = make_context(tmp_path / "hospital", integrations=systems, phone_signing=True)
        reader = made_user(app_context.records, Role.RADIOLOGIST, name="Uzm. Dr. Elif Kaya")
        with app_context.records.write(SYSTEM) as tx:
            users.set_password(tx, reader.user_id or "", PASSWORD)
        with listener(tmp_path, systems), serving(app_context, work=True) as address:
            connect(mllp).close()
            with MLLPClient("127.0.0.1", mllp) as client:
                for message in (adt("A04"), orm(accession="ACC1")):
                    assert b"|AA|" in client.send_message(message)
            query = ("-W", "-k", "0010,0010", "-k", "0010,0020", "-k", "0008,0050", "AT")
            (accession,) = re.findall(r"\(0008,0050\) SH \[(ACC1) *\]", dcmtk("findscu", dicom, *query))
            dcmtk("storescu", dicom, "AT", film(tmp_path / "film.dcm", accession))
            with opened(browser, address, width=390, touch=True) as context:
                signed_in(context, app_context, Role.RADIOLOGIST, actor=reader)
                page = context.new_page()
                page.goto(f"/read/{wait_for_draft(app_context)}")
                page.locator(".strip-top").get_by_role("button", name="Üstlen").click()
                page.wait_for_selector("[data-mine]")
                page.locator("#tab-draft").click()
                for section, sentence in (("findings", FINDING), ("impression", IMPRESSION)):
                    page.locator(f'[data-add="{section}"]').click()
                    page.keyboard.insert_text(sentence)
                page.keyboard.press("Control+s")
                expect(page.locator("[data-sign]")).not_to_have_attribute("aria-disabled", "true")
                page.locator("[data-sign]").click()
                expect(page.locator("[data-small-display]")).to_be_visible()
                accept_stated(page)
                page.fill("#sign-password", PASSWORD)
                if page.locator("#sure").is_visible():
                    page.locator("#sure").check()
                if shots := os.environ.get("DAY_SHOTS"):
                    page.screenshot(path=f"{shots}/signing-390.png")
                page.locator("#sign [type=submit]").click()
                expect(page.locator(".as-signed")).to_be_attached()
            items = wait_until_sent(app_context, 3)
        kept = [pydicom.dcmread(BytesIO(pacs.file(one["ID"]))) for one in pacs.instances().values()]
    assert {one.Modality for one in kept} == {"SR", "DOC"}
    assert {(str(one.PatientName), one.PatientID, one.AccessionNumber) for one in kept} == {
        ("ŞAHİN^Gülçin Işıl", "4711", "ACC1")
    }
    (result,) = results
    assert str(result.segment("MSH")[9][0][0]) == "ORU" and "ACC1" in str(result.segment("OBR"))
    assert any("AA" in one.status for one in items)
