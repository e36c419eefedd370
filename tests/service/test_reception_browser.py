"""The desk in a browser: the button in sight, a live list, a search while one types, a copy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Page, Response, expect

from tests.records.kit import made_case, made_user
from tests.service.browser import Watch, arrived, axe, opened, overflow, serving, signed_in
from tests.service.kit import make_context
from tetkik.language import Language
from tetkik.records.cases import cases
from tetkik.records.cases.patients import Person
from tetkik.values.access import Role
from tetkik.values.states import Priority


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


# The desk in a real browser, with the keyboard alone.


TEXT = "Göğsümde baskı var, <script>document.title='x'</script> sol koluma vuruyor"


@pytest.fixture
def app_context(tmp_path):
    made = make_context(tmp_path, language=Language.TR)
    yield made
    made.records.close()


@contextmanager
def answered(page: Page, end: str) -> Iterator[None]:
    """What is typed up to this end is answered, and nothing is on its way any more."""

    def is_it(answer: Response) -> bool:
        sent = parse_qsl(answer.request.post_data or "")
        return any(value.endswith(end) for _, value in sent)

    with page.expect_response(is_it):
        yield
    page.wait_for_function("() => !document.querySelector('.htmx-request, .htmx-swapping, .htmx-settling')")


def test_a_visit_from_the_first_key_to_the_slip(app_context, browser):
    watch = Watch()
    with serving(app_context) as address, opened(browser, address) as window:
        actor = signed_in(window, app_context, Role.RECEPTION)
        made_case(app_context.records, actor, Person("İsmail IŞIK", number="H-1"))
        page = window.new_page()
        watch.over(page)
        page.goto("/reception")
        area = page.locator("#complaint")
        assert area.evaluate("one => one === document.activeElement")

        # An unsure answer asks; a chip adds a sentence, and Ctrl+Z takes it back.
        with answered(page, "var"):
            page.keyboard.type("Ağrım var")
        page.locator("[data-add]").first.focus()
        page.keyboard.press("Enter")
        assert area.input_value().startswith("Ağrım var. ") and area.input_value().endswith(".")
        page.keyboard.press("Control+z")
        assert area.input_value() == "Ağrım var"

        # As one types the answer comes, and the words under the field stay those in it.
        page.keyboard.press("Control+a")
        with answered(page, "vuruyor"):
            page.keyboard.type(TEXT)
        assert page.locator("#answer .banner.kirmizi").is_visible()
        assert page.evaluate("text => mirror.textContent === text && !!mirror.querySelector('mark')", TEXT)
        assert page.locator("#spoken").inner_text().startswith("Acil Servis. Kırmızı: hemen.")
        assert page.title() != "x" and page.locator("#mirror script").count() == 0
        with answered(page, "terliyorum"):
            page.keyboard.type(" ve terliyorum")
            assert page.locator("#mirror").text_content() == area.input_value()
        assert page.locator("#mirror").text_content() == area.input_value()
        assert axe(page) == [] and overflow(page) == 0

        # F2 accepts the first department and goes on to the patient.
        assert page.locator("details:not([open]) [data-department='Kardiyoloji'][data-first]").count() == 1
        page.keyboard.press("F2")
        assert page.locator("#department").input_value() == "Kardiyoloji"
        with answered(page, "isi"):
            page.keyboard.type("ismail isi")
        page.keyboard.press("Enter")
        # Whoever is found stays under the hand when a later answer comes.
        with answered(page, "isik"):
            page.evaluate("words.value += 'k'; words.dispatchEvent(new Event('input', { bubbles: true }))")
        page.keyboard.press("Enter")
        assert page.locator("#chosen b").text_content() == "İsmail IŞIK"
        page.keyboard.type("Kalp büyük mü?")
        page.keyboard.press("F9")

        page.wait_for_url("**/cases/*")
        case_id = page.url.split("/cases/")[1].split("?")[0]
        assert page.locator("mark.kirmizi").count() and page.title() != "x"
        assert axe(page) == []
        page.keyboard.press("Enter")  # the slip's button has the focus
        page.wait_for_url("**/slip")
        assert page.locator(".slip").inner_text().count("Kardiyoloji") == 1
        assert axe(page) == []
    assert watch.complaints == []
    with app_context.records.read() as tx:
        case = cases.load_case(tx, case_id, audit=False)
    assert (case.department, case.person.number, case.question) == ("Kardiyoloji", "H-1", "Kalp büyük mü?")
    assert case.complaint is not None
    assert case.complaint.result.text == TEXT + " ve terliyorum"


def test_a_new_patient_field_by_field(app_context, browser):
    with serving(app_context) as address, opened(browser, address) as window:
        signed_in(window, app_context, Role.RECEPTION)
        page = window.new_page()
        page.goto("/reception")
        page.keyboard.press("F8")
        page.keyboard.press("Enter")  # nobody looked for: on to the fields of a new patient
        # Enter goes on and opens nothing; a mistyped number is told at once.
        for words in ("Ece Öz", "10000000147"):
            page.keyboard.type(words)
            page.keyboard.press("Enter")
        assert page.locator("#tckn-error").is_visible()
        page.keyboard.press("Shift+Tab")
        page.keyboard.type("10000000146")
        page.keyboard.press("Enter")
        assert page.locator("#tckn-error").count() == 0
        page.keyboard.press("Enter")
        page.keyboard.type("1.2.1990")
        assert page.url.endswith("/reception")
        page.keyboard.press("Control+Enter")
        page.wait_for_url("**/cases/*")
        assert page.locator(".facts").inner_text().count("01.02.1990") == 1


def test_another_urgency_with_one_key(app_context, browser):
    watch = Watch()
    with serving(app_context) as address, opened(browser, address) as window:
        signed_in(window, app_context, Role.RECEPTION)
        page = window.new_page()
        watch.over(page)
        page.goto("/reception")
        with answered(page, "batıyor."):
            page.keyboard.type("İki haftadır ayak tırnağım batıyor.")
        # F6, the level, the reason: raised, and the hand is back in the complaint.
        for key in ("F6", "k", "2"):
            page.keyboard.press(key)
        choice = page.locator("#urgency-choice")
        assert choice.get_attribute("open") is None
        assert choice.locator("summary [data-set='kirmizi']").is_visible()
        # What is typed on does not take it away, and Escape changes nothing.
        with answered(page, "günlerdir."):
            page.keyboard.type(" Ağrıyor günlerdir.")
        assert page.evaluate("new FormData(document.getElementById('desk')).get('urgency')") == "kirmizi"
        page.keyboard.press("F6")
        page.keyboard.press("Escape")
        assert choice.get_attribute("open") is None

        # The text is red now: lowering it asks, and the browser shows where before anything is sent.
        page.locator("#complaint").fill("")
        with answered(page, "terliyorum."):
            page.keyboard.type("Göğsümde baskı var, sol koluma vuruyor, terliyorum.")
        page.keyboard.press("F6")
        assert not page.locator("[name=urgency_sure]").is_visible()
        for key in ("s", "7"):
            page.keyboard.press(key)
        sure = page.locator("[name=urgency_sure]")
        assert sure.is_visible() and sure.evaluate("one => one === document.activeElement")
        assert axe(page) == [] and overflow(page) == 0
        page.keyboard.press("Escape")
        page.locator("#unknown").check()
        page.keyboard.press("F9")
        assert page.url.endswith("/reception") and sure.is_visible()
        page.keyboard.press("Enter")
        assert sure.is_checked() and choice.get_attribute("open") is None
        page.keyboard.press("F9")
        page.wait_for_url("**/cases/*")
        assert page.locator(".case-head .badge.sari").is_visible()

        # On the case the same with `a`; `0` is triage's again, and Enter sends it.
        for key in ("a", "0"):
            page.keyboard.press(key)
        with page.expect_navigation():
            page.keyboard.press("Enter")
        assert page.locator(".case-head .badge.kirmizi").is_visible()
        assert axe(page) == []
    assert watch.complaints == []


def test_another_urgency_without_scripts(app_context, browser):
    with serving(app_context) as address:
        context = browser.new_context(base_url=address, java_script_enabled=False, locale="tr")
        signed_in(context, app_context, Role.RECEPTION)
        page = context.new_page()
        page.goto("/reception")
        page.locator("#complaint").fill("İki haftadır ayak tırnağım batıyor.")
        page.locator("#urgency-choice summary").click()
        page.locator("#urgency-choice [value=sari]").check()
        page.locator("#urgency-choice [value=told_more]").check()
        page.locator("#unknown").check()
        page.locator("#open").click()
        page.wait_for_url("**/cases/*")
        assert page.locator(".banner.sari").inner_text().count("Sorulunca daha fazlasını anlattı") == 1
        page.locator("#urgency-choice summary").click()
        page.locator("#urgency-choice [value='']").check()
        page.locator("#urgency-choice [type=submit]").click()
        assert page.locator(".banner.yesil").is_visible()
        context.close()
