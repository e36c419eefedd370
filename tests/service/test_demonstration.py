"""`tetkik serve --demo`: its folder and database, what is open there and nowhere else, and the tour."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import expect
from pydantic import SecretStr
from sqlalchemy import select

from tests.patience import PATIENCE
from tests.phantom.file import write_phantom
from tests.ports import free_port
from tests.service.browser import Watch, arrived, axe, opened, overflow
from tests.service.kit import make_context, served
from tetkik.cli.serve import listen, serve
from tetkik.errors import SettingError, UsageError
from tetkik.fleet.worker import Worker
from tetkik.language import Language
from tetkik.records.database import DATABASE, open_demonstration, open_records
from tetkik.records.lifecycle.backup import make_backup
from tetkik.records.schema.cases import Case, Image
from tetkik.records.schema.models import Run
from tetkik.records.schema.reports import Report
from tetkik.service.demonstration import (
    CONTACTS,
    MARKER,
    MODEL,
    STAFF,
    DemonstrationProgress,
    Filler,
    add_people,
    at_work,
    demonstration_settings,
    prepare_folder,
)
from tetkik.service.demonstration_cases import CASES, PATIENTS
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.context import AppContext
from tetkik.service.kit.http.incoming_files import IncomingFile
from tetkik.service.studies.upload import Upload
from tetkik.settings import Settings
from tetkik.values.access import Role
from tetkik.values.document import ReportState
from tetkik.values.states import CaseState


@contextmanager
def demonstration(folder: Path, *, filled: bool = False) -> Iterator[AppContext]:
    """A demonstration with its people and no cases, which come unless it is `filled`."""
    prepare_folder(folder, folder.parent / "hospital", reset=False)
    progress = DemonstrationProgress.load(folder)
    progress.full = filled
    progress.keep()
    chosen = demonstration_settings(Settings(), folder, None)
    records = open_demonstration(chosen)
    try:
        add_people(records)
        yield AppContext(records, chosen, secure=False, demonstration=STAFF)
    finally:
        records.close()


def test_its_database_is_opened_by_nothing_else_and_has_no_backup(tmp_path):
    refused = pytest.raises(SettingError, match="belongs to a demonstration")
    with demonstration(tmp_path / "demo") as context, refused:
        make_backup(context.records, tmp_path / "backup")
    (tmp_path / "copied").mkdir()
    (tmp_path / "copied" / DATABASE).write_bytes((tmp_path / "demo" / DATABASE).read_bytes())
    for folder in ("demo", "copied"):
        with pytest.raises(SettingError, match="belongs to a demonstration"):
            open_records(Settings(data_dir=tmp_path / folder))
        with pytest.raises(SettingError, match="belongs to a demonstration"):
            open_records(Settings(database_url=SecretStr(f"sqlite:///{tmp_path / folder / DATABASE}")))


def test_it_goes_into_no_folder_that_holds_something_else(tmp_path):
    full, hospital = tmp_path / "full", tmp_path / "hospital"
    full.mkdir()
    (full / "letter.txt").write_text("mine")
    open_records(Settings(data_dir=hospital)).close()
    for reset in (False, True):
        for folder in (full, hospital):
            with pytest.raises(UsageError, match="holds something else"):
                prepare_folder(folder, tmp_path / "other", reset=reset)
        with pytest.raises(UsageError, match="data_dir of the settings"):
            prepare_folder(tmp_path / "new", tmp_path / "new", reset=reset)
    (hospital / MARKER).write_text(json.dumps({"began": "", "done": [], "cases": {}, "full": True}))
    with pytest.raises(
        UsageError, match="holds something else"
    ):  # a marker makes no hospital a demonstration
        prepare_folder(hospital, tmp_path / "other", reset=True)
    assert (hospital / DATABASE).exists() and (full / "letter.txt").exists()
    with demonstration(tmp_path / "demo"):
        pass
    (tmp_path / "demo" / "letter.txt").write_text("mine")
    prepare_folder(tmp_path / "demo", hospital, reset=True)
    assert {path.name for path in (tmp_path / "demo").iterdir()} == {
        CONTACTS,
        MARKER,
        MODEL,
        CONTACTS,
        "letter.txt",
    }


def test_nothing_of_the_hospital_is_in_its_settings(tmp_path):
    configured = Settings(
        database_url=SecretStr("postgresql+psycopg://hospital/records"),
        master_key_command="vault read",
        llm_url="https://llm.example/v1",
        oidc_issuer="https://login.example",
        listen_host="0.0.0.0",
        trusted_proxies="10.0.0.1",
        data_dir=tmp_path / "hospital",
    )
    chosen = demonstration_settings(configured, tmp_path / "demo", None)
    assert chosen.listen_host == "127.0.0.1" and chosen.data_dir == tmp_path / "demo"
    assert (chosen.database_url, chosen.master_key_command, chosen.llm_url) == (None, "", "")
    assert (chosen.oidc_issuer, chosen.trusted_proxies) == ("", "")
    assert demonstration_settings(configured, tmp_path, "10.0.0.7").listen_host == "10.0.0.7"


def test_becoming_somebody_is_open_in_a_demonstration_alone(tmp_path):
    with served(make_context(tmp_path / "hospital")) as client:
        assert client.get("/demo").status_code == 404
        assert client.post("/demo/become", data={"login": "radiologist"}).status_code == 404
        page = client.get("/login").text
        assert "demo-banner" not in page and STAFF.password not in page
    with demonstration(tmp_path / "demo", filled=True) as context, served(context, anew=True) as client:
        page = client.get("/login").text
        assert all(name in page for name in STAFF.people.values()) and "demo-banner" in page
        assert client.get("/worklist").status_code in (303, 401)
        elsewhere = {"sec-fetch-site": "cross-site"}
        become = {"login": "radiologist", "next": "/worklist"}
        assert client.post("/demo/become", data=become, headers=elsewhere).status_code == 403
        assert client.post("/demo/become", data={"login": "nobody"}).status_code == 404
        assert client.post("/demo/become", data=become).headers["location"] == "/worklist"
        assert "demo-banner" in client.get("/worklist").text
        assert client.get("/admin/users").status_code == 403
        assert client.post("/demo/become", data={"login": "administrator"}).status_code == 303
        assert client.get("/admin/users").status_code == 200


def test_it_is_filled_by_people_and_models_and_goes_on_where_it_ended(tmp_path):
    chosen = tuple(replace(case) for case in CASES if case.key in ("waiting", "before", "withdrawn"))
    with demonstration(tmp_path / "demo") as context:
        decoder = ImageDecoder(context.records)
        worker = Worker(context.records, context.settings, decoder, decoder.work_available)
        worker.start()
        try:
            for cases in (chosen[:1], chosen, chosen):
                filler = Filler(context, decoder, cases)
                filler.start()
                filler._thread.join(PATIENCE)
                progress = DemonstrationProgress.load(tmp_path / "demo")
                assert progress.full
                progress.full = False
                progress.keep()
            # What a visitor uploads is read as in a hospital, by the model that ships.
            actor = at_work(context.records, Role.TECHNICIAN)
            case_id = progress.cases[chosen[0].key]
            write_phantom(tmp_path / "film.dcm", 5, ("Effusion",), rows=256, columns=256)
            film = IncomingFile((tmp_path / "film.dcm").read_bytes(), "film.dcm")
            upload = Upload(context, decoder, actor, film, case_id, sure=True)
            upload.prepare()
            with context.records.write(actor) as tx:
                upload.keep(Language.TR, tx)
            decoder.work_available.set()
            filler._wait(chosen[0])
        finally:
            worker.stop()
            decoder.close()
        with context.records.read() as tx:
            bundles = set(tx.session.scalars(select(Run.bundle)))
            assert {one.partition(" ")[0] for one in bundles} == {
                "findings-demonstration",
                "findings-mobilenet-cxr",
            }
            states = list(tx.session.scalars(select(Case.state).order_by(Case.created_at)))
            reports = list(tx.session.scalars(select(Report.state)))
            assert states == [CaseState.SIGNED, CaseState.TO_READ, CaseState.TO_READ]
            assert sorted(reports) == [ReportState.DRAFT, ReportState.FINAL, ReportState.WITHDRAWN]
            assert tx.count(Image) == 3
    assert len(PATIENTS) == 12


def test_a_taken_port_is_said_before_anything_else(tmp_path, monkeypatch):
    monkeypatch.setenv("TETKIK_DATA_DIR", str(tmp_path / "hospital"))
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(UsageError, match=f"Port {port} is taken by another program"):
            serve(None, port, allow_root=True)
    assert not (tmp_path / "hospital").exists()
    with pytest.raises(SettingError, match="Nothing can listen at"):
        listen("192.0.2.1", 0)
    with pytest.raises(UsageError, match="add --demo"):
        serve(None, 0, allow_root=True, reset=True)


def test_the_tour_from_a_complaint_to_a_signature(browser, tmp_path):
    """By the real command, in English; Ctrl-C ends it, and what was done is there at the next start."""
    folder = tmp_path / "demo"
    command = [sys.executable, "-m", "tetkik", "serve", "--demo", "--folder", str(folder)]
    process = subprocess.Popen(
        [*command, "--port", str(free_port()), "--allow-root"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        env={**os.environ, "TETKIK_LANGUAGE": "en"},
    )
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        (address,) = re.findall(r"http://\S+", said)
        with opened(browser, address, language="en") as window:
            page, watch = window.new_page(), Watch()
            watch.over(page)
            tour = page.locator("#tour")
            page.goto("/")
            assert not axe(page)
            expect(tour).to_be_hidden()
            page.locator("[data-tour-start]").click()
            arrived(page, "/reception")
            expect(tour).to_contain_text("Step 1 of 8")
            page.locator("#complaint").fill("göğsümde baskı var, sol koluma vuruyor")
            tour.get_by_role("button", name="Next").click()
            expect(page.locator("#answer .banner.kirmizi")).to_be_visible()
            assert not axe(page)
            tour.get_by_role("button", name="Next").click()
            arrived(page, "/upload")
            tour.get_by_role("button", name="Next").click()
            arrived(page, "/worklist")
            expect(tour).to_contain_text("Step 4 of 8")
            film = page.locator("tr.case").filter(has_text="Ayşe Örnek")
            expect(film).to_contain_text("Pneumonia")
            expect(film).to_contain_text(
                "draft ready"
            )  # of both images; until then the page loads itself anew
            tour.get_by_role("button", name="Next").click()
            page.wait_for_url("**/read/*")
            for step in (5, 6, 7, 8):
                expect(tour).to_contain_text(f"Step {step} of 8")
                page.set_viewport_size({"width": 390, "height": 844})
                assert overflow(page) <= 0
                page.set_viewport_size({"width": 1440, "height": 900})
                tour.get_by_role("button", name="Next" if step < 8 else "Done").click()
            expect(tour).to_be_hidden()
            page.locator("[data-sign]").wait_for()
            undecided = page.locator(".objection:not(.decided) [data-decide=kept]")
            while undecided.count():
                before = undecided.count()
                undecided.first.click()
                expect(undecided).to_have_count(before - 1)
            page.locator("[data-sign]").click()
            expect(page.locator("dialog#sign")).to_be_visible()  # once everything is saved
            stated = page.locator("[data-accept-stated]")
            if stated.is_visible():
                stated.click()
                expect(stated).to_be_hidden()
            expect(page.locator("#sign-password")).to_have_value(STAFF.password)
            with page.expect_response(lambda answer: answer.url.endswith("/sign")) as signed:
                page.locator("dialog#sign button[type=submit]").click()
            assert signed.value.status == 201
            page.goto("/reports")
            page.locator(".bar-top details.menu summary").click()
            page.locator(".bar-top .panel").get_by_role("button", name="clinician").click()
            arrived(page, "/reports")
            expect(page.locator(".bar-top .menu .about")).to_contain_text("Deneme Klinisyen")
            expect(page.locator("tbody tr").first).to_contain_text("DENEME Ayşe Örnek")
            expect(page.locator("#tour")).to_be_hidden()
            assert not watch.complaints, watch.complaints
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "pneumonia" in DemonstrationProgress.load(folder).cases
