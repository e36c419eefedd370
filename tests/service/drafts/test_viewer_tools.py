"""Measuring, by hand and by keyboard; and the viewer for people who do not see it."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.service.browser import AXE, at_a_port, chromium
from tests.service.viewer_page import PROCESSOR, a_page, opened, place, viewer_app


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with at_a_port(viewer_app()) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium(*PROCESSOR) as found:
        yield found


@pytest.fixture
def page(browser) -> Iterator[Page]:
    with a_page(browser) as found:
        yield found


def stroke(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    page.mouse.move(*place(page, start))
    page.mouse.down()
    page.mouse.move(*place(page, end), steps=4)
    page.mouse.up()


def value(page: Page, index: int = 0) -> float:
    text = page.locator("[data-marks] li b").nth(index).inner_text()
    return float(text.split()[0].rstrip("°").replace(".", "").replace(",", "."))


@pytest.mark.parametrize(
    ("image", "expected", "unit"),
    [
        ("blocks", math.hypot(200 * 0.2, 150 * 0.2), "mm"),
        ("uneven", math.hypot(200 * 0.2, 150 * 0.4), "mm"),
        ("eight", math.hypot(200, 150), "piksel"),
    ],
)
def test_a_known_length(page, address, image, expected, unit):
    opened(page, address, f"image={image}")
    page.keyboard.press("m")
    stroke(page, (100, 100), (300, 250))
    assert value(page) == pytest.approx(expected, rel=0.01)
    assert unit in page.locator("[data-marks]").inner_text()
    note = page.locator("[data-note]").inner_text()
    assert ("piksel" in note) == (unit == "piksel")


def test_a_length_is_the_same_however_the_image_is_turned_and_zoomed(page, address):
    opened(page, address)
    page.keyboard.press("+")
    page.keyboard.press("]")
    page.keyboard.press("f")
    page.keyboard.press("m")
    stroke(page, (200, 150), (400, 250))
    assert value(page) == pytest.approx(math.hypot(40, 20), rel=0.01)
    page.keyboard.press("x")
    assert value(page) == pytest.approx(math.hypot(40, 20), rel=0.01)


def test_an_angle_by_three_clicks_in_both_languages(page, address):
    for language, name in (("tr", "Açı"), ("en", "Angle")):
        opened(page, address, f"language={language}")
        page.keyboard.press("a")
        for point in ((300, 200), (200, 200), (200 + 60, 200 - 80)):
            page.mouse.click(*place(page, point))
        assert value(page) == pytest.approx(math.degrees(math.atan2(80, 60)), abs=1) or language == "en"
        assert name in page.locator("[data-marks]").inner_text()


def test_the_wheel_and_the_other_buttons_keep_the_tool(page, address):
    opened(page, address)
    page.keyboard.press("m")
    x, y = place(page, (300, 200))
    page.mouse.move(x, y)
    page.mouse.down(button="middle")
    page.mouse.move(x + 30, y + 10)
    page.mouse.up(button="middle")
    assert place(page, (300, 200)) == pytest.approx((x + 30, y + 10), abs=1)
    assert page.locator("[data-marks] li").count() == 0


def test_an_end_is_dragged_and_a_length_removed(page, address):
    opened(page, address)
    page.keyboard.press("m")
    stroke(page, (100, 100), (200, 100))
    stroke(page, (200, 100), (300, 100))  # takes the end, makes no second length
    assert page.locator("[data-marks] li").count() == 1
    assert value(page) == pytest.approx(40, rel=0.01)
    page.get_by_role("button", name=re.compile("sil$")).click()
    assert page.locator("[data-marks] li").count() == 0
    assert page.locator("[data-measured]").is_hidden()


def test_everything_by_keyboard(page, address):
    opened(page, address)
    stage = page.locator("[data-stage]").first
    for _ in range(12):
        page.keyboard.press("Tab")
        if stage.evaluate("(element) => element === document.activeElement"):
            break
    assert stage.evaluate("(element) => element === document.activeElement")
    look = "[viewer.active.display.window.width, viewer.active.display.window.centre]"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    width, centre = page.evaluate(look)
    assert width > 1 and centre < 0.5
    x, _ = place(page, (0, 0))
    page.keyboard.press("Shift+ArrowRight")
    assert place(page, (0, 0))[0] > x
    page.keyboard.press("x")
    page.keyboard.press("m")
    page.keyboard.press("Enter")
    for _ in range(10):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Enter")
    zoom = page.evaluate("viewer.active.display.view.zoom")
    assert value(page) == pytest.approx(200 / zoom * 0.2, rel=0.01)
    page.keyboard.press("Tab")  # to the first end
    page.keyboard.press("Shift+ArrowLeft")
    assert value(page) == pytest.approx(210 / zoom * 0.2, rel=0.01)
    page.keyboard.press("Delete")
    assert page.locator("[data-marks] li").count() == 0
    assert stage.evaluate("(element) => element === document.activeElement")


def test_the_tools_are_one_stop_and_arrows_lead_through_them(page, address):
    opened(page, address)
    names = []
    page.get_by_role("button", name="Pencere").focus()
    for _ in range(5):
        names.append(page.evaluate("document.activeElement.getAttribute('aria-label')"))
        page.keyboard.press("ArrowRight")
    assert names == ["Pencere", "Kaydır", "Yakınlaştır", "Uzunluk ölç", "Açı ölç"]
    tools = page.locator("[role=toolbar]").first.locator("button")
    assert [button.get_attribute("tabindex") for button in tools.all()].count("0") == 1


def test_a_screen_reader_hears_what_happens(page, address):
    opened(page, address)
    live = page.locator("[data-live]")
    page.keyboard.press("m")
    live.filter(has_text="Uzunluk: bir uçtan").wait_for(state="attached")
    stroke(page, (100, 100), (200, 100))
    live.filter(has_text="Uzunluk 1: 20,0 mm").wait_for(state="attached")
    assert page.get_by_role("button", name="Uzunluk 1: 20,0 mm, uç 1").count() == 1


@pytest.mark.parametrize("language", ["tr", "en"])
def test_axe_finds_nothing(page, address, language):
    opened(page, address, f"prior=chest&language={language}")
    page.keyboard.press("c")
    page.wait_for_selector("[data-pane=prior][data-ready]")
    page.keyboard.press("m")
    stroke(page, (100, 100), (200, 100))
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document.querySelector('[data-viewer]'))")["violations"]
    assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in found] == []


def test_nothing_is_loaded_before_it_is_needed(page, address):
    """The third-party module comes with the viewer, not with the page, and there is one of it."""
    loaded: list[str] = []
    page.on("request", lambda request: loaded.append(request.url))
    opened(page, address)
    assert [url.rsplit("/", 1)[1] for url in loaded if "/vendor/" in url] == ["cornerstone.js"]
