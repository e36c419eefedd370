"""An earlier image is judged while its comparison is open elsewhere, in a real browser."""

from __future__ import annotations

from dataclasses import replace

from playwright.sync_api import expect
from sqlalchemy import select

from tests.records import changes
from tests.records.kit import made_user
from tests.service.browser import wait_for_notice
from tests.service.reading_room import fields, reading, saved, texts, working
from tetkik.records.schema import Image
from tetkik.rules.editing import DraftEdit
from tetkik.values import DraftSentence, Judgement, Role, Section

PERSISTS = "Pnömoni sebat etmektedir."


def earliest(room):
    """The first case of the patient, whose film is another one: that is compared with."""
    with room.app_context.records.read() as tx:
        return replace(room, image_id=tx.session.scalars(select(Image.id).order_by(Image.id)).first())


def judged(room, actor, judgement):
    seen = working(room)
    with room.app_context.records.write(actor) as tx:
        return changes.judge(tx, seen.report_id, seen.revision, "Pneumonia", judgement)


def test_the_marks_of_an_open_comparison_follow_and_what_is_typed_stays(room, browser):
    colleague = made_user(room.app_context.records, Role.RADIOLOGIST, name="İrem Çelik")
    earlier, later = earliest(room), room
    judged(earlier, colleague, Judgement.REJECTED)
    now = working(later)
    with room.app_context.records.write(room.reader) as tx:
        text = [DraftSentence(PERSISTS, Section.FINDINGS, ("finding:Pneumonia",))]  # the model's, edited
        before = changes.save(tx, now.report_id, now.revision, DraftEdit(text))
    assert before.draft.open_marks  # there was no pneumonia before
    with reading(browser, later) as page:
        page.goto(f"/read/{later.case_id}")
        expect(page.locator(".line.marked")).to_have_count(1)
        judged(earlier, colleague, Judgement.ACCEPTED)
        wait_for_notice(page, "Önceki görüntünün bulguları yeniden değerlendirildi")
        expect(page.locator(".line.marked")).to_have_count(0)
        assert working(later).revision == before.revision
        field = fields(page, "findings").first
        field.fill(f"{PERSISTS} Kalp")
        judged(earlier, colleague, Judgement.REJECTED)
        expect(page.locator(".line.marked")).to_have_count(1)
        expect(field).to_have_value(f"{PERSISTS} Kalp")
        page.keyboard.press("Control+s")
        saved(page)
    assert texts(later) == [f"{PERSISTS} Kalp"] and working(later).draft.open_marks
