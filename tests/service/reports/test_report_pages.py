"""The pages of reports in a real browser: at every size, in both themes, by keyboard, for a screen reader."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.records import changes
from tests.records.kit import made_user
from tests.records.reports_kit import sign, signed_report
from tests.service.browser import Watch, axe, chromium, opened, overflow, serving, signed_in
from tests.service.kit import make_context
from tetkik.language import Language
from tetkik.records.reports import signing, templates
from tetkik.rules.editing import DraftEdit
from tetkik.values import DraftSentence, Role, Section

pytestmark = pytest.mark.program("chromium")


@pytest.fixture(scope="module")
def served_reports(tmp_path_factory):
    """A hospital with an amended report, its address, and a browser."""
    app_context = make_context(tmp_path_factory.mktemp("hospital"))
    actor = made_user(app_context.records, Role.RADIOLOGIST)
    made = signed_report(app_context.records, actor, department="Göğüs Hastalıkları")
    with app_context.records.write(actor) as tx:
        begun = signing.begin_amendment(tx, made.id, "Kalp boyutu düzeltildi.")
        text = [*begun.draft.sentences[:-1], DraftSentence("Kontrol önerilir.", Section.RECOMMENDATION)]
        changes.save(tx, made.id, begun.revision, DraftEdit(text))
        sign(tx, made.id, actor)
        templates.add(tx, "Normal akciğer", Language.TR, "{findings} Kemik yapılar doğaldır.")
    with serving(app_context) as address, chromium() as browser:
        yield app_context, made, address, browser


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (768, "light"), (390, "dark")])
def test_each_page_at_each_size(served_reports, width, theme):
    app_context, made, address, browser = served_reports
    pages = (
        "/reports",
        f"/reports/{made.id}",
        f"/reports/{made.id}/versions/1",
        f"/reports/{made.id}/compare",
    )
    with opened(browser, address, width=width, theme=theme) as context:
        signed_in(context, app_context, Role.RADIOLOGIST)
        page, watch = context.new_page(), Watch()
        watch.over(page)
        for path in (*pages, "/templates"):
            page.goto(path)
            assert overflow(page) == 0, path
            if width != 768:
                assert axe(page) == [], path
        assert watch.complaints == []


def test_the_amendment_is_begun_by_keyboard(served_reports):
    app_context, made, address, browser = served_reports
    with opened(browser, address) as context:
        signed_in(context, app_context, Role.RADIOLOGIST)
        page = context.new_page()
        page.goto(f"/reports/{made.id}")
        page.keyboard.press("a")
        page.wait_for_selector("dialog#amend[open]")
        assert axe(page) == []
        page.keyboard.press("Escape")
        expect(page.locator("dialog#amend")).to_be_hidden()


def test_the_heatmap_takes_the_place_of_the_image_and_back(served_reports):
    app_context, made, address, browser = served_reports
    with opened(browser, address, width=390) as context:
        signed_in(context, app_context, Role.CLINICIAN)
        page = context.new_page()
        page.goto(f"/reports/{made.id}")
        plain, heat = page.locator(".report-image .plain"), page.locator(".report-image .heat")
        expect(plain).to_be_visible()  # once it is there: the page does not wait for its images
        expect(heat).to_be_hidden()
        page.focus("#shown-image")
        page.keyboard.press("ArrowRight")
        expect(heat).to_be_visible()
        expect(plain).to_be_hidden()
        assert page.query_selector("dialog#amend") is None


def test_what_changed_is_said_in_words_too(served_reports):
    app_context, made, address, browser = served_reports
    with opened(browser, address) as context:
        signed_in(context, app_context, Role.CLINICIAN)
        page = context.new_page()
        page.goto(f"/reports/{made.id}/compare")
        assert page.inner_text("article ins").startswith("eklendi:")
        assert page.inner_text("article del").startswith("çıkarıldı:")
