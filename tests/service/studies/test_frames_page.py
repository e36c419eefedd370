"""An image of several frames in the reading view: leafed through by keyboard and slider, and read."""

from __future__ import annotations

import re
from io import BytesIO

import pytest
from playwright.sync_api import expect

from tests.records.kit import made_case, made_user
from tests.service.browser import axe, chromium, opened, overflow, serving, signed_in
from tests.service.frames import frames
from tetkik.imaging.read import read_bytes
from tetkik.records.images import images, jobs, runs
from tetkik.records.images.images import ImageMetadata
from tetkik.records.people.visibility import load_visible_case
from tetkik.values import Role


def read_image(app_context, case, frame):
    """The image with seven frames, of which a model has read one."""
    technician = made_user(app_context.records, Role.TECHNICIAN)
    with app_context.records.write(technician) as tx:
        file = images.store_file(tx, load_visible_case(tx, case).patient_id, BytesIO(frames(7)))
        image = images.add_image(tx, case, file, ImageMetadata.of(read_bytes(frames(7), "x"))).image
        runs.add_run(tx, image, runs.ModelAnswer("m 1.0", "", tx.now, None, frame))
    return image


@pytest.mark.program("chromium")
def test_frames_are_leafed_through_and_another_is_read(app_context):
    case = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    image = read_image(app_context, case, frame=4)
    with serving(app_context) as address, chromium() as browser, opened(browser, address) as window:
        signed_in(window, app_context, Role.RADIOLOGIST, Role.TECHNICIAN)
        page = window.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url.partition("frame=")[2]))
        page.goto(f"/read/{case}")
        bar = page.locator("[data-pane=current] [data-frames]")
        page.wait_for_selector("[data-viewer][data-ready]")
        expect(bar.locator("output")).to_have_text("4 / 7")
        expect(bar.locator(".as-read")).to_have_text("model okudu")
        page.locator("[data-pane=current] [data-stage]").focus()
        page.keyboard.press("PageDown")
        expect(bar).to_have_attribute("data-shown", "5")
        expect(page.locator("[data-live]")).to_have_text("7 kareden 5.")
        page.keyboard.press(",")
        expect(bar).to_have_attribute("data-shown", "4")
        bar.locator("input[type=range]").fill("7")
        expect(bar).to_have_attribute("data-shown", "7")
        assert [frame for frame in asked if frame] == ["4", "5", "7"]
        expect(bar.locator("[data-to-read]")).to_have_text("Model: 4. kare")
        assert axe(page) == [] and overflow(page) == 0
        bar.locator("[data-ask] button").click()
        expect(page.locator("[data-awaited]").first).to_contain_text("Model 7. kareyi okuyor")
    with app_context.records.read() as tx:
        work = jobs.newest_job(tx, image.id)
        assert work is not None and work.frame == 7


@pytest.mark.program("chromium")
def test_fingers_go_through_the_stack_zoom_and_change_the_window(app_context):
    case = made_case(app_context.records, made_user(app_context.records, Role.RECEPTION))
    read_image(app_context, case, frame=4)
    with (
        serving(app_context) as address,
        chromium() as browser,
        opened(browser, address, width=390, touch=True) as window,
    ):
        signed_in(window, app_context, Role.RADIOLOGIST)
        page = window.new_page()
        page.goto(f"/read/{case}")
        page.wait_for_selector("[data-viewer][data-ready]")
        pane = page.locator("[data-pane=current]")
        bar, stage = pane.locator("[data-frames]"), pane.locator("[data-stage]")
        hand = window.new_cdp_session(page)
        box = stage.bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

        def touch(kind: str, *places: tuple[float, float]) -> None:
            points = [{"x": x + right, "y": y + down, "id": i} for i, (right, down) in enumerate(places)]
            hand.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

        expect(bar).to_have_attribute("data-shown", "4")
        touch("Start", (0, 0))
        touch("Move", (0, 14))
        touch("Move", (0, 29))
        touch("End")
        expect(bar).to_have_attribute("data-shown", "6")
        before = pane.locator("[data-edge=window]").text_content() or ""
        touch("Start", (0, 0))
        expect(stage).to_have_class(re.compile("held"))  # it lay still
        touch("Move", (60, 0))
        touch("End")
        expect(pane.locator("[data-edge=window]")).not_to_have_text(before)
        expect(bar).to_have_attribute("data-shown", "6")
        zoom = pane.locator("[data-edge=zoom]").text_content() or ""
        touch("Start", (-20, 0))
        touch("Start", (-20, 0), (20, 0))
        touch("Move", (-60, 0), (60, 0))
        touch("End")
        expect(pane.locator("[data-edge=zoom]")).not_to_have_text(zoom)
        # Where there is something to move, one finger moves it.
        touch("Start", (0, 0))
        touch("Move", (0, 60))
        touch("End")
        expect(bar).to_have_attribute("data-shown", "6")
