"""Withdrawing a report in a real browser, and the pages that say that one was withdrawn."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.records.kit import made_user
from tests.records.reports_kit import proof_of, signed_report
from tests.service.browser import SIZES, Watch, axe, chromium, opened, overflow, serving, signed_in
from tests.service.kit import make_context
from tetkik.records.cases.patients import Person
from tetkik.records.people import passwords
from tetkik.records.reports import versions, withdrawal
from tetkik.records.schema import User
from tetkik.values import Role, WithdrawalReason

pytestmark = pytest.mark.program("chromium")

PASSWORD = "doğru at pili zımba"


@pytest.fixture(scope="module")
def served_hospital(tmp_path_factory):
    """A hospital with a withdrawn report, its address, and a browser."""
    app_context = make_context(tmp_path_factory.mktemp("hospital"))
    actor = made_user(app_context.records, Role.RADIOLOGIST, name="Gül Işık")
    person = Person(name="Gülçin ŞAHİN", number="4711")
    made = signed_report(app_context.records, actor, department="Göğüs Hastalıkları", person=person)
    with app_context.records.write(actor) as tx:
        why, words = WithdrawalReason.WRONG_PATIENT, "Yandaki hastanın grafisi için dikte edildi."
        withdrawal.withdraw(tx, made.id, 1, why, words, proof_of(actor))
    with serving(app_context) as address, chromium() as browser:
        yield app_context, made, address, browser


@pytest.mark.parametrize(("width", "theme"), list(zip(SIZES, ("light", "dark", "light"), strict=True)))
def test_each_page_that_says_it(served_hospital, width, theme):
    app_context, made, address, browser = served_hospital
    with opened(browser, address, width=width, theme=theme) as context:
        signed_in(context, app_context, Role.RADIOLOGIST, Role.RECEPTION)
        page, watch = context.new_page(), Watch()
        watch.over(page)
        for path in (f"/reports/{made.id}", "/reports", f"/cases/{made.case_id}", "/worklist"):
            page.goto(path)
            expect(page.get_by_text("Dr. Gül Işık").first).to_be_visible()
            assert overflow(page) == 0, path
            assert axe(page) == [], path
        expect(page.locator(".case .state").first).to_contain_text("geri çekildi")
        assert watch.complaints == []


def test_a_report_is_withdrawn_by_keyboard_with_the_password(served_hospital):
    app_context, _, address, browser = served_hospital
    made = signed_report(app_context.records, person=Person(name="Ali ÖRNEK"))
    with opened(browser, address) as context:
        actor = signed_in(context, app_context, Role.RADIOLOGIST)
        with app_context.records.write(actor) as tx:
            tx.session.get_one(User, actor.user_id).password_hash = passwords.hashed(PASSWORD)
        page = context.new_page()
        page.goto(f"/reports/{made.id}")
        page.keyboard.press("w")
        page.keyboard.press("w")
        dialog = page.locator("dialog#withdraw")
        expect(dialog).to_be_visible()
        assert axe(page) == []
        page.get_by_label("Neden geri çekiliyor?").select_option("other")
        page.locator("#withdraw-password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(dialog.locator("[data-refused]")).to_contain_text("açıklama gerekir")
        page.get_by_label("Açıklama").fill("Yanlış kayda dikte edildi.")
        page.locator("#withdraw-password").fill(PASSWORD)
        page.keyboard.press("Enter")
        expect(page.get_by_text("Bu rapor geri çekildi")).to_be_visible()
        expect(page.get_by_text("Yanlış kayda dikte edildi.")).to_be_visible()
        expect(page.locator("[data-dialog=withdraw], [data-dialog=amend]")).to_have_count(0)
        page.get_by_role("link", name="Görüntüyü oku ve yeniden imzala").click()
        expect(page.get_by_text("İmzalı rapor geri çekildi")).to_be_visible()
    with app_context.records.read() as tx:
        (info,) = versions.versions_of(tx, made.id)
        assert info.withdrawn is not None and info.withdrawn.why is WithdrawalReason.OTHER
