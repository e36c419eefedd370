"""From an image in the records to its draft: whole or not at all, and never over what a person has done."""

from __future__ import annotations

import asyncio
import io
import json
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import numpy as np
import pytest
from PIL import Image as Picture
from sqlalchemy import func, select

from tests.documents import sample
from tests.patience import PATIENCE
from tests.records import changes
from tests.records.kit import made_case, made_user, take_job
from tests.records.pictured import film, radiograph, result
from tests.records.reports_kit import made_image, made_report, sign
from tests.report.model_server import model_server
from tests.service.browser import serving
from tests.service.kit import make_context, opened_session, served, sign_in
from tetkik.errors import Conflict, InputError
from tetkik.findings.demonstration import demonstration_model
from tetkik.imaging.examples import example_chest
from tetkik.language import Language
from tetkik.records.cases import cases
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.images import DerivedImageKind
from tetkik.records.images.jobs import JobKind
from tetkik.records.people import sessions
from tetkik.records.reports import drafts, versions
from tetkik.records.schema import AuditRow, Blob, Report, Run
from tetkik.rules.editing import DraftEdit
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.service.kit.http.incoming_files import IncomingFile
from tetkik.service.studies.runs import _progress
from tetkik.service.studies.upload import Upload
from tetkik.settings import settings
from tetkik.values import SYSTEM, BasisKind, CaseState, JobState, Judgement, Priority, Role, RunState
from tetkik.workflow import image_processing, reports
from tetkik.workflow.image_processing import ProcessingStage, read_case_image, record_failure


@pytest.fixture
def both_hospitals(both_records, tmp_path):
    """A hospital on SQLite, and one on PostgreSQL."""
    return make_context(tmp_path, both_records)


@pytest.fixture
def machine(app_context):
    return ImageDecoder(app_context.records)


@pytest.fixture
def technician(app_context):
    return made_user(app_context.records, Role.TECHNICIAN)


def upload(app_context, machine, actor, content, case_id=None):
    """Upload a file; gives its image."""
    coming = Upload(app_context, machine, actor, IncomingFile(content, "film"), case_id, sure=True)
    coming.prepare()
    with app_context.records.write(actor) as tx:
        return images.load_visible_image(tx, coming.keep(Language.TR, tx).image.id)


def take(app_context):
    with app_context.records.write(SYSTEM) as tx:
        return take_job(tx, "w")


def read(app_context, machine):
    work = take(app_context)
    assert work is not None
    read_case_image(app_context.records, app_context.settings, work, machine.pixels)
    return work


def report_of(tx, image_id) -> str:
    """The report of an image, which it must have."""
    found = drafts.report_of_image(tx, image_id)
    assert found is not None
    return found


def noise() -> bytes:
    packed = io.BytesIO()
    Picture.fromarray(np.random.default_rng(0).integers(0, 255, (300, 300), np.uint8)).save(packed, "PNG")
    return packed.getvalue()


@pytest.mark.both_databases
def test_everything_that_a_model_says_is_kept(both_hospitals):
    app_context, machine = both_hospitals, ImageDecoder(both_hospitals.records)
    technician = made_user(app_context.records, Role.TECHNICIAN)
    image = upload(app_context, machine, technician, film(3, side=512))
    stages = []
    work = take(app_context)
    read_case_image(
        app_context.records,
        app_context.settings,
        work,
        machine.pixels,
        lambda stage, text: stages.append(stage),
    )
    assert stages == [
        ProcessingStage.READING,
        ProcessingStage.FINDING,
        ProcessingStage.DRAFTING,
        ProcessingStage.KEEPING,
    ]
    with app_context.records.read() as tx:
        run = runs.load_latest_run(tx, image.id)
        assert run is not None and run.state is RunState.DONE and len(run.bundle_sha256) == 64
        said = runs.load_result(tx, run.id)
        assert said.suitable and said.sha256 == images.load_sha256(tx, image) and said.path == image.id
        report = report_of(tx, image.id)
        draft = drafts.draft_of(tx, report)
        assert draft.draft.sentences and draft.draft.model == said.model
        assert cases.load_case(tx, image.case_id, audit=False).state is CaseState.TO_READ
        (label,) = images.heatmap_labels(tx, image.id)
        with Picture.open(
            io.BytesIO(images.read_derived_image(tx, image, DerivedImageKind.HEAT, label))
        ) as heat:
            assert heat.mode == "RGBA" and heat.size == (256, 256)
        done = jobs.newest_job(tx, image.id)
        assert done is not None and done.state is JobState.DONE
        actions = set(tx.session.scalars(select(AuditRow.action).where(AuditRow.case_id == image.case_id)))
        assert {"image.uploaded", "model.ran", "draft.written"} <= actions


def test_a_refused_image_is_an_answer_with_its_reasons(app_context, machine, technician):
    case = made_case(app_context.records, technician)
    image = upload(app_context, machine, technician, noise(), case)
    read(app_context, machine)
    with app_context.records.read() as tx:
        run = runs.load_latest_run(tx, image.id)
        assert run is not None and run.state is RunState.REFUSED and run.flaws
        said = runs.load_result(tx, run.id)
        draft = drafts.draft_of(tx, report_of(tx, image.id)).draft
        told = {notice.in_language(draft.language) for notice in draft.notices}
        assert said.reasons and said.reasons[0] in told and not draft.sentences
        assert images.heatmap_labels(tx, image.id) == ()
        assert cases.load_case(tx, case, audit=False).state is CaseState.TO_READ


def test_a_run_once_more_leaves_what_a_person_wrote_and_what_is_signed(app_context, machine, technician):
    image = upload(app_context, machine, technician, film(3, side=512))
    read(app_context, machine)
    doctor = made_user(app_context.records, Role.RADIOLOGIST)
    with app_context.records.write(doctor) as tx:
        report = report_of(tx, image.id)
        draft = drafts.draft_of(tx, report)
        first = replace(draft.draft.sentences[0], text="Elle yazıldı.", evidence=(), marks=())
        mine = changes.save(tx, report, draft.revision, DraftEdit([first, *draft.draft.sentences[1:]]))

    def again():
        with app_context.records.write(doctor) as tx:
            jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority.ROUTINE)
        read(app_context, machine)

    again()
    with app_context.records.write(doctor) as tx:
        kept = drafts.draft_of(tx, report)
        assert (kept.revision, kept.draft) == (mine.revision, mine.draft)
        sign(tx, report, doctor)
    with app_context.records.read() as tx:
        (before,) = versions.versions_of(tx, report)
        assert cases.load_case(tx, image.case_id, audit=False).state is CaseState.SIGNED
    again()
    with app_context.records.read() as tx:
        assert versions.versions_of(tx, report) == (before,)
        assert cases.load_case(tx, image.case_id, audit=False).state is CaseState.SIGNED
        assert tx.session.scalar(select(func.count()).select_from(Run)) == 3
        assert tx.session.scalar(select(func.count()).select_from(Report)) == 1


def test_a_new_image_of_a_signed_case_is_to_be_read(app_context, machine, technician):
    image = upload(app_context, machine, technician, film(3, side=512))
    read(app_context, machine)
    doctor = made_user(app_context.records, Role.RADIOLOGIST)
    with app_context.records.write(doctor) as tx:
        sign(tx, report_of(tx, image.id), doctor)
    upload(app_context, machine, technician, noise(), image.case_id)
    with app_context.records.read() as tx:
        assert cases.load_case(tx, image.case_id, audit=False).state is CaseState.PROCESSING
    read(app_context, machine)
    with app_context.records.read() as tx:
        assert cases.load_case(tx, image.case_id, audit=False).state is CaseState.TO_READ


def test_an_earlier_image_of_the_patient_is_compared_with(app_context, machine, technician):
    first = upload(app_context, machine, technician, film(3, side=512))
    read(app_context, machine)
    with app_context.records.write(technician) as tx:
        case = cases.open_case(tx, first.patient_id)
    second = upload(app_context, machine, technician, film(4, side=512), case)
    read(app_context, machine)
    with app_context.records.read() as tx:
        for image, compared in ((first, False), (second, True)):
            draft = drafts.draft_of(tx, report_of(tx, image.id)).draft
            priors = [basis for basis in draft.evidence if basis.kind is BasisKind.PRIOR]
            assert bool(priors) is compared
            assert not any("Nothing was compared" in notice.template for notice in draft.notices)


def test_an_earlier_image_is_compared_with_as_it_was_judged(app_context, technician):
    made = made_report(app_context.records)
    doctor = made_user(app_context.records, Role.RADIOLOGIST)
    with app_context.records.write(doctor) as tx:
        for revision, (label, judgement) in enumerate(
            [("Effusion", Judgement.REJECTED), ("Nodule", Judgement.ADDED)], 1
        ):
            changes.judge(tx, made.id, revision, label, judgement)
        case = cases.open_case(tx, images.load_image(tx, made.image_id).patient_id)
    image_id = made_image(app_context.records, case)
    with app_context.records.read() as tx:
        context = image_processing._load_context(tx, image_id)
        prior = image_processing._prior(tx, context, replace(sample.RESULT, sha256="cd" * 32))
    assert prior is not None
    known = {one.label: one.positive for one in prior.findings}
    assert (known["Effusion"], known["Nodule"]) == (False, True)


@pytest.mark.parametrize(("date", "compared"), [("20250101", False), ("20260102", True)])
def test_an_older_film_that_comes_late_is_compared_with_nothing(app_context, technician, date, compared):
    case = made_case(app_context.records, technician)
    with app_context.records.read() as tx:
        patient_id = cases.load_case(tx, case, audit=False).patient_id
    for at in ("20260101", date):
        known = images.ImageMetadata.of(radiograph(3))
        known = replace(known, identity=replace(known.identity, study_date=at))
        with app_context.records.write(technician) as tx:
            case = cases.open_case(tx, patient_id)
            file = images.store_file(tx, patient_id, io.BytesIO(at.encode()))
            image = images.add_image(tx, case, file, known).image
            runs.add_run(tx, image, runs.ModelAnswer("m 1.0", "", datetime.now(UTC), result(sha256=at)))
    with app_context.records.read() as tx:
        context = image_processing._load_context(tx, image.id)
        assert (image_processing._prior(tx, context, result()) is not None) is compared


@pytest.mark.both_databases
def test_a_lost_lease_keeps_nothing(both_hospitals):
    app_context, machine = both_hospitals, ImageDecoder(both_hospitals.records)
    technician = made_user(app_context.records, Role.TECHNICIAN)
    image = upload(app_context, machine, technician, film(3, side=512))
    work = take(app_context)

    def lose(stage, _text):
        if stage is ProcessingStage.KEEPING:
            with app_context.records.write(SYSTEM) as tx:
                jobs.requeue_abandoned(tx, lambda name: False)

    with pytest.raises(Conflict):
        read_case_image(app_context.records, app_context.settings, work, machine.pixels, lose)
    with app_context.records.read() as tx:
        for table in (Run, Report):
            assert tx.session.scalar(select(func.count()).select_from(table)) == 0
        heats = select(func.count()).select_from(Blob).where(Blob.kind == DerivedImageKind.HEAT)
        assert tx.session.scalar(heats) == 0
    read(app_context, machine)
    with app_context.records.read() as tx:
        assert len(runs.list_runs(tx, image.id)) == 1


def test_what_no_model_could_read_still_reaches_a_radiologist(
    app_context, machine, technician, monkeypatch, clock
):
    monkeypatch.setenv("TETKIK_FINDINGS_MODEL", "no-such-model")
    settings.cache_clear()
    image = upload(app_context, machine, technician, film(3, side=512))
    for attempt in range(1, jobs.ATTEMPTS + 1):
        work = take(app_context)
        assert work is not None
        with pytest.raises(Exception, match="no-such-model") as caught:
            read_case_image(app_context.records, settings(), work, machine.pixels)
        assert record_failure(app_context.records, settings(), work, caught.value) is (
            attempt == jobs.ATTEMPTS
        )
        clock.go(minutes=10)
    with app_context.records.read() as tx:
        draft = drafts.draft_of(tx, report_of(tx, image.id)).draft
        (notice,) = draft.notices
        assert draft.sentences == () and "no-such-model" in notice.in_language(Language.TR)
        assert cases.load_case(tx, image.case_id, audit=False).state is CaseState.TO_READ
        assert [run.state for run in runs.list_runs(tx, image.id)] == [RunState.FAILED]


def test_a_failed_run_once_more_leaves_the_draft(app_context, machine, technician):
    image = upload(app_context, machine, technician, film(3, side=512))
    read(app_context, machine)
    with app_context.records.read() as tx:
        before = drafts.draft_of(tx, report_of(tx, image.id))
    with app_context.records.write(SYSTEM) as tx:
        jobs.add_job(tx, JobKind.READ_IMAGE, image, Priority.ROUTINE)
    work = take(app_context)
    assert record_failure(app_context.records, app_context.settings, work, InputError("x")) is True
    with app_context.records.read() as tx:
        assert drafts.draft_of(tx, report_of(tx, image.id)) == before


def test_an_unexpected_fault_is_told_by_its_kind_alone(app_context, machine, technician):
    image = upload(app_context, machine, technician, film(3, side=512))
    work = take(app_context)
    assert (
        record_failure(app_context.records, app_context.settings, work, ZeroDivisionError("Gülçin ŞAHİN"))
        is False
    )
    with app_context.records.read() as tx:
        waiting = jobs.newest_job(tx, image.id)
        assert waiting is not None and waiting.fault is not None
        assert "ZeroDivisionError" in str(waiting.fault.values) and "Gülçin" not in str(waiting.fault.values)


def test_the_thread_reads_what_is_uploaded_and_tells_how_far_it_is(tmp_path):
    app_context = make_context(tmp_path)
    with served(app_context, work=True) as client:
        sign_in(client, app_context, Role.TECHNICIAN)
        image_id = client.post("/api/v1/images", content=film(3, side=512)).json()["image"]["id"]
        with client.stream("GET", f"/api/v1/images/{image_id}/stream") as stream:
            events = [
                line.removeprefix("event: ") for line in stream.iter_lines() if line.startswith("event")
            ]
        assert events[-1] == "done" and set(events) <= {"stage", "done"}
        body = client.get(f"/api/v1/images/{image_id}").json()
        assert body["work"]["state"] == "done" and body["run"]["state"] == "done"
        findings = client.get(f"/api/v1/images/{image_id}/findings").json()
        assert findings["run"] == body["run"] and findings["result"]["suitable"]
        assert client.get(f"/api/v1/runs/{body['run']['id']}").json() == findings
        with app_context.records.read() as tx:
            looks = tx.session.scalars(
                select(AuditRow.content).where(AuditRow.action == "image.opened")
            ).all()
        assert sum('"what":"run"' in (look or "") for look in looks) == 1
        for label in body["heatmaps"]:
            assert client.get(f"/api/v1/images/{image_id}/heatmaps/{label}").status_code == 200


@pytest.mark.parametrize(("role", "hears"), [(Role.RADIOLOGIST, True), (Role.CLINICIAN, False)])
def test_what_a_language_model_writes_is_heard_while_it_writes(tmp_path, monkeypatch, role, hears):
    with model_server(["held"]) as (url, heard):
        monkeypatch.setenv("TETKIK_LLM_URL", url)
        monkeypatch.setenv("TETKIK_LLM_IMAGES", "inside")
        settings.cache_clear()
        app_context = make_context(tmp_path, findings_model=str(demonstration_model(tmp_path / "model")))
        sender, reader = (
            opened_session(app_context, made_user(app_context.records, one))
            for one in (Role.TECHNICIAN, role)
        )
        with (
            serving(app_context, work=True) as address,
            httpx.Client(base_url=address, timeout=PATIENCE) as client,
        ):
            headers = {"Cookie": f"tetkik={sender[0]}", "X-CSRF-Token": sender[1]}
            sent = client.post("/api/v1/images", content=example_chest(), headers=headers)
            image_id, lines = sent.json()["image"]["id"], []
            headers = {"Cookie": f"tetkik={reader[0]}"}
            with client.stream("GET", f"/api/v1/images/{image_id}/stream", headers=headers) as stream:
                for line in stream.iter_lines():
                    lines.append(line)
                    if line.startswith(('data: {"text"', 'data: {"stage": "writing"')):
                        heard.go.set()  # no model waits for whoever listens; this one does
        written = [json.loads(line[6:])["text"] for line in lines if line.startswith('data: {"text"')]
    with app_context.records.read() as tx:
        draft = drafts.draft_of(tx, report_of(tx, image_id)).draft
        (entry,) = tx.session.scalars(select(AuditRow.content).where(AuditRow.action == "image.sent"))
    assert (
        entry
        and image_id in entry
        and '"host":"127.0.0.1"' in entry
        and b"data:image/png;base64," in heard.raw[0]
    )
    assert draft.writer == "small-model" and lines[-3] == "event: done"
    # A draft is the radiologist's alone, and so are its words while they are written.
    assert (draft.sentences[-1].text.split()[0] in "".join(written)) is hears
    assert hears or (written == [] and 'data: {"stage": "writing"}' in lines)


def test_a_locked_screen_hears_nothing_more_of_the_work(app_context, machine, technician):
    image = upload(app_context, machine, technician, film(3))
    cookie, _ = opened_session(app_context, technician)
    actor = sessions.resume_session(app_context.records, cookie, address=None, request_id=None).actor
    with app_context.records.write(actor) as tx:
        sessions.lock(tx)

    async def heard() -> list[str]:
        course = _progress(app_context.records, actor, machine, image.id, Language.EN, words=True)
        return [event async for event in course]

    assert asyncio.run(asyncio.wait_for(heard(), PATIENCE)) == ["event: end\ndata: {}\n\n"]


def test_what_another_process_reads_is_left_to_it_and_its_page_hears_of_it(tmp_path):
    app_context = make_context(tmp_path, worker=False)
    with served(app_context, work=True) as client:
        sign_in(client, app_context, Role.TECHNICIAN)
        image_id = client.post("/api/v1/images", content=film(3)).json()["image"]["id"]
        names = {thread.name for thread in threading.enumerate()}
        assert "worker" not in names and "critical results" in names
        work = take(app_context)
        with client.stream("GET", f"/api/v1/images/{image_id}/stream") as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("event")) == "event: stage"
            with app_context.records.write(SYSTEM) as tx:
                jobs.finish_job(tx, work)
            assert next(line for line in lines if line.startswith("event")) == "event: done"


def test_the_thread_outlives_a_fault_and_ends_with_the_hospital(tmp_path, monkeypatch):
    app_context = make_context(tmp_path)
    faults = iter([RuntimeError("gone"), RuntimeError("gone")])
    whole = reports.analyse_image

    def fails_at_first(*given, **named):
        fault = next(faults, None)
        if fault is not None:
            raise fault
        return whole(*given, **named)

    monkeypatch.setattr(image_processing, "analyse_image", fails_at_first)
    monkeypatch.setattr(jobs, "_REST", jobs._REST * 0)
    with served(app_context, work=True) as client:
        sign_in(client, app_context, Role.TECHNICIAN)
        image_id = client.post("/api/v1/images", content=film(3, side=512)).json()["image"]["id"]
        until = time.monotonic() + PATIENCE
        while (work := client.get(f"/api/v1/images/{image_id}").json()["work"])["state"] != "done":
            assert time.monotonic() < until
            time.sleep(0.05)
    assert (work["state"], work["attempts"]) == ("done", 3)
    assert "gone" not in json.dumps(work)
