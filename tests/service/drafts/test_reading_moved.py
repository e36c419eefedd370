"""Whoever reads a case that is moved to the right patient is told at once, and no word of theirs is lost."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.records.kit import made_user
from tests.service.browser import axe
from tests.service.reading_room import fields, reading
from tetkik.records.cases import cases, patients
from tetkik.records.cases.patients import Person
from tetkik.values import MoveReason, Role
from tetkik.workflow import case_transfer
from tetkik.workflow.case_transfer import CompletedTransfer

WORDS = "Henüz kaydedilmemiş bir cümle."


def moved(room) -> CompletedTransfer:
    desk = made_user(room.app_context.records, Role.RECEPTION, name="Ayşe Kaya")
    with room.app_context.records.write(desk) as tx:
        right = patients.create(tx, Person("Ayşe DEMİR", number="A-1"))
        seen = case_transfer.preview_transfer(tx, room.case_id, right).seen
    with room.app_context.records.write(desk) as tx:
        done = case_transfer.transfer_case(tx, room.case_id, right, MoveReason.ALIKE, seen, sure=True)
    case_transfer.remove_leftover_files(room.app_context.records, done)
    return done


def test_who_writes_is_told_where_the_case_went_and_keeps_every_word(page, room):
    field = fields(page, "impression").first
    field.fill(WORDS)
    done = moved(room)  # before or after the words were saved: either is gone with the draft
    dialog = page.locator("#conflict")
    expect(dialog.locator("[data-moved]")).to_contain_text(done.number)
    expect(dialog.locator("[data-mine-text]")).to_contain_text(WORDS)
    expect(field).to_have_attribute("readonly", "")
    assert axe(page) == []
    page.once("dialog", lambda asked: asked.accept())  # whoever has written is asked before the page goes
    dialog.get_by_role("link", name=done.number).click()
    page.wait_for_url(f"**/cases/{done.case_id}")
    with room.app_context.records.read(room.reader) as tx:
        assert cases.load_case(tx, room.case_id, audit=False).moves.to is not None


def test_the_old_address_leads_to_where_the_case_went(browser, room):
    done = moved(room)
    with reading(browser, room) as page:
        page.goto(f"/read/{room.case_id}")
        page.wait_for_url(f"**/cases/{room.case_id}")
        page.get_by_role("link", name=done.number).first.click()
        page.wait_for_url(f"**/cases/{done.case_id}")
        expect(page.get_by_text("Yanlış hastadan taşındı")).to_be_visible()
