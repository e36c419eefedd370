"""The desk in a real browser, with the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl

import pytest
from playwright.sync_api import Page, Response

from tests.records.kit import made_case
from tests.service.browser import Watch, axe, opened, overflow, serving, signed_in
from tests.service.kit import make_context
from tetkik.language import Language
from tetkik.records.cases import cases
from tetkik.records.cases.patients import Person
from tetkik.values import Role

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
        assert page.locator("#spoken").inner_text().startswith("Kırmızı: hemen. Kardiyoloji, %")
        assert page.title() != "x" and page.locator("#mirror script").count() == 0
        with answered(page, "terliyorum"):
            page.keyboard.type(" ve terliyorum")
            assert page.locator("#mirror").text_content() == area.input_value()
        assert page.locator("#mirror").text_content() == area.input_value()
        assert axe(page) == [] and overflow(page) == 0

        # F2 accepts the first department and goes on to the patient.
        assert page.locator("[data-department='Kardiyoloji'][data-first]").is_visible()
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
