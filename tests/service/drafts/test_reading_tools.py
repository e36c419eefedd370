"""The tools of the viewer in a real browser, all of them in one case, to its signature."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pydicom
from playwright.sync_api import Page, expect

from tests.records import changes
from tests.records.reports_kit import every_mark_kept, judged_all
from tests.service.browser import AXE, chord
from tests.service.drafts.test_reading_measurements import stroke
from tests.service.reading_room import PASSWORD, seen, working
from tetkik.values import MeasurementKind


def spot(page: Page, x: float, y: float) -> tuple[float, float]:
    box = page.locator("[data-stage]").first.bounding_box()
    assert box is not None
    side = min(box["width"], box["height"])  # the image is square, and fits
    left, top = box["x"] + (box["width"] - side) / 2, box["y"] + (box["height"] - side) / 2
    return left + side * x, top + side * y


def picture(page: Page, name: str) -> None:
    """A picture for people to look at, where a folder is named."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_every_tool_in_one_case(page, room):
    seen(page)
    rows = page.locator("[data-measurement]")
    # a region: the server counts its pixels
    page.keyboard.press("e")
    stroke(page, (0.3, 0.3), (0.4, 0.4))
    expect(rows).to_have_count(1)
    expect(rows.first.locator("b")).to_contain_text("ort. ")
    expect(page.locator(".marks .value").first).to_contain_text("ort. ")
    (region,) = working(room).measurements
    assert region.statistics is not None and region.statistics.pixels > 100
    page.locator(".marks .end").nth(1).focus()
    page.keyboard.press("Control+ArrowRight")
    expect(rows.first.locator("b")).to_contain_text("ort. ")
    page.wait_for_function("() => document.querySelector('.marks .value').textContent.includes('ort.')")
    (moved,) = working(room).measurements
    assert moved.points != region.points and moved.figures[-1].rounded == region.figures[-1].rounded
    # the ratio in three clicks; the fourth edge is proposed, and is there to be moved
    page.keyboard.press("t")
    for x, y in ((0.42, 0.6), (0.66, 0.64), (0.195, 0.6)):
        page.mouse.click(*spot(page, x, y))
    expect(rows).to_have_count(2)
    hint = page.locator("[data-hint]")
    expect(hint).to_contain_text("önerildi")
    page.locator("[data-stage]").first.focus()
    page.keyboard.press("Escape")
    expect(hint).to_be_hidden()  # the tool is left
    ratio = working(room).measurements[1]
    assert ratio.kind is MeasurementKind.CARDIOTHORACIC and 0.3 < ratio.value < 0.5
    assert 400 < ratio.points[3][0] < 425  # where the phantom's left wall is at that height
    expect(page.locator(".measurements")).to_contain_text("erişkin PA grafide 0,50'ye kadar normal")
    # an arrow, and words
    page.keyboard.press("u")
    stroke(page, (0.7, 0.3), (0.6, 0.4))
    expect(rows).to_have_count(3)
    page.keyboard.press("l")
    page.mouse.click(*spot(page, 0.65, 0.2))
    page.locator(".viewer .note").fill("Kateter ucu")
    page.keyboard.press("Enter")
    expect(rows).to_have_count(4)
    expect(page.locator(".marks")).to_contain_text(["Kateter ucu"])
    # the magnifier stays for as long as its key is held
    page.mouse.move(*spot(page, 0.5, 0.5))
    page.keyboard.down("b")
    expect(page.locator(".magnifier").first).to_be_visible()
    picture(page, "magnifier")
    page.keyboard.up("b")
    expect(page.locator(".magnifier").first).to_be_hidden()
    # a key image, named
    page.keyboard.press("y")
    keys = page.locator("[data-key-image]")
    expect(keys).to_have_count(1)
    keys.first.locator("[data-key-note]").fill("Kalp ve kateter")
    page.keyboard.press("Tab")
    expect(page.locator("[data-saved]")).to_be_visible()
    page.wait_for_function(
        "() => document.querySelector('[data-key-note]')?.defaultValue === 'Kalp ve kateter'"
    )
    assert working(room).content.key_images[0].note == "Kalp ve kateter"
    # what is shown goes out as a presentation state, comes back in, and is applied
    page.locator("[data-stage]").first.focus()
    page.keyboard.press("]")
    page.keyboard.press("i")
    menu = page.locator("[data-presentations]")
    menu.locator("summary").click()
    picture(page, "menu")
    with page.expect_download() as download:
        menu.locator("[data-state-download]").click()
    state = Path(download.value.path()).read_bytes()
    made = pydicom.dcmread(io.BytesIO(state))
    assert (made.ImageRotation, made.PresentationLUTShape) == (90, "INVERSE")
    objects = made.GraphicAnnotationSequence[0].TextObjectSequence
    assert "Kateter ucu" in [item.UnformattedTextValue for item in objects]
    menu.locator("input[type=file]").set_input_files({"name": "s.dcm", "mimeType": "", "buffer": state})
    expect(menu.locator("[data-states] .item")).to_have_count(1)
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    menu.locator("summary").click()
    menu.locator("[data-states] .item").click()
    expect(page.locator(".state-layer .value").last).to_be_visible()
    expect(page.locator('[data-edge="zoom"]').first).to_contain_text("90°")
    picture(page, "applied")
    # the tags of the file
    page.locator('[data-do="tags"]').click()
    tags = page.locator("#dicom-tags")
    expect(tags.locator("[data-tag]").first).to_be_visible()
    tags.locator("[data-tag-search]").fill("photometric")
    expect(tags.locator("[data-tag]:visible")).to_have_count(1)
    picture(page, "tags")
    page.evaluate(AXE.read_text("utf-8"))
    for part in ("#dicom-tags", ".viewer", ".draft-side"):
        found = page.evaluate("(part) => axe.run(document.querySelector(part))", part)["violations"]
        assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in found] == []
        page.keyboard.press("Escape")
    picture(page, "all")
    with room.app_context.records.write(room.reader) as tx:
        current = judged_all(tx, working(room).report_id)
        if current.draft.open_marks:
            changes.decide(tx, current.report_id, current.revision, every_mark_kept(current))
    page.reload()
    page.locator("[data-viewer] canvas").first.wait_for()
    chord(page, "s", "s")
    page.locator("#sign-password").fill(PASSWORD)
    page.locator("#sign button[type=submit]").click()
    expect(page.locator(".as-signed")).to_be_visible()
    expect(page.locator("[data-key-image]")).to_have_count(1)
    expect(page.locator(".marks .value").last).to_be_visible()
    picture(page, "signed")
