"""Measurements of the reading view in a real browser: kept, named, said in a sentence, signed."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.service.browser import AXE, chord, wait_for_notice
from tests.service.reading_room import PASSWORD, fields, saved, seen, working


def stroke(page: Page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """A line over the image, from one part of its width and height to another."""
    box = page.locator("[data-stage]").first.bounding_box()
    assert box is not None
    places = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in (start, end)]
    page.mouse.move(*places[0])
    page.mouse.down()
    page.mouse.move(*places[1], steps=3)
    page.mouse.up()


def test_a_length_is_kept_named_written_into_the_sentence_and_signed(page, room):
    seen(page)
    page.keyboard.press("m")
    stroke(page, (0.3, 0.55), (0.6, 0.55))
    stroke(page, (0.4, 0.3), (0.4, 0.4))
    rows = page.locator("[data-measurement]")
    expect(rows).to_have_count(2)
    assert page.locator("[data-measured]").is_hidden()  # the list is beside the draft, not over the image
    said = [item.rounded for item in working(room).measurements]
    assert [float(text.split()[0].replace(",", ".")) for text in rows.locator("b").all_inner_texts()] == said
    expect(page.locator(".measurements")).to_contain_text("dedektör düzleminde")
    # an end is moved by keyboard: the same measurement, a new size
    page.locator(".marks .end").nth(1).focus()
    page.keyboard.press("Shift+ArrowRight")
    expect(rows.first.locator("b")).not_to_have_text(re.compile(f"^{said[0]:.1f}".replace(".", ",")))
    moved = working(room).measurements[0]
    assert moved.rounded > said[0]
    # it goes by the sentence under the caret, and the check knows that it was measured
    page.locator('[data-add="findings"]').click()
    field = fields(page, "findings").last
    field.fill("Kardiyak çap olarak ölçüldü.")
    field.evaluate("(element) => element.setSelectionRange(12, 12)")
    rows.first.locator("[data-named]").fill("Kardiyak çap")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    sentence = f"Kardiyak çap {moved.rounded:.1f} mm olarak ölçüldü.".replace(".", ",", 1)
    assert field.input_value() == sentence
    page.keyboard.press("Control+s")
    saved(page)
    expect(rows.first.locator("[data-named]")).to_have_value("Kardiyak çap")
    assert working(room).draft.open_marks == 0
    # taken away
    rows.nth(1).locator("[data-unmeasure]").click()
    expect(rows).to_have_count(1)
    expect(page.locator(".marks .value")).to_have_count(1)
    assert [item.label for item in working(room).measurements] == ["Kardiyak çap"]
    page.evaluate(AXE.read_text("utf-8"))
    found = page.evaluate("axe.run(document.querySelector('.draft-side'))")["violations"]
    assert [(item["id"], [node["html"] for node in item["nodes"]]) for item in found] == []
    # and there again, for whoever opens the page; what is signed shows it
    page.reload()
    seen(page)
    expect(page.locator(".marks .value")).to_contain_text(f"{moved.rounded:.1f}".replace(".", ","))
    # without a sentence under the caret it is one of its own
    rows.first.locator("[data-put]").click()
    size = f"{moved.rounded:.1f}".replace(".", ",")
    expect(fields(page, "findings").last).to_have_value(f"Kardiyak çap: {size} mm.")
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    saved(page)
    page.locator("[data-stage]").first.focus()
    chord(page, "s", "s")
    expect(page.locator("#sign [data-what]")).to_contain_text("Kardiyak çap: ")
    page.locator("#sign [data-accept-stated]").click()
    expect(page.locator("#sign [data-accept-stated]")).to_be_hidden()
    page.locator("#sign-password").fill(PASSWORD)
    page.locator("#sign button[type=submit]").click()
    expect(page.locator(".as-signed")).to_contain_text("olarak ölçüldü")
    expect(page.locator(".measurements")).to_contain_text("Kardiyak çap")
    seen(page)
    expect(page.locator(".marks .value")).to_have_count(1)
    expect(page.locator(".marks .end")).to_have_count(0)


def test_a_measurement_waits_for_the_server_and_is_sent_then(page, room):
    seen(page)
    page.route("**/measurements", lambda route: route.abort())
    page.keyboard.press("m")
    stroke(page, (0.3, 0.55), (0.6, 0.55))
    wait_for_notice(page, "ulaşılamıyor")
    expect(page.locator(".marks .value")).to_have_count(1)
    page.unroute_all()
    fields(page, "findings").first.fill("Kalp gölgesi normaldir.")
    page.keyboard.press("Control+s")  # what is asked for next finds the server again
    expect(page.locator("[data-measurement]")).to_have_count(1)
    assert len(working(room).measurements) == 1
