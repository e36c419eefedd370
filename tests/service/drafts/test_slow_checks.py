"""The grounding check takes its time, and no other writer waits for it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from tests.patience import PATIENCE
from tests.records.kit import made_case, made_user
from tests.records.reports_kit import made_report
from tests.service.drafts.test_drafts_api import API, client, put, read
from tetkik.records.reports import draft_marks
from tetkik.records.reports.report_inputs import keep_material
from tetkik.records.schema import Report
from tetkik.values import SYSTEM, Role

__all__ = ["client"]


@pytest.mark.attack
def test_a_long_check_holds_up_no_other_writer(client, app_context, monkeypatch):
    """The check of an 800 kB draft ran in the transaction that writes: five seconds for everybody."""
    records = app_context.records
    draft = read(client, made_report(records))
    begun, go = threading.Event(), threading.Event()
    whole = draft_marks._checked

    def slow(*about):
        begun.set()
        assert go.wait(PATIENCE)
        return whole(*about)

    monkeypatch.setattr(draft_marks, "_checked", slow)
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
    whole, seen = draft_marks._checked, []

    def change(material, *others):
        seen.append(material.heatmap_label)
        if len(seen) == 1:
            with app_context.records.write(SYSTEM) as tx:
                row = tx.session.get_one(Report, made.id)
                keep_material(tx, row, replace(material, heatmap_label="Nodule"))
        return whole(material, *others)

    monkeypatch.setattr(draft_marks, "_checked", change)
    answer = put(client, draft, [{"section": "findings", "text": "Kalp büyük."}])
    assert answer.status_code == 200 and seen[1:] == ["Nodule"]
