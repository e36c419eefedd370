"""The grounding check takes its time, and no other writer waits for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace

import pytest

from tests.documents.sample import picture
from tests.patience import PATIENCE
from tests.records.kit import made_case, made_user
from tests.records.reports.test_later_drafts import compared_report
from tests.records.reports_kit import made_report
from tests.service.drafts.test_drafts_api import API, client, put, read
from tests.service.reports.test_reports_api import PASSWORD, entered
from tetkik.records.reports.report_inputs import keep_material
from tetkik.records.schema import Report
from tetkik.rules import marks, readiness
from tetkik.service.drafts import key_images
from tetkik.values import SYSTEM, Role
from tetkik.workflow import pixel_reader

__all__ = ["client"]


@pytest.mark.attack
def test_a_long_check_holds_up_no_other_writer(client, app_context, monkeypatch):
    """The check of an 800 kB draft ran in the transaction that writes: five seconds for everybody."""
    records = app_context.records
    draft = read(client, made_report(records))
    begun, go = threading.Event(), threading.Event()
    whole = marks.assess

    def slow(*about):
        begun.set()
        assert go.wait(PATIENCE)
        return whole(*about)

    monkeypatch.setattr(marks, "assess", slow)
    long = [{"section": "findings", "text": f"{number}. cümle."} for number in range(150)]
    about = {"label": "Effusion", "judgement": "rejected"}
    revision = {"If-Match": f'"{draft["revision"] + 1}"'}
    acts = (
        lambda: put(client, draft, long),
        lambda: client.post(f"{API}/{draft['report_id']}/reviews", json=about, headers=revision),
    )
    for act in acts:
        with ThreadPoolExecutor(1) as pool:
            saved = pool.submit(act)
            try:
                assert begun.wait(PATIENCE)
                assert made_case(records, made_user(records, Role.RECEPTION))
                assert not saved.done()
            finally:
                go.set()
            assert saved.result().status_code == 200, saved.result().text
        begun.clear()
        go.clear()
    assert len(saved.result().json()["sentences"]) >= 150


@pytest.mark.attack
def test_a_report_that_is_far_too_long_is_refused(client, app_context):
    draft = read(client, made_report(app_context.records))
    answer = put(client, draft, [{"section": "findings", "text": "a b. " * 799}] * 12)
    assert answer.status_code == 422 and "at most 20000 characters in all" in answer.json()["detail"]


def test_what_changed_after_the_check_is_checked_again(client, app_context, monkeypatch):
    """As when the images of the study change meanwhile, which leaves the revision as it was."""
    made = made_report(app_context.records)
    draft = read(client, made)
    whole, seen = marks.assess, []

    def change(grounds):
        material = grounds.material
        seen.append(material.heatmap_label)
        if len(seen) == 1:
            with app_context.records.write(SYSTEM) as tx:
                row = tx.session.get_one(Report, made.id)
                keep_material(tx, row, replace(material, heatmap_label="Nodule"))
        return whole(grounds)

    monkeypatch.setattr(marks, "assess", change)
    answer = put(client, draft, [{"section": "findings", "text": "Kalp büyük."}])
    assert answer.status_code == 200 and seen[1:] == ["Nodule"]


@pytest.mark.attack
def test_no_way_to_change_a_draft_checks_it_within_the_transaction_that_writes(
    client, app_context, monkeypatch
):
    """Key images, signatures and amendments did."""
    entered(client, app_context, Role.RADIOLOGIST)
    records, made = app_context.records, made_report(app_context.records)
    compared_report(records, made)
    writing, within, functions = ContextVar("writing", default=False), [], []
    write = records.write

    @contextmanager
    def noted(actor):
        token = writing.set(True)
        try:
            with write(actor) as tx:
                yield tx
        finally:
            writing.reset(token)

    def watched(module, name):
        whole = getattr(module, name)

        def watch(*about):
            functions.append(name)
            within.extend([name] if writing.get() else [])
            return whole(*about)

        monkeypatch.setattr(module, name, watch)

    monkeypatch.setattr(records, "write", noted)
    monkeypatch.setattr(key_images, "picture_sent", lambda *_: picture())
    watched(marks, "assess")
    watched(readiness, "_labels_in")
    watched(pixel_reader, "key_image")
    path = f"{API}/{made.id}/key-images"

    def act(method, path, revision=None, **sent):
        headers = {"If-Match": f'"{revision}"'} if revision is not None else {}
        answer = client.request(method, path, headers=headers, **sent)
        assert answer.status_code in (200, 201), answer.text
        return answer

    answer = act("POST", path, 1, json={"image_id": made.image_id}).json()
    key = answer["key_images"][0]["id"]
    act("PATCH", f"{path}/{key}", 2, json={"note": "Lob"})
    act("GET", f"{path}/{key}/picture")
    act("DELETE", f"{path}/{key}", 3)
    line = {"kind": "length", "image_id": made.image_id, "points": [[2.0, 3.0], [2.0, 27.0]]}
    measured = act("POST", f"{API}/{made.id}/measurements", 4, json=line).json()
    act("DELETE", f"{API}/{made.id}/measurements/{measured['measurements'][0]['id']}", 5)
    own = [{"section": "findings", "text": "Nodül izlenmektedir."}]
    answer = put(client, {"report_id": made.id, "revision": 6}, own).json()
    wanted = [item["label"] for item in answer["findings"] if item["positive"]]
    answer = act("POST", f"{API}/{made.id}/reviews/accepted", 7, json={"labels": wanted}).json()
    assert functions.count("assess") == 8  # the last of them read the later draft that compares with this one
    proof = {"revision": answer["revision"], "password": PASSWORD}
    act("POST", f"/api/v1/reports/{made.id}/sign", json=proof)
    act("POST", f"/api/v1/reports/{made.id}/amendments", json={"reason": "ek"})
    assert set(functions) >= {"assess"} and within == []
    assert functions.count("key_image") == 1
