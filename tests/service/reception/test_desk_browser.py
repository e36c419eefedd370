"""The desk in a browser: the button in sight, a live list, a search while one types, a copy."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.records.kit import made_case, made_user
from tests.service.browser import Watch, arrived, opened, serving, signed_in
from tests.service.kit import make_context
from tetkik.records.cases.patients import Person
from tetkik.values import Priority, Role


@pytest.mark.parametrize("width", [1440, 390])
def test_an_hour_at_the_desk(browser, tmp_path, width):
    app_context = make_context(tmp_path)
    desk = made_user(app_context.records, Role.RECEPTION)
    with serving(app_context) as address, opened(browser, address, width=width) as context:
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        signed_in(context, app_context, Role.RECEPTION)
        page, watch = context.new_page(), Watch()
        watch.over(page)
        page.goto("/reception")
        expect(page.locator("#open")).to_be_in_viewport(ratio=1)
        page.locator("#question").scroll_into_view_if_needed()
        expect(page.locator("#open")).to_be_in_viewport(ratio=1)

        page.goto("/reception/waiting")
        expect(page.get_by_text("Görüntü bekleyen vaka yok")).to_be_visible()
        person = Person("Gülçin ŞAHİN", "", "H-7", birth_date="20000101")
        case_id = made_case(app_context.records, desk, person, priority=Priority.CRITICAL)
        expect(page.get_by_role("link", name="Gülçin ŞAHİN")).to_be_visible()

        page.keyboard.press("/")
        arrived(page, "/search")
        expect(page.locator("#words")).to_be_focused()
        page.keyboard.type("gülç", delay=20)
        expect(page.locator("#found-title")).to_have_text("Bir vaka bulundu")
        expect(page.locator("#words")).to_be_focused()
        assert page.url.endswith("/search")
        page.keyboard.press("ArrowDown")
        expect(page.locator(f"#open-{case_id}")).to_be_focused()

        page.goto(f"/cases/{case_id}")
        page.get_by_role("button", name="Dosya numarasını kopyala").click()
        expect(page.get_by_text("Kopyalandı.")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == "H-7"
        assert not watch.complaints
