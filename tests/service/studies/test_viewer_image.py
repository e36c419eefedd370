"""The viewer in a real browser, with WebGL and without: what is on the screen is what the image holds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.service.browser import at_a_port, chromium
from tests.service.viewer_page import (
    BLOCK,
    COLUMNS,
    PROCESSOR,
    ROWS,
    WEBGL,
    a_page,
    colours,
    opened,
    place,
    settle,
    viewer_app,
)

INSIDE = ((BLOCK[0] + BLOCK[2]) / 2, (BLOCK[1] + BLOCK[3]) / 2)
OUTSIDE = (400.0, 300.0)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with at_a_port(viewer_app()) as found:
        yield found


@pytest.fixture(scope="module", params=["webgl", "processor"])
def browser(request) -> Iterator[Browser]:
    with chromium(*(WEBGL if request.param == "webgl" else PROCESSOR)) as found:
        yield found


@pytest.fixture
def page(browser) -> Iterator[Page]:
    with a_page(browser) as found:
        yield found


def grey(page: Page, point: tuple[float, float]) -> tuple[int, ...]:
    return colours(page, point)[0]


def near(colour: tuple[int, ...], value: int) -> bool:
    return all(abs(channel - value) <= 3 for channel in colour)


def test_the_backend_is_the_one_that_there_is(page, address, browser, request):
    opened(page, address)
    wanted = request.node.callspec.params["browser"]
    assert page.get_attribute("[data-viewer]", "data-ready") == wanted


def test_an_emulated_webgl_is_left_alone(page, address):
    opened(page, address, "drawing=")
    assert page.get_attribute("[data-viewer]", "data-ready") == "processor"


@pytest.mark.parametrize("image", ["blocks", "eight"])
def test_grey_values_are_those_of_the_image(page, address, image):
    opened(page, address, f"image={image}")
    assert near(grey(page, INSIDE), 255)
    assert near(grey(page, OUTSIDE), 51)


def test_colour_is_shown_in_colour(page, address):
    opened(page, address, "image=colour")
    for point, expected in ((INSIDE, (255, 0, 0)), (OUTSIDE, (0, 0, 51))):
        assert all(abs(one - other) <= 3 for one, other in zip(grey(page, point), expected, strict=True))
    page.keyboard.press("i")
    assert all(abs(one - other) <= 3 for one, other in zip(grey(page, INSIDE), (0, 255, 255), strict=True))


def test_the_window_of_the_file_comes_first(page, address):
    opened(page, address, "image=windowed")  # black at a tenth of white, white at three tenths
    assert near(grey(page, OUTSIDE), 128)
    page.keyboard.press("5")
    assert near(grey(page, OUTSIDE), 51)
    page.keyboard.press("1")
    assert near(grey(page, OUTSIDE), 128)


def test_a_preset_and_a_drag_change_the_greys(page, address):
    opened(page, address)
    page.get_by_role("button", name="Akciğer").click()
    assert near(grey(page, OUTSIDE), round((0.2 - 0.03) / 0.62 * 255))
    assert page.get_by_role("button", name="Akciğer").get_attribute("aria-pressed") == "true"
    before = grey(page, OUTSIDE)
    x, y = place(page, OUTSIDE)
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x, y - 60, steps=3)
    page.mouse.up()
    assert grey(page, OUTSIDE)[0] > before[0] + 5
    assert page.get_by_role("button", name="Akciğer").get_attribute("aria-pressed") == "false"


def test_invert_and_back(page, address):
    opened(page, address)
    page.keyboard.press("i")
    assert near(grey(page, INSIDE), 0)
    assert near(grey(page, OUTSIDE), 204)
    page.keyboard.press("i")
    assert near(grey(page, OUTSIDE), 51)


def bring_in(page: Page) -> None:
    """The block into the middle of the pane."""
    page.evaluate(
        "([x, y]) => viewer.active.display.setView({ ...viewer.active.display.view, x, y })", list(INSIDE)
    )


def edges(page: Page) -> None:
    """The block is white up to its edges and nowhere beyond, wherever the matrix says that they are."""
    left, top, right, bottom = BLOCK
    corners = [(left, top, 3, 3), (right, top, -3, 3), (right, bottom, -3, -3), (left, bottom, 3, -3)]
    inward = colours(page, *((x + dx, y + dy) for x, y, dx, dy in corners))
    outward = colours(page, *((x - dx, y - dy) for x, y, dx, dy in corners))
    assert all(near(colour, 255) for colour in inward), inward
    assert all(near(colour, 51) for colour in outward), outward


def test_turned_mirrored_zoomed_the_image_is_where_the_matrix_says(page, address):
    opened(page, address)
    edges(page)
    upper_left = place(page, (0, 0))
    page.keyboard.press("]")
    turned = place(page, (0, 0))
    assert turned[0] > upper_left[0] + 300  # a quarter clockwise: the first corner is now on the right
    edges(page)
    page.keyboard.press("f")
    assert place(page, (0, 0))[0] < 450
    edges(page)
    page.evaluate("viewer.active.turn(30)")
    page.keyboard.press("+")
    bring_in(page)
    edges(page)
    page.keyboard.press("x")
    assert place(page, (0, 0)) == pytest.approx(upper_left)


@pytest.mark.parametrize("fineness", [1.25, 2])
def test_on_a_fine_screen_the_image_lies_under_its_marks(browser, address, fineness):
    with a_page(browser, fineness) as page:
        opened(page, address)
        edges(page)
        page.evaluate("document.querySelector('.viewer').style.width = '640px'")
        settle(page)
        edges(page)
        page.keyboard.press("]")
        page.evaluate("viewer.active.zoom(1.5)")
        bring_in(page)
        edges(page)


def test_pixels_that_are_not_square_are_stretched(page, address):
    opened(page, address, "image=uneven")
    (x0, y0), (x1, y1) = place(page, (0, 0)), place(page, (COLUMNS, ROWS))
    assert (y1 - y0) / (x1 - x0) == pytest.approx(ROWS * 0.4 / (COLUMNS * 0.2))
    edges(page)
    page.keyboard.press("]")
    edges(page)


def test_the_wheel_keeps_what_lies_under_it(page, address):
    opened(page, address)
    before = place(page, INSIDE)
    page.mouse.move(*before)
    page.mouse.wheel(0, -400)
    page.wait_for_function("() => viewer.active.display.fits === false")  # nobody waits for a wheel by itself
    # A mouse stands on whole pixels of the page, and so up to one beside the point: enlarged 1.8 times.
    assert place(page, INSIDE) == pytest.approx(before, abs=0.9)
    page.keyboard.press("0")
    assert page.evaluate("viewer.active.display.fits") is True


def test_two_fingers_zoom(page, address):
    opened(page, address)
    before = page.evaluate("viewer.active.display.view.zoom")
    page.evaluate(
        """() => {
            const stage = document.querySelector('[data-stage]');
            stage.setPointerCapture = () => {};
            const box = stage.getBoundingClientRect();
            const touch = (name, pointerId, x, y) => stage.dispatchEvent(new PointerEvent(name, {
                pointerId, pointerType: 'touch', bubbles: true,
                clientX: box.left + x, clientY: box.top + y }));
            touch('pointerdown', 1, 300, 300);
            touch('pointerdown', 2, 400, 300);
            touch('pointermove', 2, 500, 300);
            touch('pointerup', 1, 300, 300);
            touch('pointerup', 2, 500, 300);
        }"""
    )
    assert page.evaluate("viewer.active.display.view.zoom") == pytest.approx(2 * before)
    bring_in(page)
    edges(page)


def test_a_heatmap_lies_over_its_part_of_the_image(page, address):
    opened(page, address)
    show = """name => document.querySelector('[data-viewer]').dispatchEvent(new CustomEvent('heat', { detail:
        { address: `/api/v1/images/blocks/heatmaps/${name}`, name } }))"""
    page.evaluate(show, "Effusion")
    page.wait_for_selector(".viewer.with-heat .heat")
    page.evaluate("document.querySelector('.heat').decode()")
    edge = (COLUMNS / 2, ROWS / 2)
    for turn in ("", "]", "f"):
        if turn:
            page.keyboard.press(turn)
        x, y = edge
        under, beside, below = colours(page, (x - 6, y - 6), (x + 6, y - 6), (x - 6, y + 6))
        assert abs(under[0] - 153) < 5 and abs(under[1] - 26) < 5  # one half of each
        assert near(beside, 51) and near(below, 51)
    page.locator("[data-opacity]").fill("100")
    assert grey(page, (edge[0] - 6, edge[1] - 6))[0] > 250
    page.keyboard.press("h")
    assert near(grey(page, (edge[0] - 6, edge[1] - 6)), 51)
    page.evaluate(show, "missing")
    page.wait_for_selector("[data-live]:has-text('haritası yok')", state="attached")
    assert near(grey(page, (edge[0] - 6, edge[1] - 6)), 51)


def test_the_prior_moves_with_the_image_unless_parted(page, address):
    opened(page, address, "image=blocks&prior=chest")
    page.keyboard.press("c")
    page.wait_for_selector("[data-pane=prior][data-ready]")
    page.keyboard.press("]")
    page.keyboard.press("i")
    views = "viewer.panes.slice(0, 2).map((pane) => [pane.display.view.turn, pane.display.inverted])"
    assert page.evaluate(views) == [[90, True], [90, True]]
    page.keyboard.press("k")
    page.keyboard.press("]")
    assert page.evaluate(views) == [[180, True], [90, True]]
    page.keyboard.press("c")
    assert page.locator("[data-pane=prior]").is_hidden()
    page.keyboard.press("x")
    settle(page)
    edges(page)


def test_an_image_that_cannot_be_had_says_so(page, address):
    opened(page, address, "image=missing")
    assert page.get_attribute("[data-viewer]", "data-ready") == "failed"
    assert "There is no such image." in page.locator("[data-pane=current] [data-state]").inner_text()
    page.keyboard.press("i")  # and no tool trips over it
