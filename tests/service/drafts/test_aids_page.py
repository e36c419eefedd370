"""The aids to writing in a real browser: macro, fields, normals, spelling, dictation, a critical result."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from tests.gateways import http_gateway
from tests.service.browser import ARGUMENTS, axe, chromium
from tests.service.kit import make_context
from tests.service.reading_room import made_room, reading, served_room, texts, working
from tetkik.language import Language
from tetkik.records.reports import macros
from tetkik.records.schema import CriticalResult

_FAKE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


@pytest.fixture(scope="module")
def room(tmp_path_factory):
    folder = tmp_path_factory.mktemp("aids")
    (folder / "tr.aff").write_text("SET UTF-8\nFLAG num\n", "utf-8")
    (folder / "tr.dic").write_text("4\nsol\nsağ\nalt\nizlendi\n", "utf-8")
    with http_gateway() as recogniser:
        recogniser.body = json.dumps({"text": "plevra serbest nokta yeni satır kalp normal nokta"}).encode()
        room = made_room(folder, "Effusion")
        context = make_context(
            folder,
            room.app_context.records,
            dictation_url=f"{recogniser.url}/v1",
            spelling_dictionary=folder / "tr.dic",
        )
        object.__setattr__(room, "app_context", context)
        with context.records.write(room.reader) as tx:
            text = "[taraf: sağ|sol] alt zonda [mm] nodül izlendi.\nİkinci cümle."
            macros.add(tx, macros.MacroText("nd", "Nodül", Language.TR, text, 1))
        with served_room(room) as served:
            yield served, recogniser


def test_a_report_is_written_with_the_aids(room):
    room, recogniser = room
    with chromium(*ARGUMENTS, *_FAKE) as browser, reading(browser, room) as page:
        page.context.grant_permissions(["microphone"])
        page.goto(f"/read/{room.case_id}")
        page.locator("[data-macro='nd']").wait_for(state="attached")
        page.click("[data-add='findings']")
        line = page.locator("[data-lines='findings'] [data-line]")
        page.keyboard.type(".ND")
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
        page.keyboard.type("12")
        expect(line.last.locator("textarea")).to_have_value("İkinci cümle.")
        wanted = "sol alt zonda 12 mm nodül izlendi."
        expect(line.nth(-2).locator("textarea")).to_have_value(wanted)
        page.keyboard.press("End")
        page.keyboard.type(" efüzyn")
        suggested = line.nth(-2).get_by_role("button", name="efüzyon")
        suggested.click()
        expect(line.nth(-2).locator("textarea")).to_have_value(f"{wanted} efüzyon.")
        page.keyboard.press("Control+s")
        expect(page.locator(".draft-side.unsaved")).to_have_count(0)
        assert f"{wanted} efüzyon." in texts(room)

        page.evaluate("document.activeElement.blur()")  # as on a page that was just opened
        page.keyboard.press("?")
        listed = page.locator("#keys .keys > dt").first
        expect(listed).to_have_text("Normal bulgular")
        expect(listed.locator("+ dd")).to_have_text("Alt N ")
        page.keyboard.press("Escape")
        page.keyboard.press("Alt+n")
        expect(page.locator("textarea", has_text="kemik yapılar")).to_have_count(1)
        assert "Görüntü alanına giren kemik yapılar doğaldır." in texts(room)

        page.click("[data-add='impression']")
        page.keyboard.press("Alt+r")
        button = page.locator("[data-dictate]")
        expect(button).to_have_attribute("aria-pressed", "true")
        page.wait_for_timeout(300)
        page.keyboard.press("Alt+r")
        impression = page.locator("[data-lines='impression'] textarea")
        expect(impression.last).to_have_value("kalp normal.")
        expect(impression.nth(-2)).to_have_value("Plevra serbest.")
        assert b"webm" in recogniser.requests[0][2] and len(recogniser.requests[0][2]) > 500

        page.keyboard.press("Control+s")
        expect(page.locator(".draft-side.unsaved")).to_have_count(0)
        assert axe(page) == []
        page.get_by_role("button", name="Kritik sonuç", exact=True).click()
        page.fill("#report-critical [name=words]", "Tansiyon pnömotoraks")
        assert axe(page) == []
        page.click("#report-critical [type=submit]")
        expect(page.locator("#report-critical")).to_be_hidden()
    with room.app_context.records.read() as tx:
        (row,) = tx.session.scalars(select(CriticalResult)).all()
        assert row.case_id == room.case_id
    assert working(room).revision > 1
