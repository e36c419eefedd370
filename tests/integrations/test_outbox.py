"""From the signature to the archive and back: routes, answers, the page, withdrawal, a machine that stops."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO

import pydicom
import pytest
from pydicom.uid import (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    KeyObjectSelectionDocumentStorage,
    SecondaryCaptureImageStorage,
)
from sqlalchemy import select, update

from tests.integrations.archives import archive, orthanc, systems
from tests.integrations.outbox_kit import GUL, SETTINGS, items, no_greys, now, queued, sent_all
from tests.patience import PATIENCE
from tests.records.kit import made_user
from tests.records.reports_kit import judged_all, made_report, sign
from tests.service.kit import make_context, served, sign_in
from tests.service.reports.test_reports_api import API, PASSWORD, entered
from tetkik.documents import dicom
from tetkik.errors import Unavailable
from tetkik.integrations.calling import Answer
from tetkik.integrations.outbox import MOST_TRIES, queue_results, send_due, wait_after
from tetkik.integrations.systems import systems_of
from tetkik.records.reports import outbox, signing
from tetkik.records.reports.versions import version_of
from tetkik.records.schema import AuditRow, Image, OutboxItem
from tetkik.service import outbox as sending
from tetkik.service.kit.background.image_decoder import ImageDecoder
from tetkik.values import SYSTEM, OutboxState, Role

WANTED = (
    Comprehensive3DSRStorage,
    EncapsulatedPDFStorage,
    SecondaryCaptureImageStorage,
    KeyObjectSelectionDocumentStorage,
)
ALL = {"as": ["sr", "pdf", "capture"]}
HOUR = timedelta(hours=1)


@pytest.fixture
def app_context(tmp_path):
    context = make_context(tmp_path, hospital_name="Örnek Hastanesi")
    yield context
    context.records.close()


@pytest.fixture
def told():
    with archive(*WANTED) as made:
        yield made


@pytest.mark.program("orthanc")
def test_a_signature_brings_the_report_into_the_archive_and_a_withdrawal_its_rejection(
    app_context, tmp_path, monkeypatch
):
    folder = tmp_path / "orthanc"
    folder.mkdir()
    with orthanc(folder) as pacs, served(app_context) as client:
        web_peer = pacs.peer("web", web=True)
        routes = (
            {"modality": ["MR"], "send": []},
            {"modality": ["DX"], "send": [{"to": "pacs", **ALL}, {"to": "web", "as": ["sr"]}]},
        )
        chosen = systems(pacs.peer(), web_peer, routes=routes)
        monkeypatch.setattr("tetkik.service.reports.api.systems_of", lambda _: chosen)
        actor = entered(client, app_context, Role.RADIOLOGIST)
        made = made_report(app_context.records, person=GUL)
        with app_context.records.write(actor) as tx:
            current = judged_all(tx, made.id)
        signed = client.post(
            f"{API}/{made.id}/sign", json={"revision": current.revision, "password": PASSWORD}
        )
        assert signed.status_code == 201, signed.text
        assert sent_all(app_context, chosen) == 4
        before = pacs.instances()
        # Two ways to one archive: the same object, there once.
        assert len(before) == 3
        shown = client.get(f"/reports/{made.id}").text
        assert "HTTP 200, 0000H" in shown and shown.count("gönderildi") + shown.count(">sent<") >= 1
        body = {"why": "wrong_image", "words": "", "password": PASSWORD}
        taken = client.post(f"{API}/{made.id}/withdraw", json=body, headers={"If-Match": '"1"'})
        assert taken.status_code == 201, taken.text
        assert sent_all(app_context, chosen) == 2
        new = [one for uid, one in pacs.instances().items() if uid not in before]
        (note,) = [pydicom.dcmread(BytesIO(pacs.file(one["ID"]))) for one in new]
        assert note.SOPClassUID == KeyObjectSelectionDocumentStorage
        named = note.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence
        rejected = {one.ReferencedSOPInstanceUID for part in named for one in part.ReferencedSOPSequence}
        assert rejected == set(before)


def test_a_route_decides_by_the_modality_and_the_source(app_context, told):
    other = systems(told.peer(), routes=({"modality": ["CT"], "send": [{"to": "told", **ALL}]},))
    assert items(app_context, queued(app_context, other).id) == {}
    unknown = systems(told.peer(), routes=({"from": ["told"], "send": [{"to": "told", **ALL}]},))
    assert items(app_context, queued(app_context, unknown).id) == {}
    fits = systems(told.peer(), routes=({"body_part": ["CHEST"], "send": [{"to": "told", **ALL}]},))
    report = queued(app_context, fits)
    assert set(items(app_context, report.id)) == {("told", "sr"), ("told", "pdf"), ("told", "capture")}
    assert items(app_context, queued(app_context, None).id) == {}


def test_nothing_counts_as_sent_that_the_archive_refused(app_context, told):
    chosen = systems(told.peer(), routes=({"send": [{"to": "told", "as": ["sr"]}]},))
    told.status, told.comment = 0xA900, "Hasta 10000000146 bilinmiyor"
    report = queued(app_context, chosen)
    assert sent_all(app_context, chosen) == 1
    item = items(app_context, report.id)["told", "sr"]
    assert (item.state, item.tries) == (OutboxState.REFUSED, 1)
    assert item.status.startswith("A900H") and "10000000146" not in item.status
    with served(app_context) as client:
        client.headers["Accept-Language"] = "en"
        sign_in(client, app_context, Role.ADMINISTRATOR)
        page = client.get("/outbox?state=refused").text
        assert "A900H" in page and item.report_number in page and "ŞAHİN" not in page
        assert "1 result is set aside" in page and f"/reports/{report.id}" not in page
        assert item.report_number not in client.get("/outbox?state=sent").text
        assert item.report_number in client.get("/outbox?state=&to=").text  # as the form sends it
        assert item.report_number not in client.get("/outbox?to=pacs").text
        told.status = 0xB007  # the archive keeps it now, with a warning
        assert client.post("/outbox/refused", data={"to": "told"}).status_code == 303
        assert sent_all(app_context, chosen) == 1
        again = items(app_context, report.id)["told", "sr"]
        assert (again.state, again.status[:5], again.tries) == (OutboxState.SENT, "B007H", 1)
        assert client.post(f"/outbox/{item.id}").status_code == 303
        assert items(app_context, report.id)["told", "sr"].state is OutboxState.WAITING
        sign_in(client, app_context, Role.CLINICIAN)
        assert client.get("/outbox").status_code == 403
        assert client.post(f"/outbox/{item.id}").status_code == 403
    with app_context.records.read() as tx:
        done = tx.session.scalars(select(AuditRow.action)).all()
    assert done.count("result.sent") == 2 and done.count("result.resent") == 2


def test_a_machine_that_stops_in_the_middle_sends_the_same_object_again(app_context, told, monkeypatch):
    chosen = systems(told.peer(), routes=({"send": [{"to": "told", "as": ["sr"]}]},))
    report = queued(app_context, chosen)

    def killed(*_args, **_more):
        raise SystemExit  # after the archive has it, before anything is written down

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "settle", killed)
        with pytest.raises(SystemExit):
            send_due(app_context.records, chosen, SETTINGS, no_greys, "told")
    assert not send_due(app_context.records, chosen, SETTINGS, no_greys, "told")  # not at once
    now(app_context)
    assert sent_all(app_context, chosen) == 1
    item = items(app_context, report.id)["told", "sr"]
    assert (item.state, item.tries) == (OutboxState.SENT, 2)
    assert len(told.got) == 2 and len(set(told.got)) == 1


def test_a_full_archive_is_asked_later_each_time_and_given_up_at_last(app_context, told):
    chosen = systems(told.peer(), routes=({"send": [{"to": "told", "as": ["sr"]}]},))
    told.status = 0xA700
    report = queued(app_context, chosen)
    for tries in range(1, MOST_TRIES + 1):
        assert sent_all(app_context, chosen) == 1
        item = items(app_context, report.id)["told", "sr"]
        assert (item.tries, item.status) == (tries, "A700H")
        now(app_context)
    assert item.state is OutboxState.REFUSED
    assert sent_all(app_context, chosen) == 0
    waits = [wait_after(tries) for tries in range(1, MOST_TRIES)]
    assert waits == sorted(waits) and waits[0] == timedelta(seconds=30) and waits[-1] == timedelta(hours=1)
    assert wait_after(1, 300) == timedelta(minutes=5) and wait_after(1, 1e9) == timedelta(hours=1)


def test_one_system_that_fails_in_whatever_way_keeps_no_other_waiting(app_context, told, monkeypatch):
    peers = ({"name": "gone", "dicomweb": "http://127.0.0.1:1/dicom-web"}, told.peer())
    routes = ({"send": [{"to": "gone", "as": ["sr"]}, {"to": "told", "as": ["pdf"]}]},)
    chosen = systems(*peers, routes=routes)
    report = queued(app_context, chosen)
    sent_all(app_context, chosen)
    found = items(app_context, report.id)
    assert found["told", "pdf"].state is OutboxState.SENT
    assert (found["gone", "sr"].state, found["gone", "sr"].status) == (OutboxState.WAITING, "ConnectError")
    now(app_context)
    fault = RuntimeError("a fault of ours")
    monkeypatch.setattr("tetkik.integrations.outbox.stow", lambda *_: (_ for _ in ()).throw(fault))
    assert sent_all(app_context, chosen) == 1
    assert items(app_context, report.id)["gone", "sr"].status == "RuntimeError"
    now(app_context)
    assert sent_all(app_context, systems(told.peer())) == 0  # another service may have a newer file
    with app_context.records.write(SYSTEM) as tx:
        tx.apply(update(OutboxItem).where(OutboxItem.next_at.is_not(None)).values(next_at=tx.now - HOUR))
    assert sent_all(app_context, systems(told.peer())) == 1  # it was taken out of the file
    assert items(app_context, report.id)["gone", "sr"].state is OutboxState.REFUSED


def test_slow_systems_keep_no_other_waiting_and_not_the_end(app_context, told, tmp_path, monkeypatch):
    file, slow = tmp_path / "systems.toml", threading.Event()
    many = [f"slow{number}" for number in range(9)]
    sends = ", ".join(f'{{to = "{name}", as = ["sr"]}}' for name in (*many, "told"))
    file.write_text(
        f'[[peer]]\nname = "told"\nae_title = "TOLD"\nhost = "127.0.0.1"\nport = {told.port}\n'
        + "".join(f'[[peer]]\nname = "{name}"\ndicomweb = "http://127.0.0.1:1"\n' for name in many)
        + f"[[route]]\nsend = [{sends}]\n",
        "utf-8",
    )
    monkeypatch.setattr(sending, "_STOP_SECONDS", 0.01)
    monkeypatch.setattr("tetkik.integrations.outbox.stow", lambda *_: slow.wait(PATIENCE))
    context = make_context(tmp_path, app_context.records, integrations=file)
    report = queued(context, systems_of(context.settings))
    decoder = ImageDecoder(context.records)
    thread = sending.OutboxThread(context, decoder)
    thread.start()
    thread.run_once()
    thread._sending["told"].join(PATIENCE)
    assert items(context, report.id)["told", "sr"].state is OutboxState.SENT
    until = time.monotonic() + PATIENCE
    while items(context, report.id)["slow8", "sr"].state is not OutboxState.SENDING:
        assert time.monotonic() < until
        time.sleep(0.02)
    thread.stop()
    assert not slow.is_set()
    slow.set()
    for one in thread._sending.values():
        one.join(PATIENCE)
    decoder.close()


def test_a_system_that_is_away_is_asked_later_each_time_whatever_waits_for_it(app_context, monkeypatch):
    chosen = systems(
        {"name": "web", "dicomweb": "http://127.0.0.1:1"},
        routes=({"send": [{"to": "web", "as": ["sr", "pdf"]}]},),
    )
    report = queued(app_context, chosen)
    for tries in range(1, 5):
        before = datetime.now(UTC)
        assert sent_all(app_context, chosen) == 1
        found = items(app_context, report.id).values()
        (at,) = {one.next_at for one in found}
        assert at >= before + wait_after(tries) and sum(one.tries for one in found) == tries
        now(app_context)
    monkeypatch.setattr("tetkik.integrations.outbox.stow", lambda *_: Answer.done("HTTP 200"))
    assert sent_all(app_context, chosen) == 2


def test_an_amendment_reaches_a_system_that_has_the_report_whatever_the_route_says_by_now(
    app_context, told, monkeypatch
):
    chosen = systems(told.peer(), routes=({"send": [{"to": "told", **ALL}]},))
    report = queued(app_context, chosen)
    assert sent_all(app_context, chosen) == 3
    actor = made_user(app_context.records, Role.RADIOLOGIST, name="Ali Kaya")
    with app_context.records.write(actor) as tx:
        signing.begin_amendment(tx, report.id, "Ölçü düzeltildi.")
        sign(tx, report.id, actor)
        queue_results(tx, systems(told.peer()), report.id)
        found = [one for one in outbox.items_of_report(tx, report.id) if one.number == 2]
    assert {(one.destination, one.form) for one in found} >= {("told", "sr"), ("told", "pdf")}
    sent = []

    def store(_systems, _peer, objects):
        sent.extend(objects)
        return Answer.done("0000H")

    monkeypatch.setattr("tetkik.integrations.dicom.query.store", store)
    sent_all(app_context, chosen)
    (second,) = (
        one
        for one in (pydicom.dcmread(BytesIO(content)) for content in sent)
        if one.SOPClassUID == Comprehensive3DSRStorage
    )
    series = second.PredecessorDocumentsSequence[0].ReferencedSeriesSequence[0]
    (before,) = (one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence)
    assert before in told.got and series.SeriesInstanceUID == second.SeriesInstanceUID
    with app_context.records.read() as tx:
        version = version_of(tx, report.id, 1).document
    assert before == dicom.own_instance(version, Comprehensive3DSRStorage).uid


def test_a_document_that_cannot_be_made_at_this_moment_is_made_later(app_context, told, monkeypatch):
    chosen = systems(told.peer(), routes=({"send": [{"to": "told", "as": ["sr"]}]},))
    report = queued(app_context, chosen)
    faults = [
        OSError("the database is away"),
        Unavailable("The storage is away."),
        ValueError("altered"),
    ]
    monkeypatch.setattr("tetkik.integrations.outbox.version_of", lambda *_: (_ for _ in ()).throw(faults[0]))
    for state in (OutboxState.WAITING, OutboxState.WAITING, OutboxState.REFUSED):
        assert sent_all(app_context, chosen) == 1
        item = items(app_context, report.id)["told", "sr"]
        assert item.state is state and item.status.endswith(type(faults.pop(0)).__name__)
        now(app_context)


def test_an_answer_is_written_down_once_the_database_is_back_and_nothing_sent_twice(
    app_context, told, monkeypatch
):
    chosen = systems(told.peer(), routes=({"send": [{"to": "told", "as": ["sr"]}]},))
    report = queued(app_context, chosen)
    settle, away = outbox.settle, [1, 2]

    def settles(*given, **named):
        if away:
            away.pop()
            raise Unavailable("The database does not answer; try again in a moment.")
        settle(*given, **named)

    monkeypatch.setattr(outbox, "settle", settles)
    monkeypatch.setattr("tetkik.integrations.outbox._SETTLES", (0, 0))
    assert sent_all(app_context, chosen) == 1
    assert items(app_context, report.id)["told", "sr"].state is OutboxState.SENT
    assert not away and len(told.got) == 1


def test_the_thread_sends_what_is_due_and_the_file_is_read_once(app_context, told, tmp_path):
    file = tmp_path / "systems.toml"
    file.write_text(
        f'[[peer]]\nname = "told"\nae_title = "TOLD"\nhost = "127.0.0.1"\nport = {told.port}\n'
        '[[route]]\nsend = [{to = "told", as = ["sr"]}]\n',
        "utf-8",
    )
    context = make_context(tmp_path, app_context.records, integrations=file)
    report = queued(context, systems_of(context.settings))
    decoder = ImageDecoder(context.records)
    thread = sending.OutboxThread(context, decoder)
    thread.start()
    thread.run_once()
    thread._sending["told"].join(PATIENCE)
    thread.stop()
    decoder.close()
    assert items(context, report.id)["told", "sr"].state is OutboxState.SENT
    with app_context.records.read() as tx:
        assert tx.count(Image) == 1
